#include "crypto/json-writer.h"
#include "federation/destination.h"
#include "federation/event.h"
#include "tests/federation/peer.h"
#include "tests/support/test-cluster.h"

#include <string.h>

static TestCluster *cluster;

/* One of the servers that are written to: what it received, and how it answers. */
typedef struct {
  Peer *peer;
  GMutex lock;
  GCond arrived;
  GPtrArray *transactions; /* of CmJsonDoc */
  GPtrArray *ids;          /* of char *: their transaction ids */
  unsigned status;
  guint hang_up;      /* so many transactions are taken without an answer */
  const char *poison; /* a transaction that holds this text is refused with 400 */
  gint64 slow_us;     /* so long it takes to answer */
  GCond hurry;        /* slow_us changed */
} Receiver;

/* Of one peer that is slow. */
#define SLOW_SERVERS 24

typedef struct {
  Authority *authority;
  GTlsCertificate *certificate;
  CmPool *pool;
  CmCommitter *committer;
  CmOutbound *outbound;
  CmDiscovery *discovery;
  CmSigningKey *key;
  CmFedClient *client;
  CmDestinations *destinations;
  Receiver a;
  Receiver b;
  Receiver slow; /* for s0.slow.test and so on */
  gint64 events; /* how many were made */
} World;

/* With the receiver's lock held. */
static void
take_time (Receiver *r)
{
  gint64 deadline = g_get_monotonic_time () + r->slow_us;

  while (r->slow_us > 0 && g_cond_wait_until (&r->hurry, &r->lock, deadline))
    ;
}

static void
set_slow (Receiver *r, gint64 slow_us)
{
  g_mutex_lock (&r->lock);
  r->slow_us = slow_us;
  g_cond_broadcast (&r->hurry);
  g_mutex_unlock (&r->lock);
}

static gboolean
receive (const PeerRequest *request, GOutputStream *out, gpointer data)
{
  Receiver *r = data;
  static const char prefix[] = "/_matrix/federation/v1/send/";
  g_autoptr (CmJsonDoc) doc = NULL;
  g_autofree char *text = NULL;
  unsigned status;
  gboolean hang_up;

  g_assert_cmpstr (request->method, ==, "PUT");
  g_assert_true (g_str_has_prefix (request->target, prefix));
  text = g_strndup (g_bytes_get_data (request->body, NULL), g_bytes_get_size (request->body));
  doc = cm_json_parse (text, strlen (text), NULL);
  g_assert_nonnull (doc);

  g_mutex_lock (&r->lock);
  status = r->poison != NULL && strstr (text, r->poison) ? 400 : r->status;
  hang_up = r->hang_up > 0;
  r->hang_up -= hang_up;
  if (status == 200) {
    g_ptr_array_add (r->transactions, g_steal_pointer (&doc));
    g_ptr_array_add (r->ids, g_strdup (request->target + strlen (prefix)));
    g_cond_broadcast (&r->arrived);
  }
  take_time (r);
  g_mutex_unlock (&r->lock);
  return !hang_up &&
         peer_reply (out, status, NULL, status == 200 ? "{\"pdus\":{}}" : "{\"errcode\":\"M_X\"}");
}

static void
receiver_init (Receiver *r, GTlsCertificate *certificate)
{
  g_mutex_init (&r->lock);
  g_cond_init (&r->arrived);
  g_cond_init (&r->hurry);
  r->transactions = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_json_doc_unref);
  r->ids = g_ptr_array_new_with_free_func (g_free);
  r->status = 200;
  r->peer = peer_new (certificate, receive, r);
}

static void
receiver_clear (Receiver *r)
{
  set_slow (r, 0);
  peer_free (r->peer);
  g_ptr_array_unref (r->transactions);
  g_ptr_array_unref (r->ids);
  g_mutex_clear (&r->lock);
  g_cond_clear (&r->arrived);
  g_cond_clear (&r->hurry);
}

/* (transfer full) the "n" of all PDUs or EDUs that came, in order, with '|' between transactions.
 * The receiver's lock is held. */
static char *
summary (Receiver *r, const char *member)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < r->transactions->len; i++) {
    const CmJson *root = cm_json_doc_root (r->transactions->pdata[i]);
    const CmJson *item;
    CmJsonIter iter;

    g_string_append (text, i > 0 ? "|" : "");
    cm_json_iter_init (&iter, cm_json_get_array (root, member));
    while (cm_json_iter_next (&iter, NULL, &item))
      g_string_append_printf (text, "%" G_GINT64_FORMAT " ",
                              cm_json_get_integer (cm_json_get_object (item, "content"), "n", -1));
  }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* What came in all, whatever the transactions it came in; waits until @expected did. */
static void
assert_receives (Receiver *r, const char *member, const char *expected)
{
  gint64 deadline = g_get_monotonic_time () + 20 * G_USEC_PER_SEC;
  g_autofree char *text = NULL;

  g_mutex_lock (&r->lock);
  for (;;) {
    g_auto (GStrv) parts = NULL;

    g_free (text);
    text = summary (r, member);
    parts = g_strsplit (text, "|", -1);
    g_free (text);
    text = g_strjoinv ("", parts);
    if (g_str_equal (text, expected) || !g_cond_wait_until (&r->arrived, &r->lock, deadline))
      break;
  }
  g_mutex_unlock (&r->lock);
  g_assert_cmpstr (text, ==, expected);
}

static GStrv
make_overrides (World *w)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  g_autofree char *a = g_strdup_printf ("a.test=127.0.0.1:%u", peer_port (w->a.peer));
  g_autofree char *b = g_strdup_printf ("b.test=127.0.0.1:%u", peer_port (w->b.peer));

  g_strv_builder_add_many (builder, a, b, "gone.test=127.0.0.1:1", NULL);
  for (int i = 0; i < SLOW_SERVERS; i++) {
    g_autofree char *slow =
        g_strdup_printf ("s%d.slow.test=127.0.0.1:%u", i, peer_port (w->slow.peer));

    g_strv_builder_add (builder, slow);
  }
  return g_strv_builder_end (builder);
}

static void
open_node (World *w)
{
  static const char *const allow[] = { "127.0.0.1", NULL };
  g_auto (GStrv) resolve = make_overrides (w);
  g_autoptr (GError) error = NULL;

  w->committer = cm_committer_new (w->pool, &error);
  g_assert_no_error (error);
  w->outbound = cm_outbound_new (&(CmOutboundPolicy){ .allow = allow,
                                                      .verify_tls = TRUE,
                                                      .ca_file = authority_file (w->authority) },
                                 NULL);
  w->discovery = cm_discovery_new (w->outbound, (const char *const *) resolve, NULL);
  w->client = cm_fed_client_new (w->outbound, w->discovery, "here.test", w->key);
}

static void
start_sending (World *w)
{
  g_autoptr (GError) error = NULL;

  w->destinations = cm_destinations_new (w->pool, w->committer, w->client, "here.test", &error);
  g_assert_no_error (error);
}

static void
close_node (World *w)
{
  cm_outbound_stop (w->outbound);
  if (w->destinations != NULL)
    cm_destinations_stop (w->destinations);
  cm_committer_free (w->committer);
  g_clear_pointer (&w->destinations, cm_destinations_free);
  cm_fed_client_free (w->client);
  cm_discovery_free (w->discovery);
  cm_outbound_free (w->outbound);
}

static void
run_sql (World *w, const char *sql)
{
  g_autoptr (CmDb) db = cm_pool_get (w->pool, NULL);
  g_autoptr (GError) error = NULL;

  cm_db_script (db, sql, &error);
  g_assert_no_error (error);
}

static gint64
count (World *w, const char *from)
{
  g_autofree char *sql = g_strdup_printf ("SELECT count(*) FROM %s", from);
  g_autofree char *name = g_strdup_printf ("count-%u", g_str_hash (sql));
  const CmSql statement = { g_intern_string (name), g_intern_string (sql) };
  g_autoptr (CmDb) db = cm_pool_get (w->pool, NULL);
  g_autoptr (CmRows) rows = cm_db_query (db, &statement, CM_NO_ARGS, NULL);

  return cm_rows_integer (rows, 0, 0);
}

/* Waits until @n rows are in @from: what was received is acknowledged a moment later. */
static void
wait_for_count (World *w, const char *from, gint64 n)
{
  for (int i = 0; i < 1000 && count (w, from) != n; i++)
    g_usleep (10000);
  g_assert_cmpint (count (w, from), ==, n);
}

static void
set_up (World *w, gconstpointer data)
{
  w->authority = authority_new ();
  w->certificate = authority_sign (w->authority, "DNS:a.test,DNS:b.test,DNS:*.slow.test", 5);
  receiver_init (&w->a, w->certificate);
  receiver_init (&w->b, w->certificate);
  receiver_init (&w->slow, w->certificate);
  w->pool = test_cluster_pool (cluster, 16, TRUE);
  w->key = cm_signing_key_generate ();
  run_sql (w, "INSERT INTO room (id, version) VALUES (1, '11')");
  open_node (w);
  if (data == NULL)
    start_sending (w);
}

static void
tear_down (World *w, gconstpointer data)
{
  close_node (w);
  receiver_clear (&w->a);
  receiver_clear (&w->b);
  receiver_clear (&w->slow);
  cm_pool_free (w->pool);
  authority_free (w->authority);
  g_object_unref (w->certificate);
  cm_signing_key_unref (w->key);
}

static const CmSql insert_event = {
  "test-event", "INSERT INTO event (id, event_id, room, position, depth, origin_server_ts, type,"
                " sender, flags, prev, auth, redacted_by)"
                " VALUES ($1, $2, 1, $3, 1, 1, 1, 1, $4, '{}', '{}', $5)"
};
static const CmSql insert_json = { "test-event-json",
                                   "INSERT INTO event_json (id, json) VALUES ($1, $2)" };

/* Writes one event, of number n counted from 1, for @servers (separated by spaces). */
static void
add_event_with (World *w, const char *servers, const char *body, int flags, gboolean redacted)
{
  gint64 n = ++w->events;
  g_autofree char *event_id = g_strdup_printf ("$event%" G_GINT64_FORMAT, n);
  g_autofree char *json = g_strdup_printf (
      "{\"auth_events\":[],\"content\":{\"body\":\"%s\",\"n\":%" G_GINT64_FORMAT
      "},\"depth\":1,\"origin_server_ts\":1,\"prev_events\":[],\"room_id\":\"!r:here.test\","
      "\"sender\":\"@u:here.test\",\"type\":\"m.room.message\"}",
      body, n);
  g_auto (GStrv) names = g_strsplit (servers, " ", -1);
  CmWrite *write = cm_write_new ();
  gint64 offset = cm_write_take_positions (write, 1);
  g_autoptr (GError) error = NULL;

  cm_write_add (write, &insert_event,
                CM_ARGS (CM_INT (n), CM_TEXT (event_id), CM_POSITION (offset), CM_INT (flags),
                         redacted ? CM_INT (1) : CM_SQL_NULL));
  cm_write_add (write, &insert_json, CM_ARGS (CM_INT (n), CM_DATA (json, strlen (json))));
  cm_destinations_event (write, n, offset, (const char *const *) names);
  cm_committer_commit (w->committer, write, &error);
  g_assert_no_error (error);
}

static void
add_event (World *w, const char *servers)
{
  add_event_with (w, servers, "hello", 0, FALSE);
}

static GBytes *
make_edu (gint64 n)
{
  g_autofree char *json =
      g_strdup_printf ("{\"content\":{\"n\":%" G_GINT64_FORMAT "},\"edu_type\":\"m.test\"}", n);

  return g_bytes_new (json, strlen (json));
}

static void
add_edu (World *w, const char *servers, gint64 n)
{
  g_autoptr (GBytes) edu = make_edu (n);
  g_auto (GStrv) names = g_strsplit (servers, " ", -1);
  CmWrite *write = cm_write_new ();

  cm_destinations_queue (write, (const char *const *) names, edu);
  g_assert_cmpint (cm_committer_commit (w->committer, write, NULL), ==, 0);
}

/* Each server gets what was addressed to it, and nothing of what was not: a.test came late, was
 * away for a while, and came back. */
static void
test_addressed (World *w, gconstpointer data)
{
  add_event (w, "b.test");
  add_event (w, "a.test b.test");
  add_event (w, "b.test a.test b.test");
  add_event (w, "b.test");
  add_event (w, "b.test");
  add_event (w, "a.test b.test");
  assert_receives (&w->a, "pdus", "2 3 6 ");
  assert_receives (&w->b, "pdus", "1 2 3 4 5 6 ");
  g_assert_cmpint (count (w, "audience"), ==, 2);
}

/* The same after a restart, from the database alone; what was acknowledged does not come again. */
static void
test_catches_up (World *w, gconstpointer data)
{
  g_autoptr (GString) expected = g_string_new (NULL);

  for (int i = 1; i <= 130; i++) {
    add_event (w, i % 3 ? "a.test b.test" : "b.test");
    if (i % 3)
      g_string_append_printf (expected, "%d ", i);
  }
  start_sending (w);
  assert_receives (&w->a, "pdus", expected->str);
  g_assert_cmpuint (w->a.transactions->len, ==, 2); /* 50 and 37 */

  wait_for_count (w, "destination WHERE server = 'a.test' AND sent = 130", 1);
  close_node (w);
  open_node (w);
  add_event (w, "a.test");
  start_sending (w);
  add_event (w, "a.test");
  g_string_append (expected, "131 132 ");
  assert_receives (&w->a, "pdus", expected->str);
}

/* Bursts that outgrow what is kept in memory. */
static void
test_bursts (World *w, gconstpointer data)
{
  g_autoptr (GString) expected = g_string_new (NULL);

  for (int i = 1; i <= 600; i++) {
    add_event (w, "a.test");
    g_string_append_printf (expected, "%d ", i);
  }
  assert_receives (&w->a, "pdus", expected->str);
}

/* fed-replay, the sender's side: a transaction whose answer was lost is sent again as the same. */
static void
test_same_again (World *w, gconstpointer data)
{
  w->a.hang_up = 1;
  w->a.status = 200;
  add_edu (w, "a.test", 7);
  assert_receives (&w->a, "edus", "7 ");
  while (cm_backoff_until (cm_fed_client_backoff (w->client), "a.test") == 0 &&
         w->a.transactions->len < 2)
    g_usleep (1000);
  cm_fed_client_heard (w->client, "a.test");
  assert_receives (&w->a, "edus", "7 7 ");
  g_assert_cmpstr (w->a.ids->pdata[0], ==, w->a.ids->pdata[1]);

  add_edu (w, "a.test", 8);
  assert_receives (&w->a, "edus", "7 7 8 ");
  g_assert_cmpstr (w->a.ids->pdata[0], !=, w->a.ids->pdata[2]);
}

/* A server that is down does not lose anything, nor hold up others; back-off outlives a restart. */
static void
test_down (World *w, gconstpointer data)
{
  CmBackoff *backoff = cm_fed_client_backoff (w->client);

  w->a.status = 503;
  add_event (w, "a.test b.test gone.test");
  add_event (w, "a.test b.test gone.test");
  assert_receives (&w->b, "pdus", "1 2 ");
  while (cm_backoff_until (backoff, "a.test") == 0 || cm_backoff_until (backoff, "gone.test") == 0)
    g_usleep (1000);
  add_event (w, "a.test");
  assert_receives (&w->a, "pdus", "");

  wait_for_count (w, "destination WHERE server = 'b.test' AND sent = 2", 1);
  close_node (w);
  w->a.status = 200;
  open_node (w);
  start_sending (w);
  backoff = cm_fed_client_backoff (w->client);
  g_assert_cmpint (cm_backoff_until (backoff, "a.test"), >, 0);
  add_event (w, "b.test");
  assert_receives (&w->b, "pdus", "1 2 4 ");
  assert_receives (&w->a, "pdus", "");
  cm_fed_client_heard (w->client, "a.test");
  assert_receives (&w->a, "pdus", "1 2 3 ");
}

static void
test_back_by_itself (World *w, gconstpointer data)
{
  w->a.status = 500;
  add_event (w, "a.test");
  g_usleep (300000);
  w->a.status = 200;
  assert_receives (&w->a, "pdus", "1 ");
}

/* CVE-2023-32323: what a server never takes does not stand in the way of the rest. */
static void
test_poison_cve_2023_32323 (World *w, gconstpointer data)
{
  w->a.poison = "poison";
  for (int i = 1; i <= 20; i++)
    add_event_with (w, "a.test", i == 13 ? "poison" : "food", 0, FALSE);
  add_edu (w, "a.test", 99);
  start_sending (w);
  assert_receives (&w->a, "pdus", "1 2 3 4 5 6 7 8 9 10 11 12 14 15 16 17 18 19 20 ");
  assert_receives (&w->a, "edus", "99 ");
}

static void
test_what_must_not_go_out (World *w, gconstpointer data)
{
  add_event_with (w, "a.test", "secret", 0, TRUE);
  add_event_with (w, "a.test", "rejected", CM_EVENT_REJECTED, FALSE);
  add_event_with (w, "a.test", "soft-failed", CM_EVENT_SOFT_FAILED, FALSE);
  add_event_with (w, "a.test", "open", 0, FALSE);
  assert_receives (&w->a, "pdus", "-1 4 "); /* the first without its content */
}

/* CVE-2025-61672: rows that cannot be sent are left out, and the others go. */
static void
test_bad_rows_cve_2025_61672 (World *w, gconstpointer data)
{
  add_edu (w, "a.test", 1);
  run_sql (w, "INSERT INTO destination_edu (server, edu) VALUES ('a.test', '{'),"
              " ('a.test', '[]'), ('a.test', '{\"edu_type\":\"x\",\"content\":{\"n\":1.5}}'),"
              " ('a.test', '')");
  add_edu (w, "a.test", 2);
  add_event (w, "a.test");
  run_sql (w, "UPDATE event_json SET json = 'junk'");
  add_event (w, "a.test");
  start_sending (w);
  assert_receives (&w->a, "edus", "1 2 ");
  assert_receives (&w->a, "pdus", "2 ");
  add_event (w, "a.test");
  assert_receives (&w->a, "pdus", "2 3 ");
  wait_for_count (w, "destination_edu", 0);
}

static void
test_edus_are_kept (World *w, gconstpointer data)
{
  g_autoptr (GString) expected = g_string_new (NULL);

  for (int i = 1; i <= 250; i++) {
    add_edu (w, "a.test b.test", i);
    g_string_append_printf (expected, "%d ", i);
  }
  start_sending (w);
  assert_receives (&w->a, "edus", expected->str);
  assert_receives (&w->b, "edus", expected->str);
  g_assert_cmpuint (w->a.transactions->len, ==, 3);
  wait_for_count (w, "destination_edu", 0);
}

/* Adds an EDU of about @size bytes. */
static void
add_large_edu (World *w, const char *server, gint64 n, gsize size)
{
  g_autofree char *padding = g_strnfill (size, 'x');
  g_autofree char *json = g_strdup_printf ("{\"content\":{\"n\":%" G_GINT64_FORMAT
                                           ",\"x\":\"%s\"},\"edu_type\":\"m.test\"}",
                                           n, padding);
  g_autoptr (GBytes) edu = g_bytes_new (json, strlen (json));
  CmWrite *write = cm_write_new ();

  cm_destinations_queue (write, (const char *const[]){ server, NULL }, edu);
  g_assert_cmpint (cm_committer_commit (w->committer, write, NULL), ==, 0);
}

/* Many large EDUs go in several transactions, and one that is larger than all of them may be does
 * not stand in the way. */
static void
test_large_edus (World *w, gconstpointer data)
{
  static const gsize sizes[] = { 400000, 400000, 400000, 1500000, 10, 400000, 400000, 10 };

  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++)
    add_large_edu (w, "a.test", (gint64) i + 1, sizes[i]);
  start_sending (w);
  assert_receives (&w->a, "edus", "1 2 3 4 5 6 7 8 ");
  {
    g_autofree char *parts = summary (&w->a, "edus");

    g_assert_cmpstr (parts, ==, "1 2 |3 |4 |5 6 7 8 ");
  }
  wait_for_count (w, "destination_edu", 0);
}

/* What many dead servers are to be sent does not stay in memory; it is the same when they are tried
 * again. */
static void
test_dead_cost_no_memory (World *w, gconstpointer data)
{
  GMutex lock = { 0 };
  const CmDestinationWorld world = { .pool = w->pool,
                                     .committer = w->committer,
                                     .client = w->client,
                                     .server_name = "here.test",
                                     .lock = &lock };
  CmDestination *destination = cm_destination_new ("gone.test");
  g_autofree char *id = NULL;

  add_event (w, "gone.test");
  add_edu (w, "gone.test", 7);
  destination->behind = destination->stored_edus = TRUE;
  for (int i = 0; i < 3; i++) {
    g_assert_cmpint (cm_destination_serve (destination, &world), !=, 0);
    g_assert_nonnull (destination->batch);
    g_assert_null (destination->batch->content);
    g_assert_cmpuint (destination->batch->items, ==, 2);
    if (id == NULL)
      id = g_strdup (destination->batch->id);
    g_assert_cmpstr (destination->batch->id, ==, id);
    g_assert_cmpuint (destination->failures, ==, (guint) i + 1);
    cm_backoff_succeeded (cm_fed_client_backoff (w->client), "gone.test");
  }
  cm_destination_free (destination);
  g_mutex_clear (&lock);
}

/* Sends one event to all that are slow. */
static void
add_event_for_slow (World *w)
{
  g_autoptr (GString) names = g_string_new (NULL);

  for (int i = 0; i < SLOW_SERVERS; i++)
    g_string_append_printf (names, "%ss%d.slow.test", i > 0 ? " " : "", i);
  add_event (w, names->str);
}

static void
wait_for_slow (World *w, guint transactions)
{
  gint64 deadline = g_get_monotonic_time () + 60 * G_USEC_PER_SEC;

  g_mutex_lock (&w->slow.lock);
  while (w->slow.transactions->len < transactions &&
         g_cond_wait_until (&w->slow.arrived, &w->slow.lock, deadline))
    ;
  g_assert_cmpuint (w->slow.transactions->len, >=, transactions);
  g_mutex_unlock (&w->slow.lock);
}

/* Connects to all, so that how long that takes does not count. */
static void
connect_to_all (World *w)
{
  g_autoptr (CmJsonDoc) content = cm_json_parse ("{}", 2, NULL);
  Receiver *receivers[] = { &w->b, &w->slow };

  for (int i = -1; i < SLOW_SERVERS; i++) {
    g_autofree char *server = i < 0 ? g_strdup ("b.test") : g_strdup_printf ("s%d.slow.test", i);
    g_autoptr (GError) error = NULL;
    g_autoptr (CmJsonDoc) answer =
        cm_fed_call (w->client, server,
                     &(CmFedRequest){ .method = "PUT",
                                      .target = "/_matrix/federation/v1/send/0",
                                      .content = cm_json_doc_root (content) },
                     NULL, &error);

    g_assert_no_error (error);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (receivers); i++) {
    g_mutex_lock (&receivers[i]->lock);
    g_ptr_array_set_size (receivers[i]->transactions, 0);
    g_ptr_array_set_size (receivers[i]->ids, 0);
    g_mutex_unlock (&receivers[i]->lock);
  }
}

/* b.test is told at once, whoever else keeps threads waiting. */
static void
assert_b_is_told (World *w, const char *expected)
{
  gint64 began = g_get_monotonic_time ();

  add_event (w, "b.test");
  assert_receives (&w->b, "pdus", expected);
  g_assert_cmpint (g_get_monotonic_time () - began, <, 5 * G_USEC_PER_SEC);
}

/* As many as there are threads, of whom nothing is known, and who let all wait. b.test is known
 * from the last run. */
static void
test_starvation_by_strangers (World *w, gconstpointer data)
{
  add_event (w, "b.test");
  wait_for_count (w, "destination WHERE server = 'b.test' AND sent = 1 AND quick", 1);
  close_node (w);
  open_node (w);
  connect_to_all (w);
  set_slow (&w->slow, 60 * G_USEC_PER_SEC);
  add_event_for_slow (w);
  start_sending (w);
  wait_for_slow (w, 16);
  assert_b_is_told (w, "3 ");
  g_usleep (500000);
  g_assert_cmpuint (w->slow.transactions->len, ==, 16);
  set_slow (&w->slow, 0);
  wait_for_slow (w, SLOW_SERVERS);
}

/* The same with those who have been quick before: once, and not a second time; to be quick in
 * between is no help. */
static void
test_starvation_by_the_slow (World *w, gconstpointer data)
{
  connect_to_all (w);
  assert_b_is_told (w, "1 ");
  add_event_for_slow (w);
  wait_for_slow (w, SLOW_SERVERS);
  wait_for_count (w, "destination WHERE sent = 2", SLOW_SERVERS);
  set_slow (&w->slow, 5200000);
  add_event_for_slow (w);
  wait_for_slow (w, 2 * SLOW_SERVERS);
  wait_for_count (w, "destination WHERE sent = 3", SLOW_SERVERS);
  set_slow (&w->slow, 0);
  add_event_for_slow (w);
  wait_for_count (w, "destination WHERE sent = 4", SLOW_SERVERS);

  set_slow (&w->slow, 60 * G_USEC_PER_SEC);
  add_event_for_slow (w);
  wait_for_slow (w, 3 * SLOW_SERVERS + 6);
  assert_b_is_told (w, "1 6 ");
  g_usleep (500000);
  g_assert_cmpuint (w->slow.transactions->len, ==, 3 * SLOW_SERVERS + 6);
}

#define WAITING(n, bytes)                                                                          \
  "destination WHERE server = 'gone.test' AND edus = " n " AND edu_bytes = " bytes
#define BYTES_THERE                                                                                \
  "(SELECT coalesce (sum (octet_length (edu)), 0) FROM destination_edu e WHERE e.server = "        \
  "destination.server)"

/* A server that never comes back does not fill the database: the oldest make room. */
static void
test_waiting_is_bounded (World *w, gconstpointer data)
{
  for (int i = 1; i <= 150; i++)
    add_edu (w, "gone.test", i);
  g_assert_cmpint (count (w, WAITING ("150", BYTES_THERE)), ==, 1);
  run_sql (w, "UPDATE destination SET edus = 50000 WHERE server = 'gone.test'");
  add_edu (w, "gone.test b.test gone.test", 151);
  g_assert_cmpint (count (w, WAITING ("49901", BYTES_THERE)), ==, 1);
  g_assert_cmpint (count (w, "destination_edu WHERE server = 'gone.test'"), ==, 51);
  g_assert_cmpint (count (w, "destination_edu WHERE edu LIKE '%\"n\":100}%'"), ==, 0);
  g_assert_cmpint (count (w, "destination_edu WHERE edu LIKE '%\"n\":101}%'"), ==, 1);
  g_assert_cmpint (count (w, "destination_edu WHERE server = 'b.test'"), ==, 1);
  run_sql (w, "UPDATE destination SET edus = 51, edu_bytes = 500000000 WHERE server = 'gone.test'");
  add_edu (w, "gone.test", 152);
  g_assert_cmpint (count (w, "destination_edu WHERE server = 'gone.test'"), ==, 1);
  g_assert_cmpint (count (w, "destination WHERE server = 'gone.test' AND edus = 1"), ==, 1);
}

/* Nothing is dropped of what is below the bound, and what was taken does not count. */
static void
test_waiting_is_counted (World *w, gconstpointer data)
{
  run_sql (w, "INSERT INTO destination (server, edus) VALUES ('a.test', 49850)");
  for (int i = 1; i <= 150; i++)
    add_edu (w, "a.test", i);
  g_assert_cmpint (count (w, "destination_edu"), ==, 150);
  g_assert_cmpint (count (w, "destination WHERE edus = 50000 AND edu_bytes = " BYTES_THERE), ==, 1);
  start_sending (w);
  wait_for_count (w, "destination_edu", 0);
  wait_for_count (w, "destination WHERE edus = 49850 AND edu_bytes = 0 AND edus_since > 0", 1);
}

static void
test_strangers_are_forgotten (World *w, gconstpointer data)
{
  add_edu (w, "gone.test a.test", 1);
  run_sql (w, "UPDATE destination SET edus_since = edus_since - 31 * 86400000::bigint;"
              "INSERT INTO sym (text) VALUES ('a.test');"
              "INSERT INTO room_server (room, server, joined) SELECT 1, id, 1 FROM sym");
  add_edu (w, "gone.test b.test", 2);
  g_assert_cmpint (cm_committer_commit (w->committer, cm_destination_forget_strangers (), NULL), ==,
                   0);
  g_assert_cmpint (count (w, "destination_edu WHERE server = 'gone.test'"), ==, 0);
  g_assert_cmpint (count (w, WAITING ("0", "0")), ==, 1);
  g_assert_cmpint (count (w, "destination_edu"), ==, 2);
}

static void
test_ephemeral (World *w, gconstpointer data)
{
  g_autoptr (GBytes) one = make_edu (1);
  g_autoptr (GBytes) two = make_edu (2);
  g_autoptr (GBytes) three = make_edu (3);

  cm_destinations_ephemeral (w->destinations, "a.test", "x", one);
  assert_receives (&w->a, "edus", "1 ");
  g_usleep (200000); /* the answer is read */
  /* A server that is left alone learns nothing of it later. */
  cm_backoff_failed (cm_fed_client_backoff (w->client), "a.test");
  add_event (w, "a.test");
  g_usleep (200000);
  cm_destinations_ephemeral (w->destinations, "a.test", "x", two);
  cm_fed_client_heard (w->client, "a.test");
  assert_receives (&w->a, "pdus", "1 ");
  cm_destinations_ephemeral (w->destinations, "a.test", "x", three);
  assert_receives (&w->a, "edus", "1 3 ");
}

/* A commit that this node was not told of: of a connection that broke, or another node's. */
static void
test_missed_commit (World *w, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmCommitter) other = NULL;
  CmCommitter *own = w->committer;

  add_event (w, "a.test");
  assert_receives (&w->a, "pdus", "1 ");
  other = cm_committer_new (w->pool, &error);
  w->committer = other;
  add_event (w, "a.test");
  add_event (w, "b.test");
  w->committer = own;
  add_event (w, "a.test");
  assert_receives (&w->a, "pdus", "1 2 4 ");
  if (g_test_slow ())
    g_usleep (31 * G_USEC_PER_SEC);
  assert_receives (&w->b, "pdus", g_test_slow () ? "3 " : "");
}

static void
test_sweep (World *w, gconstpointer data)
{
  add_event (w, "a.test b.test");
  add_event (w, "a.test gone.test");
  assert_receives (&w->a, "pdus", "1 2 ");
  assert_receives (&w->b, "pdus", "1 ");
  wait_for_count (w, "destination WHERE sent > 0", 2);
  wait_for_count (w, "destination WHERE sent = 2", 1);
  g_assert_true (cm_destination_sweep (w->pool, NULL));
  g_assert_cmpint (count (w, "destination_event"), ==, 1);
  g_assert_cmpint (count (w, "audience"), ==, 1);
  add_event (w, "a.test b.test");
  assert_receives (&w->b, "pdus", "1 3 ");
}

#define ADD(name, idle, func) g_test_add (name, World, idle, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  int result;

  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
  ADD ("/destinations/addressed", NULL, test_addressed);
  ADD ("/destinations/catches-up", "idle", test_catches_up);
  ADD ("/destinations/bursts", NULL, test_bursts);
  ADD ("/destinations/same-again-fed-replay", NULL, test_same_again);
  ADD ("/destinations/down", NULL, test_down);
  ADD ("/destinations/back-by-itself", NULL, test_back_by_itself);
  ADD ("/destinations/poison-CVE-2023-32323", "idle", test_poison_cve_2023_32323);
  ADD ("/destinations/what-must-not-go-out", NULL, test_what_must_not_go_out);
  ADD ("/destinations/bad-rows-CVE-2025-61672", "idle", test_bad_rows_cve_2025_61672);
  ADD ("/destinations/edus-are-kept", "idle", test_edus_are_kept);
  ADD ("/destinations/edu-memory/large", "idle", test_large_edus);
  ADD ("/destinations/edu-memory/dead", "idle", test_dead_cost_no_memory);
  ADD ("/destinations/edu-memory/bounded", "idle", test_waiting_is_bounded);
  ADD ("/destinations/edu-memory/counted", "idle", test_waiting_is_counted);
  ADD ("/destinations/edu-memory/strangers", "idle", test_strangers_are_forgotten);
  ADD ("/destinations/outbound-starvation/strangers", NULL, test_starvation_by_strangers);
  ADD ("/destinations/outbound-starvation/slow", NULL, test_starvation_by_the_slow);
  ADD ("/destinations/ephemeral", NULL, test_ephemeral);
  ADD ("/destinations/missed-commit", NULL, test_missed_commit);
  ADD ("/destinations/sweep", NULL, test_sweep);
  result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
