#include "federation/append.h"

#include "crypto/id.h"
#include "tests/federation/engine-fixture.h"
#include "tests/federation/fixture.h"

#include <signal.h>
#include <string.h>

static TestCluster *cluster;

typedef struct {
  Engine *engine;
  CmRoom *room;
  char *room_id;
  char *version;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer version)
{
  fixture->engine = engine_new (cluster);
  fixture->version = g_strdup (version != NULL ? version : "11");
  fixture->room = engine_room (fixture->engine, fixture->version, ALICE);
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  fixture->room_id = g_strdup (view->room_id);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->room, cm_room_unref);
  g_free (fixture->room_id);
  g_free (fixture->version);
  engine_free (fixture->engine);
}

static void
restart (Fixture *fixture)
{
  g_clear_pointer (&fixture->room, cm_room_unref);
  engine_restart (fixture->engine);
  fixture->room = engine_get (fixture->engine, fixture->room_id);
}

static CmEvent *
say (Fixture *fixture, const char *sender, const char *text)
{
  g_autofree char *content = g_strdup_printf ("{'msgtype':'m.text','body':'%s'}", text);
  return engine_send (fixture->room, sender, "m.room.message", NULL, content);
}

static CmEvent *
send_transaction (Fixture *fixture, const char *sender, const char *device, const char *txn_id,
                  GError **error)
{
  g_autoptr (CmJsonDoc) content = fixture_json ("{'body':'hello'}");
  CmDraft draft = {
    .type = "m.room.message",
    .sender = sender,
    .content = cm_json_doc_root (content),
    .txn_device = device,
    .txn_scope = "PUT",
    .txn_id = txn_id,
  };
  return cm_room_append_one (fixture->room, &draft, error);
}

static CmEvent *
send_again (Fixture *fixture, const char *sender, const char *device, const char *txn_id)
{
  g_autoptr (GError) error = NULL;
  CmEvent *event = send_transaction (fixture, sender, device, txn_id, &error);
  g_assert_no_error (error);
  return event;
}

static gint64
count (Fixture *fixture, const char *what)
{
  g_autofree char *text = engine_value (fixture->engine, "SELECT count (*) FROM %s", what);
  return g_ascii_strtoll (text, NULL, 10);
}

/* An event names all forward extremities, its auth events by the rules, and is deeper than what it
 * stands on. */
static void
test_send (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) first = say (fixture, ALICE, "one"), second = say (fixture, ALICE, "two");
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_cmpint (second->position, >, first->position);
  g_assert_cmpint (second->depth, ==, first->depth + 1);
  const CmJson *prev = cm_json_get_array (second->json, "prev_events"),
               *auth = cm_json_get_array (second->json, "auth_events");
  g_assert_cmpuint (cm_json_length (prev), ==, 1);
  g_assert_cmpstr (cm_json_text (cm_json_item (prev, 0)), ==, first->event_id);
  /* m.room.create, m.room.power_levels and the sender's member event; version 12 does not name the
   * first. */
  g_assert_cmpuint (cm_json_length (auth), ==, strcmp (fixture->version, "12") == 0 ? 2 : 3);
  g_assert_true (cm_event_hash_matches (second));
  g_assert_cmpuint (view->extremities->len, ==, 1);
  g_assert_cmpint (g_array_index (view->extremities, gint64, 0), ==, second->number);
  g_assert_cmpint (view->depth, ==, second->depth);
  g_assert_cmpstr (cm_json_get_text (second->json, "room_id"), ==, fixture->room_id);
  g_assert_cmpint (g_get_real_time () / 1000 - second->origin_server_ts, <, 60000);
  restart (fixture);
  g_autoptr (CmEvent) third = say (fixture, ALICE, "three");
  g_assert_cmpint (third->depth, ==, second->depth + 1);
  g_assert_cmpint (third->position, >, second->position);
}

static void
test_forbidden (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 before = count (fixture, "event");
  g_assert_null (engine_try (fixture->room, BOB, "m.room.message", NULL, "{'body':'hi'}", &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  engine_member (fixture->room, BOB, BOB, "join");
  g_assert_null (engine_try (fixture->room, BOB, "m.room.topic", "", "{'topic':'mine'}", &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  g_assert_cmpint (count (fixture, "event"), ==, before + 1);
  /* Nothing is left of them: the room goes on. */
  g_autoptr (CmEvent) after = say (fixture, BOB, "hello");
}

static void
test_event_size (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *filler = g_strnfill (66000, 'x');
  g_autofree char *content = g_strdup_printf ("{'body':'%s'}", filler);
  g_assert_null (engine_try (fixture->room, ALICE, "m.room.message", NULL, content, &error));
  fixture_assert_error (&error, CM_ERROR_TOO_LARGE);
  g_autofree char *long_key = g_strnfill (256, 'k');
  g_assert_null (engine_try (fixture->room, ALICE, "org.example", long_key, "{}", &error));
  g_assert_nonnull (error);
  g_assert_cmpuint (cm_error_status (error->code) / 100, ==, 4);
}

static void
test_unchanged_state (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) first =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'t','n':1}");
  g_autoptr (CmEvent) same =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'n':1,'topic':'t'}");
  g_autoptr (CmEvent) other =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'u','n':1}");
  g_autoptr (CmEvent) back =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'t','n':1}");
  g_assert_cmpstr (first->event_id, ==, same->event_id);
  g_assert_cmpstr (first->event_id, !=, other->event_id);
  g_assert_cmpstr (first->event_id, !=, back->event_id);
}

/* client-server, "Transaction identifiers": the same answer from memory, and from the database
 * after a restart. */
static void
test_transaction (Fixture *fixture, gconstpointer data)
{
  engine_member (fixture->room, BOB, BOB, "join");
  g_autoptr (CmEvent) first = send_again (fixture, ALICE, "A", "1");
  g_autoptr (CmEvent) repeat = send_again (fixture, ALICE, "A", "1");
  g_autoptr (CmEvent) device = send_again (fixture, ALICE, "B", "1"),
                      user = send_again (fixture, BOB, "A", "1"),
                      id = send_again (fixture, ALICE, "A", "2");
  g_assert_cmpstr (repeat->event_id, ==, first->event_id);
  g_assert_cmpstr (device->event_id, !=, first->event_id);
  g_assert_cmpstr (user->event_id, !=, first->event_id);
  g_assert_cmpstr (id->event_id, !=, first->event_id);
  restart (fixture);
  g_autoptr (CmEvent) late = send_again (fixture, ALICE, "A", "1");
  g_assert_cmpstr (late->event_id, ==, first->event_id);
  g_assert_cmpint (late->position, ==, first->position);
  g_assert_cmpint (
      count (fixture, "event WHERE type = (SELECT id FROM sym WHERE text = 'm.room.message')"), ==,
      4);
  /* The failed write took the room out of memory; what comes next loads it anew. */
  g_autoptr (CmEvent) next = say (fixture, ALICE, "next");
  g_assert_cmpint (next->depth, ==, id->depth + 1);
}

static void
test_refused_transaction_may_be_tried_again (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (send_transaction (fixture, BOB, "A", "1", &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  engine_member (fixture->room, BOB, BOB, "join");
  g_autoptr (CmEvent) event = send_again (fixture, BOB, "A", "1");
}

typedef struct {
  Fixture *fixture;
  const char *device;
  const char *txn_id; /* NULL: each its own */
  GPtrArray *ids;
} Sender;

static gpointer
send_many (gpointer data)
{
  Sender *sender = data;
  for (guint i = 0; i < 40; i++) {
    g_autofree char *own = g_strdup_printf ("own-%u", i);
    g_autoptr (CmEvent) event = send_again (sender->fixture, ALICE, sender->device,
                                            sender->txn_id != NULL ? sender->txn_id : own);
    g_ptr_array_add (sender->ids, g_strdup (event->event_id));
  }
  return NULL;
}

static void
run_senders (Fixture *fixture, Sender *senders, guint n)
{
  g_autoptr (GPtrArray) threads = g_ptr_array_new ();
  for (guint i = 0; i < n; i++) {
    senders[i].fixture = fixture;
    senders[i].ids = g_ptr_array_new_with_free_func (g_free);
    g_ptr_array_add (threads, g_thread_new ("sender", send_many, &senders[i]));
  }
  for (guint i = 0; i < n; i++)
    g_thread_join (threads->pdata[i]);
}

/* However many send at once, the room is one chain. */
static void
test_concurrent (Fixture *fixture, gconstpointer data)
{
  Sender senders[] = { { .device = "A" }, { .device = "B" }, { .device = "C" }, { .device = "D" } };
  run_senders (fixture, senders, G_N_ELEMENTS (senders));
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_cmpuint (view->extremities->len, ==, 1);
  engine_assert_value (fixture->engine, "160",
                       "SELECT count (DISTINCT depth) FROM event WHERE depth > 4");
  engine_assert_value (fixture->engine, "160", "SELECT count (*) FROM client_transaction");
  /* In one room, positions ascend as depths do. */
  engine_assert_value (fixture->engine, "0",
                       "SELECT count (*) FROM event a JOIN event b ON a.depth < b.depth AND "
                       "a.position > b.position");
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++)
    g_ptr_array_unref (senders[i].ids);
}

static void
test_concurrent_transaction (Fixture *fixture, gconstpointer data)
{
  Sender senders[] = { { .device = "A", .txn_id = "1" },
                       { .device = "A", .txn_id = "1" },
                       { .device = "A", .txn_id = "1" } };
  run_senders (fixture, senders, G_N_ELEMENTS (senders));
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++) {
    for (guint j = 0; j < senders[i].ids->len; j++)
      g_assert_cmpstr (senders[i].ids->pdata[j], ==, senders[0].ids->pdata[0]);
  }
  g_assert_cmpint (count (fixture, "event WHERE depth > 4"), ==, 1);
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++)
    g_ptr_array_unref (senders[i].ids);
}

/* Repeats of forgotten transactions among other sends: each of them makes a write fail, and takes
 * nobody else's event with it. */
static void
test_repeats_hurt_nobody (Fixture *fixture, gconstpointer data)
{
  {
    Sender first[] = { { .device = "OLD" } };
    run_senders (fixture, first, 1);
    g_ptr_array_unref (first[0].ids);
  }
  restart (fixture);
  Sender senders[] = { { .device = "OLD" }, { .device = "A" }, { .device = "B" } };
  run_senders (fixture, senders, G_N_ELEMENTS (senders));
  engine_assert_value (fixture->engine, "120", "SELECT count (*) FROM client_transaction");
  g_assert_cmpint (count (fixture, "event WHERE depth > 4"), ==, 120);
  engine_assert_value (fixture->engine, "120",
                       "SELECT count (DISTINCT depth) FROM event WHERE depth > 4");
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++)
    g_ptr_array_unref (senders[i].ids);
}

static void
test_batch (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) content = fixture_json ("{'body':'hello'}");
  CmDraft drafts[] = {
    { .type = "m.room.message", .sender = ALICE, .content = cm_json_doc_root (content) },
    { .type = "m.room.topic",
      .state_key = "",
      .sender = ALICE,
      .content = cm_json_doc_root (content) },
    { .type = "m.room.message", .sender = ALICE, .content = cm_json_doc_root (content) },
  };
  static const CmSql extra_sql = {
    "test-extra", "INSERT INTO room_alias (alias, room, creator) VALUES ('#a:here.example', 1, 'a')"
  };
  CmWrite *extra = cm_write_new ();
  cm_write_take_positions (extra, 2);
  cm_write_add (extra, &extra_sql, CM_NO_ARGS);
  g_autoptr (GPtrArray) events = cm_room_append (fixture->room, drafts, 3, extra, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (events->len, ==, 3);
  for (guint i = 1; i < 3; i++) {
    const CmEvent *before = events->pdata[i - 1], *event = events->pdata[i];
    g_assert_cmpint (event->position, ==, before->position + 1);
    g_assert_cmpint (event->depth, ==, before->depth + 1);
  }
  g_assert_cmpint (count (fixture, "room_alias"), ==, 1);
  /* All or none. */
  drafts[2].sender = BOB;
  gint64 before = count (fixture, "event");
  g_assert_null (cm_room_append (fixture->room, drafts, 3, cm_write_new (), &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  g_assert_cmpint (count (fixture, "event"), ==, before);
  g_autoptr (CmEvent) next = say (fixture, ALICE, "next");
  g_assert_cmpint (next->depth, ==, ((CmEvent *) events->pdata[2])->depth + 1);
}

/* What a write had made is gone with it, and with it whatever stood on it. */
static void
test_failed_extra (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) content = fixture_json ("{'topic':'never'}");
  CmDraft draft = {
    .type = "m.room.topic", .state_key = "", .sender = ALICE, .content = cm_json_doc_root (content)
  };
  static const CmSql bad = { "test-bad", "UPDATE room SET depth = 0 WHERE id = -1" };
  CmWrite *extra = cm_write_new ();
  cm_write_add_fenced (extra, &bad, CM_NO_ARGS);
  g_assert_null (cm_room_append (fixture->room, &draft, 1, extra, &error));
  fixture_assert_error (&error, CM_ERROR_UNAVAILABLE);
  g_autoptr (CmRoom) fresh = engine_get (fixture->engine, fixture->room_id);
  g_autoptr (CmRoomView) view = cm_room_view (fresh), stale = cm_room_view (fixture->room);
  g_assert_true (fresh != fixture->room);
  g_assert_null (cm_room_state_event (view, "m.room.topic", "", &error));
  g_assert_no_error (error);
  g_assert_null (cm_room_state_event (stale, "m.room.topic", "", &error));
  g_assert_no_error (error);
  /* Who still holds the old room is led to the new one. */
  g_autoptr (CmEvent) next = say (fixture, ALICE, "next");
}

/* Another node has written to the room: this one's write touches no row, and is made anew on what
 * is there. */
static void
test_stale_owner (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) first = say (fixture, ALICE, "first");
  g_autofree char *sql =
      g_strdup_printf ("UPDATE room SET epoch = epoch + 1 WHERE id = %u", first->room_sym);
  CmSql bump = { "test-bump", sql };
  {
    g_autoptr (CmDb) db = cm_pool_get (fixture->engine->pool, &error);
    g_assert_true (cm_db_run (db, &bump, CM_NO_ARGS, NULL, &error));
  }
  g_autoptr (CmEvent) second = say (fixture, ALICE, "second");
  g_assert_cmpint (second->depth, ==, first->depth + 1);
  g_assert_cmpint (count (fixture, "event WHERE depth > 4"), ==, 2);
}

/* As a client does: again with the same id until it gets an answer. */
static gpointer
send_through_crashes (gpointer data)
{
  Sender *sender = data;
  for (guint i = 0; i < 60; i++) {
    g_autofree char *txn_id = g_strdup_printf ("m%u", i);
    g_autoptr (CmEvent) event = NULL;
    while (event == NULL) {
      g_autoptr (GError) error = NULL;
      event = send_transaction (sender->fixture, ALICE, sender->device, txn_id, &error);
      if (event == NULL)
        g_assert_cmpuint (cm_error_status (error->code), ==, 503);
    }
    g_ptr_array_add (sender->ids, g_strdup (event->event_id));
  }
  return NULL;
}

/* PostgreSQL is killed under load: all that was acknowledged is there, each once, in one chain. */
static void
test_database_killed (Fixture *fixture, gconstpointer data)
{
  Sender senders[] = { { .device = "A" }, { .device = "B" }, { .device = "C" } };
  GThread *threads[G_N_ELEMENTS (senders)];
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++) {
    senders[i].fixture = fixture;
    senders[i].ids = g_ptr_array_new_with_free_func (g_free);
    threads[i] = g_thread_new ("sender", send_through_crashes, &senders[i]);
  }
  for (guint i = 0; i < 3; i++) {
    g_usleep (30 * G_TIME_SPAN_MILLISECOND);
    test_cluster_signal (cluster, SIGKILL);
  }
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++)
    g_thread_join (threads[i]);
  engine_assert_value (fixture->engine, "180", "SELECT count (*) FROM event WHERE depth > 4");
  engine_assert_value (fixture->engine, "180",
                       "SELECT count (DISTINCT depth) FROM event WHERE depth > 4");
  for (guint i = 0; i < G_N_ELEMENTS (senders); i++) {
    for (guint j = 0; j < senders[i].ids->len; j++)
      engine_assert_value (fixture->engine, "1",
                           "SELECT count (*) FROM event WHERE event_id = '%s'",
                           (char *) senders[i].ids->pdata[j]);
    g_ptr_array_unref (senders[i].ids);
  }
}

static void
test_members (Fixture *fixture, gconstpointer data)
{
  engine_member (fixture->room, ALICE, BOB, "invite");
  g_autofree char *user =
      engine_value (fixture->engine, "SELECT id FROM sym WHERE text = '%s'", BOB);
#define MEMBER(column) "SELECT " column " FROM member WHERE user_id = %s", user
  engine_assert_value (fixture->engine, "invite", MEMBER ("membership"));
  engine_assert_value (fixture->engine, "true", MEMBER ("local"));
  engine_member (fixture->room, BOB, BOB, "join");
  g_autofree char *joined = engine_value (fixture->engine, MEMBER ("position"));
  g_autoptr (CmEvent) named = engine_send (fixture->room, BOB, "m.room.member", BOB,
                                           "{'membership':'join','displayname':'Bob'}");
  engine_assert_value (fixture->engine, joined, MEMBER ("position"));
  g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, named->number);
  engine_assert_value (fixture->engine, number, MEMBER ("event"));
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_assert_cmpint (view->joined, ==, 2);
  g_assert_cmpint (view->local_joined, ==, 2);
  g_assert_cmpint (view->invited, ==, 0);
  g_assert_cmpint (GPOINTER_TO_INT (g_hash_table_lookup (view->servers, HERE)), ==, 2);
  engine_assert_value (fixture->engine, "2", "SELECT joined FROM room_server");
  engine_member (fixture->room, ALICE, BOB, "leave");
  engine_assert_value (fixture->engine, "leave", MEMBER ("membership"));
  engine_assert_value (fixture->engine, "1", "SELECT joined FROM room_server");
  engine_assert_value (fixture->engine, "invite join leave",
                       "SELECT string_agg (membership, ' ' ORDER BY position) FROM member_history "
                       "WHERE user_id = %s",
                       user);
  engine_member (fixture->room, ALICE, ALICE, "leave");
  engine_assert_value (fixture->engine, NULL, "SELECT joined FROM room_server");
}

static void
test_current_state (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmEvent) topic =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'a'}");
  g_autoptr (CmEvent) later =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'b'}");
  g_autofree char *number = g_strdup_printf ("%" G_GINT64_FORMAT, later->number);
  engine_assert_value (fixture->engine, number, "SELECT event FROM current_state WHERE type = %u",
                       later->type_sym);
  engine_assert_value (fixture->engine, "5", "SELECT count (*) FROM current_state");
  g_assert_cmpint (topic->state_after, ==, later->state_before);
  g_assert_cmpint (later->state_after, !=, later->state_before);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmStateMap) before =
      cm_rooms_state_at (fixture->engine->rooms, later->state_before, &error);
  g_autoptr (CmEvent) was =
      cm_rooms_event_in (fixture->engine->rooms, before, "m.room.topic", "", &error);
  g_assert_no_error (error);
  g_assert_cmpstr (was->event_id, ==, topic->event_id);
}

typedef struct {
  GString *text;
  const CmEvent *seen;
} Log;

static void
note_topic (CmTopicKind kind, const char *name, gpointer data)
{
  Log *log = data;
  g_string_append_printf (log->text, "%c:%s ", "URS"[kind], name);
}

static void
on_commit (const CmWrite *write, gint64 position, gpointer data)
{
  Log *log = data;
  GPtrArray *events = cm_write_attached (write, "events");
  cm_write_foreach_topic (write, note_topic, log);
  for (guint i = 0; events != NULL && i < events->len; i++) {
    const CmEvent *event = events->pdata[i];
    g_assert_cmpint (event->position, >=, position);
    g_string_append_printf (log->text, "%s ", event->type);
  }
}

static void
on_event (CmWrite *write, gint64 offset, const CmEvent *event, const CmRoomView *view,
          gpointer data)
{
  Log *log = data;
  g_string_append_printf (log->text, "hook:%s:%" G_GINT64_FORMAT " ", event->type, view->joined);
}

/* Listeners see the positions, topics name those concerned, and the floor above may add to the
 * write. */
static void
test_listeners (Fixture *fixture, gconstpointer data)
{
  Log log = { g_string_new (NULL), NULL };
  g_clear_pointer (&fixture->room, cm_room_unref);
  fixture->engine->hooks = (CmRoomHooks){ on_event, &log };
  engine_restart (fixture->engine);
  cm_committer_listen (fixture->engine->committer, on_commit, &log);
  fixture->room = engine_get (fixture->engine, fixture->room_id);
  engine_member (fixture->room, ALICE, BOB, "invite");
  g_autofree char *expected =
      g_strdup_printf ("hook:m.room.member:1 U:%s R:%s m.room.member ", BOB, fixture->room_id);
  g_assert_cmpstr (log.text->str, ==, expected);
  g_string_truncate (log.text, 0);
  g_autoptr (CmEvent) message = say (fixture, ALICE, "hi");
  g_autofree char *second =
      g_strdup_printf ("hook:m.room.message:1 R:%s m.room.message ", fixture->room_id);
  g_assert_cmpstr (log.text->str, ==, second);
  g_clear_pointer (&fixture->room, cm_room_unref);
  engine_restart (fixture->engine);
  fixture->room = engine_get (fixture->engine, fixture->room_id);
  g_string_free (log.text, TRUE);
}

static void
test_template (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) content = fixture_json ("{'membership':'join'}");
  CmDraft draft = { .type = "m.room.member",
                    .state_key = CAROL,
                    .sender = CAROL,
                    .content = cm_json_doc_root (content) };
  gint64 before = count (fixture, "event");
  g_autoptr (CmJsonDoc) template = cm_room_template (fixture->room, &draft, &error);
  g_assert_no_error (error);
  const CmJson *object = cm_json_doc_root (template);
  g_assert_cmpstr (cm_json_get_text (object, "sender"), ==, CAROL);
  g_assert_cmpstr (cm_json_get_text (object, "state_key"), ==, CAROL);
  g_assert_cmpstr (cm_json_get_text (object, "room_id"), ==, fixture->room_id);
  g_assert_cmpint (cm_json_get_integer (object, "depth", 0), ==, 5);
  g_assert_cmpuint (cm_json_length (cm_json_get_array (object, "prev_events")), ==, 1);
  g_assert_null (cm_json_get (object, "hashes"));
  g_assert_null (cm_json_get (object, "signatures"));
  g_assert_cmpint (count (fixture, "event"), ==, before);
  engine_member (fixture->room, ALICE, CAROL, "ban");
  g_assert_null (cm_room_template (fixture->room, &draft, &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
}

/* CVE-2024-6302: the sender himself or one with the level; a member of the same server is neither,
 * though other servers would let his redaction pass. */
static void
test_cve_2024_6302_redaction_auth (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  engine_member (fixture->room, BOB, BOB, "join");
  g_autoptr (CmEvent) hers = say (fixture, ALICE, "hers"), his = say (fixture, BOB, "his"),
                      other = say (fixture, BOB, "other");
  g_assert_null (engine_redact (fixture->room, BOB, hers->event_id, &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  g_autoptr (CmEvent) own = engine_redact (fixture->room, BOB, his->event_id, &error);
  g_assert_no_error (error);
  g_autoptr (CmEvent) by_level = engine_redact (fixture->room, ALICE, other->event_id, &error);
  g_assert_no_error (error);
  CmEventStore *store = cm_rooms_events (fixture->engine->rooms);
  g_autoptr (CmEvent) kept = cm_event_store_get (store, hers->number, &error),
                      gone = cm_event_store_get (store, his->number, &error);
  g_assert_cmpuint (kept->flags & CM_EVENT_REDACTED, ==, 0);
  g_assert_cmpstr (gone->redacted_because, ==, own->event_id);
  /* Across rooms, and of what nobody knows. */
  g_autoptr (CmRoom) second = engine_room (fixture->engine, "11", BOB);
  g_assert_null (engine_redact (second, BOB, hers->event_id, &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
  g_assert_null (
      engine_redact (fixture->room, ALICE, "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
}

static void
test_redaction_special_targets (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_autoptr (CmEvent) create = cm_room_state_event (view, "m.room.create", "", &error);
  g_autoptr (CmEvent) acl =
      engine_send (fixture->room, ALICE, "m.room.server_acl", "", "{'allow':['*']}");
  g_assert_null (engine_redact (fixture->room, ALICE, create->event_id, &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  g_assert_null (engine_redact (fixture->room, ALICE, acl->event_id, &error));
  fixture_assert_error (&error, CM_ERROR_FORBIDDEN);
  /* A redacted redaction gives nothing back, and the first reason stays. */
  g_autoptr (CmEvent) message = say (fixture, ALICE, "message");
  g_autoptr (CmEvent) first = engine_redact (fixture->room, ALICE, message->event_id, &error);
  g_autoptr (CmEvent) second = engine_redact (fixture->room, ALICE, first->event_id, &error);
  g_autoptr (CmEvent) third = engine_redact (fixture->room, ALICE, message->event_id, &error);
  g_assert_no_error (error);
  restart (fixture);
  CmEventStore *store = cm_rooms_events (fixture->engine->rooms);
  g_autoptr (CmEvent) pruned = cm_event_store_get (store, message->number, &error);
  g_assert_cmpuint (pruned->flags & CM_EVENT_REDACTED, !=, 0);
  g_assert_cmpstr (pruned->redacted_because, ==, first->event_id);
}

/* What a redaction takes from a state event is gone from the state too, and the room lives on. */
static void
test_redacted_state (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) topic =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'secret'}");
  g_autoptr (CmEvent) redaction = engine_redact (fixture->room, ALICE, topic->event_id, &error);
  g_assert_no_error (error);
  g_autoptr (CmRoomView) view = cm_room_view (fixture->room);
  g_autoptr (CmEvent) shown = cm_room_state_event (view, "m.room.topic", "", &error);
  g_assert_cmpstr (shown->event_id, ==, topic->event_id);
  g_assert_null (cm_json_get (shown->content, "topic"));
  g_autoptr (CmEvent) again =
      engine_send (fixture->room, ALICE, "m.room.topic", "", "{'topic':'secret'}");
  g_assert_cmpstr (again->event_id, !=, topic->event_id);
}

typedef struct {
  CmRoom *room;
  const char *target;
  GError *error;
} Redacting;

static gpointer
redact (gpointer data)
{
  Redacting *redacting = data;
  return engine_redact (redacting->room, ALICE, redacting->target, &redacting->error);
}

/* The outcome of a redaction is lost with the connection, and it is in the database after all: what
 * it took away is not shown from memory. */
static void
test_redaction_in_doubt (Fixture *fixture, gconstpointer data)
{
  Engine *engine = fixture->engine;
  g_autoptr (CmEvent) secret = say (fixture, ALICE, "secret"),
                      other = say (fixture, ALICE, "other");
  Redacting redacting = { fixture->room, secret->event_id, NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (CmDb) db = cm_pool_get (engine->pool, &error);
  g_autofree char *outcome = g_strdup_printf (
      "UPDATE event SET flags = flags | %d, redacted_by = %" G_GINT64_FORMAT
      " WHERE id = %" G_GINT64_FORMAT "; UPDATE stream SET batch = batch + 1; COMMIT",
      CM_EVENT_REDACTED, other->number, secret->number);

  g_assert_true (cm_db_script (db, "BEGIN; SELECT FROM stream FOR UPDATE", &error));
  GThread *thread = g_thread_new ("redact", redact, &redacting);
  for (g_autofree char *ended = NULL; g_strcmp0 (ended, "true") != 0; g_usleep (10000)) {
    g_free (ended);
    ended =
        engine_value (engine, "SELECT bool_or (pg_terminate_backend (pid)) FROM pg_stat_activity "
                              "WHERE query LIKE 'UPDATE stream SET position%%' "
                              "AND wait_event_type = 'Lock'");
  }
  g_assert_true (cm_db_script (db, outcome, &error));
  g_assert_null (g_thread_join (thread));
  fixture_assert_error (&redacting.error, CM_ERROR_UNAVAILABLE);
  g_autoptr (CmEvent) shown =
      cm_event_store_get (cm_rooms_events (engine->rooms), secret->number, &error);
  g_assert_no_error (error);
  g_assert_null (cm_json_get (shown->content, "body"));
}

static void
test_not_held (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoom) room = cm_rooms_open (fixture->engine->rooms, "!elsewhere:there.example",
                                           cm_room_version_find ("11"), &error);
  g_assert_no_error (error);
  g_assert_null (engine_try (room, ALICE, "m.room.message", NULL, "{}", &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD(path, func) g_test_add ("/append/" path, Fixture, NULL, set_up, func, tear_down)
#define ADD_FOR(path, version, func)                                                               \
  g_test_add ("/append/" path "/" version, Fixture, version, set_up, func, tear_down)
  ADD_FOR ("send", "10", test_send);
  ADD_FOR ("send", "11", test_send);
  ADD_FOR ("send", "12", test_send);
  ADD ("forbidden", test_forbidden);
  ADD ("event-size", test_event_size);
  ADD ("unchanged-state", test_unchanged_state);
  ADD ("transaction", test_transaction);
  ADD ("refused-transaction-may-be-tried-again", test_refused_transaction_may_be_tried_again);
  ADD ("concurrent", test_concurrent);
  ADD ("concurrent-transaction", test_concurrent_transaction);
  ADD ("repeats-hurt-nobody", test_repeats_hurt_nobody);
  ADD ("batch", test_batch);
  ADD ("failed-extra", test_failed_extra);
  ADD ("stale-owner", test_stale_owner);
  ADD ("database-killed", test_database_killed);
  ADD ("members", test_members);
  ADD ("current-state", test_current_state);
  ADD ("listeners", test_listeners);
  ADD ("template", test_template);
  ADD_FOR ("CVE-2024-6302-redaction-auth", "10", test_cve_2024_6302_redaction_auth);
  ADD_FOR ("CVE-2024-6302-redaction-auth", "11", test_cve_2024_6302_redaction_auth);
  ADD_FOR ("redaction-special-targets", "10", test_redaction_special_targets);
  ADD_FOR ("redaction-special-targets", "12", test_redaction_special_targets);
  ADD ("redacted-state", test_redacted_state);
  ADD ("CVE-2024-6300-redaction-in-doubt", test_redaction_in_doubt);
  ADD ("not-held", test_not_held);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
