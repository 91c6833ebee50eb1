#include "federation/key-fetch.h"

#include "crypto/json-writer.h"
#include "federation/clock.h"
#include "federation/key-claims.h"

#define MAX_THREADS  32
#define MAX_DOCUMENT (64 * 1024)
#define MAX_NOTARY   (8 * 1024 * 1024)
#define DIRECT_MS    8000
#define NOTARY_MS    15000

struct _CmKeyFetch {
  CmKeyStore *store;
  CmFedClient *client;
  char *server_name;
  GStrv notaries;
  CmKeyClaims *claims;
};

/* One call of cm_key_fetch_run. */
typedef struct {
  CmKeyFetch *fetch;
  CmWantedKeys *wanted;
  gint64 when_ms;
} Task;

CmWantedKeys *
cm_wanted_keys_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                (GDestroyNotify) g_hash_table_unref);
}

void
cm_wanted_keys_add (CmWantedKeys *wanted, const char *server, const char *key_id)
{
  GHashTable *key_ids = g_hash_table_lookup (wanted, server);

  if (key_ids == NULL) {
    key_ids = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_insert (wanted, g_strdup (server), key_ids);
  }
  g_hash_table_add (key_ids, g_strdup (key_id));
}

static gboolean
is_satisfied (const Task *task, const char *server)
{
  GHashTable *key_ids = g_hash_table_lookup (task->wanted, server);
  GHashTableIter iter;
  gpointer key_id;

  g_hash_table_iter_init (&iter, key_ids);
  while (g_hash_table_iter_next (&iter, &key_id, NULL)) {
    g_autofree char *key = cm_key_store_find (task->fetch->store, server, key_id, task->when_ms);

    if (key == NULL)
      return FALSE;
  }
  return TRUE;
}

/* GET /_matrix/key/v2/server. @eager: a server that asks something of us is there to be asked,
 * whatever was before. */
static gboolean
fetch_directly (CmKeyFetch *fetch, const char *server, gboolean eager)
{
  const CmFedRequest request = { .method = "GET",
                                 .target = "/_matrix/key/v2/server",
                                 .max_bytes = MAX_DOCUMENT,
                                 .timeout_ms = DIRECT_MS,
                                 .unsigned_request = TRUE,
                                 .ignore_backoff = eager };
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmJsonDoc) doc = cm_fed_call (fetch->client, server, &request, NULL, &failure);
  GPtrArray *keys = NULL;

  if (doc != NULL)
    keys = cm_key_document_read (cm_json_doc_root (doc), server, cm_clock_ms (), &failure);
  if (keys == NULL) {
    g_info ("keys of %s: %s", server, failure->message);
    return FALSE;
  }
  cm_key_store_save (fetch->store, server, keys, cm_json_doc_root (doc), TRUE);
  return TRUE;
}

/* The direct part of a task. Those that answered leave their names in @answered. */
typedef struct {
  Task *task;
  GMutex lock;
  GHashTable *answered; /* set of names, borrowed */
} Direct;

static void
direct_worker (gpointer server, gpointer data)
{
  Direct *direct = data;

  if (!fetch_directly (direct->task->fetch, server, direct->task->when_ms == 0))
    return;
  g_mutex_lock (&direct->lock);
  g_hash_table_add (direct->answered, server);
  g_mutex_unlock (&direct->lock);
}

/* Asks those of @servers whose keys are still wanting. */
static void
ask_servers (Task *task, GPtrArray *servers, GHashTable *answered)
{
  Direct direct = { .task = task, .answered = answered };
  g_autoptr (GPtrArray) wanting = g_ptr_array_new ();

  for (guint i = 0; i < servers->len; i++)
    if (!is_satisfied (task, servers->pdata[i]))
      g_ptr_array_add (wanting, servers->pdata[i]);
  g_mutex_init (&direct.lock);
  if (wanting->len == 1) {
    direct_worker (wanting->pdata[0], &direct);
  } else if (wanting->len > 1) {
    GThreadPool *pool = g_thread_pool_new (direct_worker, &direct, MAX_THREADS, FALSE, NULL);

    for (guint i = 0; i < wanting->len; i++)
      g_thread_pool_push (pool, wanting->pdata[i], NULL);
    g_thread_pool_free (pool, FALSE, TRUE);
  }
  g_mutex_clear (&direct.lock);
}

/* The body of POST /_matrix/key/v2/query for what is still wanting; NULL when nothing is. */
static CmJsonDoc *
notary_question (const Task *task, GPtrArray *servers)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  guint count = 0;

  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "server_keys");
  for (guint i = 0; i < servers->len; i++) {
    GHashTableIter iter;
    gpointer key_id;

    if (is_satisfied (task, servers->pdata[i]))
      continue;
    count++;
    cm_json_open_object (writer, servers->pdata[i]);
    g_hash_table_iter_init (&iter, g_hash_table_lookup (task->wanted, servers->pdata[i]));
    while (g_hash_table_iter_next (&iter, &key_id, NULL)) {
      cm_json_open_object (writer, key_id);
      cm_json_put_integer (writer, "minimum_valid_until_ts",
                           task->when_ms != 0 ? MIN (task->when_ms, cm_clock_ms ())
                                              : cm_clock_ms ());
      cm_json_close (writer);
    }
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_close (writer);
  return count > 0 ? cm_json_writer_end_doc (writer) : NULL;
}

/* "Querying Keys Through Another Server": what a notary says counts when both it and the server
 * itself have signed. The notary's own key comes from nobody but itself. */
static gboolean
is_signed_by_notary (CmKeyFetch *fetch, const CmJson *document, const char *notary)
{
  const CmJson *signatures =
      cm_json_get_object (cm_json_get_object (document, "signatures"), notary);
  CmJsonIter iter;
  const char *key_id;

  cm_json_iter_init (&iter, signatures);
  while (cm_json_iter_next (&iter, &key_id, NULL)) {
    g_autofree char *key = cm_key_store_find (fetch->store, notary, key_id, 0);

    if (key == NULL)
      continue;
    if (cm_verify_json (document, notary, key_id, key, NULL))
      return TRUE;
  }
  return FALSE;
}

static void
take_notarized (const Task *task, const CmJson *document, const char *notary)
{
  CmKeyFetch *fetch = task->fetch;
  const char *server = cm_json_get_text (document, "server_name");
  g_autoptr (GError) failure = NULL;
  GPtrArray *keys;

  if (server == NULL || !g_hash_table_contains (task->wanted, server))
    return;
  if (!is_signed_by_notary (fetch, document, notary)) {
    g_info ("keys of %s: not signed by the notary %s", server, notary);
    return;
  }
  keys = cm_key_document_read (document, server, cm_clock_ms (), &failure);
  if (keys == NULL)
    g_info ("keys of %s from %s: %s", server, notary, failure->message);
  else
    cm_key_store_save (fetch->store, server, keys, document, FALSE);
}

void
cm_key_fetch_document (CmKeyFetch *fetch, const char *server)
{
  if (cm_key_claims_take (fetch->claims, server))
    cm_key_claims_release (fetch->claims, server, FALSE, fetch_directly (fetch, server, TRUE));
}

/* A notary whose own key is not known or not good any more is asked for that first. */
static void
know_notary (CmKeyFetch *fetch, const char *notary)
{
  const char *const servers[] = { notary, NULL };

  if (!cm_key_store_load (fetch->store, servers, NULL) ||
      cm_key_store_has_good (fetch->store, notary))
    return;
  cm_key_fetch_document (fetch, notary);
  cm_key_claims_wait (fetch->claims, notary);
}

static void
ask_notary (Task *task, GPtrArray *servers, const char *notary)
{
  g_autoptr (CmJsonDoc) question = notary_question (task, servers);
  g_autoptr (CmJsonDoc) answer = NULL;
  g_autoptr (GError) failure = NULL;
  const CmJson *document;
  CmJsonIter iter;

  if (question == NULL)
    return;
  know_notary (task->fetch, notary);
  answer = cm_fed_call (task->fetch->client, notary,
                        &(CmFedRequest){ .method = "POST",
                                         .target = "/_matrix/key/v2/query",
                                         .content = cm_json_doc_root (question),
                                         .max_bytes = MAX_NOTARY,
                                         .timeout_ms = NOTARY_MS,
                                         .unsigned_request = TRUE },
                        NULL, &failure);
  if (answer == NULL) {
    g_info ("notary %s: %s", notary, failure->message);
    return;
  }
  cm_json_iter_init (&iter, cm_json_get_array (cm_json_doc_root (answer), "server_keys"));
  while (cm_json_iter_next (&iter, NULL, &document))
    take_notarized (task, document, notary);
}

static void
ask_notaries (Task *task, GPtrArray *servers)
{
  CmKeyFetch *fetch = task->fetch;

  for (gsize i = 0; fetch->notaries[i] != NULL; i++)
    if (g_strcmp0 (fetch->notaries[i], fetch->server_name) != 0)
      ask_notary (task, servers, fetch->notaries[i]);
}

static void
release_all (Task *task, GPtrArray *servers, GHashTable *answered)
{
  for (guint i = 0; i < servers->len; i++) {
    gboolean satisfied = is_satisfied (task, servers->pdata[i]);

    cm_key_claims_release (task->fetch->claims, servers->pdata[i], satisfied,
                           satisfied || g_hash_table_contains (answered, servers->pdata[i]));
  }
}

/* Claims what nobody else fetches: @notaries and @others. */
static void
claim_all (Task *task, GPtrArray *notaries, GPtrArray *others)
{
  CmKeyFetch *fetch = task->fetch;
  GHashTableIter iter;
  gpointer server;

  g_hash_table_iter_init (&iter, task->wanted);
  while (g_hash_table_iter_next (&iter, &server, NULL)) {
    gboolean is_notary = g_strv_contains ((const char *const *) fetch->notaries, server);

    if (g_strcmp0 (server, fetch->server_name) != 0 && cm_key_claims_take (fetch->claims, server))
      g_ptr_array_add (is_notary ? notaries : others, server);
  }
}

void
cm_key_fetch_run (CmKeyFetch *fetch, CmWantedKeys *wanted, gint64 when_ms)
{
  Task task = { .fetch = fetch, .wanted = wanted, .when_ms = when_ms };
  g_autoptr (GPtrArray) notaries = g_ptr_array_new ();
  g_autoptr (GPtrArray) others = g_ptr_array_new ();
  g_autoptr (GHashTable) answered = g_hash_table_new (g_str_hash, g_str_equal);
  GHashTableIter iter;
  gpointer server;

  claim_all (&task, notaries, others);
  /* Notaries speak for themselves, and first: who holds the claim to one waits for nobody, so that
   * waiting for one ends. */
  ask_servers (&task, notaries, answered);
  release_all (&task, notaries, answered);
  /* Who calls now is there and knows his key best; of the many servers in an old room half are
   * gone, and a notary knows them all. */
  if (when_ms != 0)
    ask_notaries (&task, others);
  ask_servers (&task, others, answered);
  if (when_ms == 0)
    ask_notaries (&task, others);
  release_all (&task, others, answered);
  g_hash_table_iter_init (&iter, wanted);
  while (g_hash_table_iter_next (&iter, &server, NULL))
    cm_key_claims_wait (fetch->claims, server);
}

CmKeyFetch *
cm_key_fetch_new (CmKeyStore *store, CmFedClient *client, const char *server_name,
                  const char *const *notaries)
{
  static const char *const none[] = { NULL };
  CmKeyFetch *fetch = g_new0 (CmKeyFetch, 1);

  fetch->store = store;
  fetch->client = client;
  fetch->server_name = g_strdup (server_name);
  fetch->notaries = g_strdupv ((char **) (notaries != NULL ? notaries : none));
  fetch->claims = cm_key_claims_new ();
  return fetch;
}

void
cm_key_fetch_free (CmKeyFetch *fetch)
{
  g_free (fetch->server_name);
  g_strfreev (fetch->notaries);
  cm_key_claims_free (fetch->claims);
  g_free (fetch);
}
