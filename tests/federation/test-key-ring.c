#include "crypto/json-writer.h"
#include "federation/key-document.h"
#include "federation/key-ring.h"
#include "tests/federation/peer.h"
#include "tests/support/test-cluster.h"

#include <string.h>

#define DAY_MS (24 * 3600 * G_GINT64_CONSTANT (1000))

static TestCluster *cluster;

/* One world: a.test, which speaks for itself, n.test, a notary, and gone.test, which nobody answers
 * for. */
typedef struct {
  Authority *authority;
  CmPool *pool;
  CmOutbound *outbound;
  CmDiscovery *discovery;
  CmSigningKey *own;
  CmSigningKey *key;
  CmSigningKey *other;
  CmSigningKey *notary_key;
  CmFedClient *client;
  CmKeyRing *ring;
  Peer *server;
  Peer *notary;
  GMutex lock;
  char *document;  /* what a.test says of its keys */
  char *notarized; /* the items of the notary's answer, without brackets */
  char *question;  /* the last that the notary was asked */
  gint asked;      /* a.test, for its keys */
  gint asked_notary;
  gint delay_ms;
} World;

static gint64
now_ms (void)
{
  return g_get_real_time () / 1000;
}

static CmSigningKey *
make_key (const char *key_id, guint8 number)
{
  guint8 seed[32] = { number };

  return cm_signing_key_new (key_id, seed, NULL);
}

static char *
text_of (const CmJson *json)
{
  g_autoptr (GBytes) bytes = cm_json_canonical (json, NULL, NULL);

  return g_strndup (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
}

/* (transfer full) @json signed as @name with @key (NULL: unsigned). */
static char *
sign (const char *json, const char *name, const CmSigningKey *key)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse (json, strlen (json), NULL);
  g_autoptr (CmJsonDoc) with = NULL;

  g_assert_nonnull (doc);
  if (key == NULL)
    return text_of (cm_json_doc_root (doc));
  with = cm_sign_json (cm_json_doc_root (doc), name, key, NULL);
  return text_of (cm_json_doc_root (with));
}

/* A key document of @name that names @key as current, @old (nullable) as old since @expired. */
static char *
make_document (const char *name, const CmSigningKey *key, const CmSigningKey *old, gint64 expired,
               gint64 valid_until, const CmSigningKey *signer)
{
  g_autofree char *past =
      old == NULL ? g_strdup ("")
                  : g_strdup_printf ("\"%s\":{\"key\":\"%s\",\"expired_ts\":%" G_GINT64_FORMAT "}",
                                     cm_signing_key_id (old), cm_signing_key_public (old), expired);
  g_autofree char *json = g_strdup_printf (
      "{\"server_name\":\"%s\",\"valid_until_ts\":%" G_GINT64_FORMAT
      ",\"verify_keys\":{\"%s\":{\"key\":\"%s\"},\"ed25519:bad\":{\"key\":\"x\"},\"rsa:1\":{}},"
      "\"old_verify_keys\":{%s}}",
      name, valid_until, cm_signing_key_id (key), cm_signing_key_public (key), past);

  return sign (json, name, signer);
}

static void
set_text (World *w, char **where, char *text)
{
  g_mutex_lock (&w->lock);
  g_free (*where);
  *where = text;
  g_mutex_unlock (&w->lock);
}

static gboolean
serve_keys (const PeerRequest *request, GOutputStream *out, gpointer data)
{
  World *w = data;
  g_autofree char *authorization = peer_request_header (request, "Authorization");
  g_autofree char *text = NULL;

  g_assert_cmpstr (request->target, ==, "/_matrix/key/v2/server");
  g_assert_null (authorization);
  g_atomic_int_inc (&w->asked);
  g_usleep (g_atomic_int_get (&w->delay_ms) * 1000);
  g_mutex_lock (&w->lock);
  text = g_strdup (w->document);
  g_mutex_unlock (&w->lock);
  return peer_reply (out, text != NULL ? 200 : 404, NULL, text != NULL ? text : "{}");
}

static gboolean
serve_notary (const PeerRequest *request, GOutputStream *out, gpointer data)
{
  World *w = data;
  g_autofree char *text = NULL;

  if (g_str_equal (request->method, "GET")) {
    text = make_document ("n.test", w->notary_key, NULL, 0, now_ms () + DAY_MS, w->notary_key);
    return peer_reply (out, 200, NULL, text);
  }
  g_assert_cmpstr (request->target, ==, "/_matrix/key/v2/query");
  g_atomic_int_inc (&w->asked_notary);
  g_mutex_lock (&w->lock);
  text = g_strdup_printf ("{\"server_keys\":[%s]}", w->notarized ? w->notarized : "");
  g_free (w->question);
  w->question =
      g_strndup (g_bytes_get_data (request->body, NULL), g_bytes_get_size (request->body));
  g_mutex_unlock (&w->lock);
  return peer_reply (out, 200, NULL, text);
}

static void
open_ring (World *w, gboolean with_notary)
{
  static const char *const notaries[] = { "n.test", NULL };
  g_autoptr (GError) error = NULL;

  g_clear_pointer (&w->ring, cm_key_ring_free);
  w->ring = cm_key_ring_new (w->pool, w->client, "here.test", w->own, with_notary ? notaries : NULL,
                             &error);
  g_assert_no_error (error);
}

static void
set_up (World *w, gconstpointer with_notary)
{
  static const char *const allow[] = { "127.0.0.1", NULL };
  g_autoptr (GTlsCertificate) certificate = NULL;
  g_autofree char *a = NULL, *n = NULL, *b = NULL;

  g_mutex_init (&w->lock);
  w->authority = authority_new ();
  certificate = authority_sign (w->authority, "DNS:a.test,DNS:n.test,DNS:b.test", 5);
  w->server = peer_new (certificate, serve_keys, w);
  w->notary = peer_new (certificate, serve_notary, w);
  w->own = make_key ("ed25519:own", 1);
  w->key = make_key ("ed25519:k", 2);
  w->other = make_key ("ed25519:other", 3);
  w->notary_key = make_key ("ed25519:n", 4);
  w->document = make_document ("a.test", w->key, NULL, 0, now_ms () + DAY_MS, w->key);
  w->pool = test_cluster_pool (cluster, 4, TRUE);
  a = g_strdup_printf ("a.test=127.0.0.1:%u", peer_port (w->server));
  n = g_strdup_printf ("n.test=127.0.0.1:%u", peer_port (w->notary));
  b = g_strdup_printf ("b.test=127.0.0.1:%u", peer_port (w->server));
  {
    const char *const resolve[] = {
      a, n, b, "gone.test=127.0.0.1:1", "gone2.test=127.0.0.1:1", NULL
    };

    w->outbound = cm_outbound_new (&(CmOutboundPolicy){ .allow = allow,
                                                        .verify_tls = TRUE,
                                                        .ca_file = authority_file (w->authority) },
                                   NULL);
    w->discovery = cm_discovery_new (w->outbound, resolve, NULL);
  }
  w->client = cm_fed_client_new (w->outbound, w->discovery, "here.test", w->own);
  open_ring (w, with_notary != NULL);
}

static void
tear_down (World *w, gconstpointer data)
{
  cm_key_ring_free (w->ring);
  cm_fed_client_free (w->client);
  cm_discovery_free (w->discovery);
  cm_outbound_free (w->outbound);
  peer_free (w->server);
  peer_free (w->notary);
  cm_pool_free (w->pool);
  authority_free (w->authority);
  cm_signing_key_unref (w->own);
  cm_signing_key_unref (w->key);
  cm_signing_key_unref (w->other);
  cm_signing_key_unref (w->notary_key);
  g_free (w->document);
  g_free (w->notarized);
  g_free (w->question);
  g_mutex_clear (&w->lock);
}

static gboolean
has (World *w, const char *server, const CmSigningKey *key, gint64 when_ms)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *found =
      cm_key_ring_get (w->ring, server, cm_signing_key_id (key), when_ms, &error);

  if (found == NULL) {
    g_assert_error (error, CM_ERROR, CM_ERROR_UNAUTHORIZED);
    return FALSE;
  }
  g_assert_cmpstr (found, ==, cm_signing_key_public (key));
  return TRUE;
}

static void
test_direct (World *w, gconstpointer data)
{
  for (int i = 0; i < 3; i++)
    g_assert_true (has (w, "a.test", w->key, 0));
  g_assert_cmpint (w->asked, ==, 1);
  open_ring (w, FALSE); /* a restart */
  g_assert_true (has (w, "a.test", w->key, 0));
  g_assert_true (has (w, "a.test", w->key, now_ms () - 1000 * DAY_MS));
  g_assert_cmpint (w->asked, ==, 1);
}

/* CVE-2024-6299 fed-key-trust: documents that must not be believed. */
static void
test_bad_documents_cve_2024_6299 (World *w, gconstpointer data)
{
  gint64 later = now_ms () + DAY_MS;
  char *documents[] = {
    NULL,
    g_strdup ("[]"),
    g_strdup ("{}"),
    make_document ("b.test", w->key, NULL, 0, later, w->key),
    make_document ("a.test", w->key, NULL, 0, later, NULL),
    make_document ("a.test", w->key, NULL, 0, later, w->other),
    make_document ("a.test", w->key, w->other, later, later, w->other),
    make_document ("a.test", w->key, NULL, 0, -1, w->key),
    g_strdup_printf ("{\"server_name\":\"a.test\",\"valid_until_ts\":%" G_GINT64_FORMAT "}", later),
  };

  for (gsize i = 0; i < G_N_ELEMENTS (documents); i++) {
    set_text (w, &w->document, documents[i]);
    open_ring (w, FALSE);
    g_assert_false (has (w, "a.test", w->key, 0));
    g_assert_false (has (w, "a.test", w->other, 0));
    g_assert_cmpint (w->asked, ==, (int) i + 1);
  }
}

/* fed-key-trust: no longer than seven days, nor than the document says. */
static void
test_validity_cve_2024_6299 (World *w, gconstpointer data)
{
  set_text (w, &w->document,
            make_document ("a.test", w->key, NULL, 0, now_ms () + 365 * DAY_MS, w->key));
  g_assert_true (has (w, "a.test", w->key, now_ms () + 6 * DAY_MS));
  g_assert_false (has (w, "a.test", w->key, now_ms () + 8 * DAY_MS));

  set_text (w, &w->document, make_document ("a.test", w->key, NULL, 0, now_ms () - DAY_MS, w->key));
  {
    g_autoptr (CmDb) db = cm_pool_get (w->pool, NULL);

    cm_db_script (db, "DELETE FROM server_key WHERE server = 'a.test'", NULL);
  }
  open_ring (w, FALSE);
  g_assert_false (has (w, "a.test", w->key, 0));
  g_assert_false (has (w, "a.test", w->key, now_ms () - DAY_MS / 2));
  g_assert_true (has (w, "a.test", w->key, now_ms () - 2 * DAY_MS));
}

/* fed-key-trust: a key that was retired signs no requests and no later events. */
static void
test_retired_cve_2024_6299 (World *w, gconstpointer data)
{
  gint64 expired = now_ms () - DAY_MS;

  g_assert_true (has (w, "a.test", w->key, 0));
  set_text (w, &w->document,
            make_document ("a.test", w->other, w->key, expired, now_ms () + DAY_MS, w->other));
  open_ring (w, FALSE);
  g_assert_true (has (w, "a.test", w->other, 0)); /* unknown, so that the document is read */
  g_assert_false (has (w, "a.test", w->key, 0));
  g_assert_false (has (w, "a.test", w->key, expired + 1));
  g_assert_true (has (w, "a.test", w->key, expired));
  open_ring (w, FALSE);
  g_assert_false (has (w, "a.test", w->key, expired + 1));
  g_assert_true (has (w, "a.test", w->key, expired));
}

/* A document may not make the past of another key: expired_ts in the future is now at most. */
static void
test_retired_in_future (World *w, gconstpointer data)
{
  set_text (w, &w->document,
            make_document ("a.test", w->other, w->key, now_ms () + 1000 * DAY_MS,
                           now_ms () + DAY_MS, w->other));
  g_assert_true (has (w, "a.test", w->other, 0));
  g_assert_false (has (w, "a.test", w->key, now_ms () + DAY_MS));
}

static void
test_unknown_keys_are_asked_for_once (World *w, gconstpointer data)
{
  for (int i = 0; i < 20; i++) {
    g_autofree char *key_id = g_strdup_printf ("ed25519:no%d", i);

    g_assert_null (cm_key_ring_get (w->ring, "a.test", key_id, 0, NULL));
    g_assert_null (cm_key_ring_get (w->ring, "gone.test", key_id, 0, NULL));
  }
  g_assert_cmpint (w->asked, ==, 1);
}

static gpointer
get_in_thread (gpointer data)
{
  World *w = data;

  g_assert_true (has (w, "a.test", w->key, 0));
  return NULL;
}

static void
test_one_fetch_for_many_threads (World *w, gconstpointer data)
{
  GThread *threads[12];

  w->delay_ms = 150;
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("get", get_in_thread, w);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpint (w->asked, ==, 1);
}

/* A server that is left alone is asked for its keys all the same when it calls. */
static void
test_backed_off_server_calls (World *w, gconstpointer data)
{
  cm_backoff_failed (cm_fed_client_backoff (w->client), "a.test");
  g_assert_true (has (w, "a.test", w->key, 0));
  g_assert_cmpint (cm_backoff_until (cm_fed_client_backoff (w->client), "a.test"), ==, 0);
}

static char *
notarize (World *w, const char *document, const CmSigningKey *notary_key)
{
  return sign (document, "n.test", notary_key);
}

static void
test_notary (World *w, gconstpointer data)
{
  gint64 later = now_ms () + DAY_MS;
  g_autofree char *good = make_document ("gone.test", w->key, NULL, 0, later, w->key);
  g_autofree char *unsigned_one = make_document ("gone.test", w->key, NULL, 0, later, NULL);
  g_autofree char *foreign = make_document ("gone2.test", w->key, NULL, 0, later, w->key);
  char *answers[] = {
    g_strdup (good),
    notarize (w, good, w->other),
    notarize (w, unsigned_one, w->notary_key),
    notarize (w, foreign, w->notary_key),
    g_strdup ("1,null,[]"),
    NULL,
  };

  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++) {
    set_text (w, &w->notarized, answers[i]);
    open_ring (w, TRUE);
    g_assert_false (has (w, "gone.test", w->key, 0));
    g_assert_cmpint (w->asked_notary, ==, (int) i + 1);
  }
  set_text (w, &w->notarized, notarize (w, good, w->notary_key));
  open_ring (w, TRUE);
  g_assert_true (has (w, "gone.test", w->key, 0));
  g_assert_false (has (w, "gone2.test", w->key, 0));
}

static void
test_prefetch (World *w, gconstpointer data)
{
  static const char *const servers[] = { "gone.test", "gone2.test", "a.test", "a.test",
                                         "here.test" };
  static const char *const key_ids[] = { "ed25519:k", "ed25519:k", "ed25519:k", "ed25519:k",
                                         "ed25519:own" };
  gint64 later = now_ms () + DAY_MS;
  g_autofree char *one = make_document ("gone.test", w->key, NULL, 0, later, w->key);
  g_autofree char *two = make_document ("gone2.test", w->key, NULL, 0, later, w->key);
  g_autofree char *first = notarize (w, one, w->notary_key);
  g_autofree char *second = notarize (w, two, w->notary_key);

  set_text (w, &w->notarized, g_strconcat (first, ",", second, NULL));
  cm_key_ring_prefetch (w->ring, servers, key_ids, G_N_ELEMENTS (servers));
  g_assert_cmpint (w->asked_notary, ==, 1);
  g_assert_cmpint (w->asked, ==, 1);
  g_assert_nonnull (strstr (w->question, "\"gone2.test\":{\"ed25519:k\""));
  g_assert_true (has (w, "gone.test", w->key, 1));
  g_assert_true (has (w, "gone2.test", w->key, 1));
  g_assert_true (has (w, "a.test", w->key, 1));
  cm_key_ring_prefetch (w->ring, servers, key_ids, G_N_ELEMENTS (servers));
  g_assert_cmpint (w->asked_notary, ==, 1);
}

static void
test_verify_json (World *w, gconstpointer data)
{
  g_autofree char *good = sign ("{\"a\":1}", "a.test", w->key);
  g_autofree char *two = sign (good, "a.test", w->other); /* one that is not known, one that is */
  g_autofree char *wrong = sign ("{\"a\":1}", "a.test", w->other);
  g_autoptr (CmJsonDoc) good_doc = cm_json_parse (two, strlen (two), NULL);
  g_autoptr (CmJsonDoc) wrong_doc = cm_json_parse (wrong, strlen (wrong), NULL);
  g_autoptr (CmJsonDoc) none = cm_json_parse ("{}", 2, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (cm_key_ring_verify_json (w->ring, cm_json_doc_root (good_doc), "a.test", 0, NULL));
  g_assert_false (
      cm_key_ring_verify_json (w->ring, cm_json_doc_root (wrong_doc), "a.test", 0, NULL));
  g_assert_false (cm_key_ring_verify_json (w->ring, cm_json_doc_root (none), "a.test", 0, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_UNAUTHORIZED);
}

static void
test_own_document (World *w, gconstpointer data)
{
  g_autoptr (CmSigningKey) first = cm_signing_key_ref (w->own);
  g_autoptr (CmJsonDoc) doc = cm_key_ring_own_document (w->ring, NULL);
  const CmJson *root = cm_json_doc_root (doc);
  gint64 valid_until = cm_json_get_integer (root, "valid_until_ts", 0);

  g_assert_true (
      cm_verify_json (root, "here.test", "ed25519:own", cm_signing_key_public (w->own), NULL));
  g_assert_cmpint (valid_until, >, now_ms () + 6 * DAY_MS);
  g_assert_cmpint (valid_until, <=, now_ms () + 7 * DAY_MS);
  g_assert_cmpuint (cm_json_length (cm_json_get_object (root, "old_verify_keys")), ==, 0);
  g_assert_true (has (w, "here.test", w->own, 0));

  cm_signing_key_unref (w->own);
  w->own = make_key ("ed25519:new", 9);
  open_ring (w, FALSE);
  {
    g_autoptr (CmJsonDoc) next = cm_key_ring_own_document (w->ring, NULL);
    g_autoptr (GPtrArray) keys =
        cm_key_document_read (cm_json_doc_root (next), "here.test", now_ms (), NULL);

    g_assert_cmpuint (keys->len, ==, 2);
    g_assert_cmpstr (((CmServerKey *) keys->pdata[1])->key_id, ==, "ed25519:own");
    g_assert_true (((CmServerKey *) keys->pdata[1])->expired);
  }
  g_assert_true (has (w, "here.test", w->own, 0));
  g_assert_false (has (w, "here.test", first, 0));
  g_assert_true (has (w, "here.test", first, now_ms () - DAY_MS));
  g_assert_cmpint (w->asked, ==, 0);
}

static void
test_notary_service (World *w, gconstpointer data)
{
  g_autoptr (CmJsonDoc) own =
      cm_key_ring_document (w->ring, "here.test", NULL, now_ms (), TRUE, NULL);
  g_autoptr (CmJsonDoc) first =
      cm_key_ring_document (w->ring, "a.test", NULL, now_ms (), TRUE, NULL);
  g_autoptr (CmJsonDoc) again =
      cm_key_ring_document (w->ring, "a.test", "ed25519:k", now_ms (), TRUE, NULL);
  g_autoptr (CmJsonDoc) never =
      cm_key_ring_document (w->ring, "a.test", "ed25519:z", now_ms (), TRUE, NULL);
  g_autoptr (CmJsonDoc) gone =
      cm_key_ring_document (w->ring, "gone.test", NULL, now_ms (), TRUE, NULL);
  const CmJson *document = cm_json_doc_root (first);

  g_assert_nonnull (own);
  g_assert_nonnull (again);
  g_assert_null (never);
  g_assert_null (gone);
  g_assert_true (
      cm_verify_json (document, "a.test", "ed25519:k", cm_signing_key_public (w->key), NULL));
  g_assert_true (
      cm_verify_json (document, "here.test", "ed25519:own", cm_signing_key_public (w->own), NULL));
  g_assert_cmpint (w->asked, ==, 1);
}

/* Once a.test has changed its key; and of what a notary tells, what is older does not take its
 * place. */
static void
test_notary_service_of_changed_keys (World *w, gconstpointer data)
{
  gint64 later = now_ms () + DAY_MS;
  g_autofree char *early = make_document ("gone.test", w->key, NULL, 0, later, w->key);
  g_autofree char *late = make_document ("gone.test", w->other, NULL, 0, later + 1, w->other);
  g_autofree char *early_signed = sign (early, "n.test", w->notary_key);
  g_autofree char *late_signed = sign (late, "n.test", w->notary_key);
  g_autoptr (CmJsonDoc) before = NULL, after = NULL, old = NULL, newest = NULL;

  g_assert_true (has (w, "a.test", w->key, 0));
  before = cm_key_ring_document (w->ring, "a.test", "ed25519:k", 0, FALSE, NULL);
  g_assert_nonnull (before);
  set_text (w, &w->document,
            make_document ("a.test", w->other, w->key, now_ms (), now_ms () + 1000, w->other));
  g_assert_true (has (w, "a.test", w->other, 0));
  after = cm_key_ring_document (w->ring, "a.test", "ed25519:other", 0, FALSE, NULL);
  old = cm_key_ring_document (w->ring, "a.test", "ed25519:k", 0, FALSE, NULL);
  g_assert_nonnull (after);
  g_assert_nonnull (old);

  set_text (w, &w->notarized, g_strconcat (late_signed, ",", early_signed, NULL));
  g_assert_true (has (w, "gone.test", w->other, 1));
  g_assert_true (has (w, "gone.test", w->key, 1));
  newest = cm_key_ring_document (w->ring, "gone.test", "ed25519:other", 0, FALSE, NULL);
  g_assert_nonnull (newest);
}

/* A document of a.test that names @key as current, and as many old ones as may be. */
static char *
make_long_document (const CmSigningKey *key)
{
  g_autoptr (GString) past = g_string_new (NULL);
  g_autofree char *json = NULL;

  for (int i = 1; i < CM_SERVER_KEYS_MAX; i++)
    g_string_append_printf (past, "%s\"%s_%d\":{\"key\":\"%s\",\"expired_ts\":%d}",
                            i == 1 ? "" : ",", cm_signing_key_id (key), i,
                            cm_signing_key_public (key), i);
  json = g_strdup_printf ("{\"server_name\":\"a.test\",\"valid_until_ts\":%" G_GINT64_FORMAT
                          ",\"verify_keys\":{\"%s\":{\"key\":\"%s\"}},\"old_verify_keys\":{%s}}",
                          now_ms () + DAY_MS, cm_signing_key_id (key), cm_signing_key_public (key),
                          past->str);
  return sign (json, "a.test", key);
}

static gint64
count_kept (World *w)
{
  static const CmSql count = { "count",
                               "SELECT count (*) FROM server_key WHERE server = 'a.test'" };
  g_autoptr (CmDb) db = cm_pool_get (w->pool, NULL);
  g_autoptr (CmRows) rows = cm_db_query (db, &count, CM_NO_ARGS, NULL);

  return cm_rows_integer (rows, 0, 0);
}

static gint64
bytes_kept (World *w)
{
  static const CmSql sum = {
    "sum", "SELECT (SELECT sum (octet_length (k::text)) FROM server_key k WHERE server = 'a.test')"
           " + (SELECT sum (octet_length (document)) FROM server_key_document"
           " WHERE server = 'a.test')"
  };
  g_autoptr (CmDb) db = cm_pool_get (w->pool, NULL);
  g_autoptr (CmRows) rows = cm_db_query (db, &sum, CM_NO_ARGS, NULL);

  return cm_rows_integer (rows, 0, 0);
}

/* A server that names new keys all the time is not remembered for ever, and loses nothing that it
 * still stands by. */
static void
test_keys_of_a_server_are_bounded (World *w, gconstpointer data)
{
  static const char *const names[] = { "ed25519:r0", "ed25519:r1", "ed25519:r2", "ed25519:r3" };
  g_autoptr (CmSigningKey) first = make_key (names[0], 20);
  g_autoptr (CmSigningKey) last = make_key (names[3], 23);

  g_assert_true (has (w, "a.test", w->key, 0));
  for (guint8 i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (CmSigningKey) key = make_key (names[i], 20 + i);
    set_text (w, &w->document, make_long_document (key));
    g_assert_true (has (w, "a.test", key, 0));
    g_assert_cmpint (count_kept (w), ==, CM_SERVER_KEYS_MAX);
    g_assert_cmpint (bytes_kept (w), <, 3 * (gint64) strlen (w->document));
  }
  {
    g_autoptr (GError) error = NULL;
    g_autofree char *key = cm_key_ring_kept (w->ring, "a.test", "ed25519:r0", &error);
    g_assert_null (key); /* nor in memory */
    g_assert_error (error, CM_ERROR, CM_ERROR_UNAUTHORIZED);
  }
  g_assert_true (has (w, "a.test", last, 0));
  {
    g_autofree char *old = cm_key_ring_get (w->ring, "a.test", "ed25519:r3_1", 1, NULL);
    g_assert_nonnull (old);
  }
  g_assert_cmpint (w->asked, ==, 1 + G_N_ELEMENTS (names));
  /* One that went is asked for when it is wanted. */
  set_text (w, &w->document, make_long_document (first));
  g_assert_true (has (w, "a.test", first, 0));
  g_assert_cmpint (w->asked, ==, 2 + G_N_ELEMENTS (names));
}

#define ADD(name, notary, func) g_test_add (name, World, notary, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  int result;

  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
  ADD ("/key-ring/direct", NULL, test_direct);
  ADD ("/key-ring/bad-documents-CVE-2024-6299", NULL, test_bad_documents_cve_2024_6299);
  ADD ("/key-ring/validity-CVE-2024-6299", NULL, test_validity_cve_2024_6299);
  ADD ("/key-ring/retired-CVE-2024-6299", NULL, test_retired_cve_2024_6299);
  ADD ("/key-ring/retired-in-future", NULL, test_retired_in_future);
  ADD ("/key-ring/unknown-keys-are-asked-for-once", NULL, test_unknown_keys_are_asked_for_once);
  ADD ("/key-ring/one-fetch-for-many-threads", NULL, test_one_fetch_for_many_threads);
  ADD ("/key-ring/backed-off-server-calls", NULL, test_backed_off_server_calls);
  ADD ("/key-ring/notary", "notary", test_notary);
  ADD ("/key-ring/prefetch", "notary", test_prefetch);
  ADD ("/key-ring/verify-json", NULL, test_verify_json);
  ADD ("/key-ring/own-document", NULL, test_own_document);
  ADD ("/key-ring/fed-key-storage", NULL, test_keys_of_a_server_are_bounded);
  ADD ("/key-ring/notary-service", NULL, test_notary_service);
  ADD ("/key-ring/notary-service/changed-keys", "notary", test_notary_service_of_changed_keys);
  result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
