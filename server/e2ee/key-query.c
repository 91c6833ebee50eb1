#include "server/e2ee/key-query.h"

#include "crypto/id.h"
#include "federation/fed-client.h"
#include "schema/remote-device.h"
#include "server/e2ee/gather.h"
#include "server/e2ee/key-answer.h"
#include "server/e2ee/remote-keys.h"
#include "server/node.h"

/* So many users of one server, who share rooms with ours, are asked for one by one, and kept; of
 * more the server is asked at once. */
#define MAX_SINGLE 10
#define MAX_ANSWER (16 * 1024 * 1024)

/* What one server is asked: user ids, borrowed from the call's body. */
typedef struct {
  GPtrArray *near; /* those who share a room with somebody here: their devices are kept */
  GPtrArray *far;
} Request;

static void
request_free (gpointer data)
{
  Request *request = data;

  g_ptr_array_unref (request->near);
  g_ptr_array_unref (request->far);
  g_free (request);
}

/* An array that stays a strv while it grows. */
static GPtrArray *
strv_new (void)
{
  GPtrArray *array = g_ptr_array_new ();

  g_ptr_array_add (array, NULL);
  return array;
}

static void
strv_add (GPtrArray *array, const char *text)
{
  g_ptr_array_insert (array, (int) array->len - 1, (gpointer) text);
}

static gboolean
strv_is_empty (const GPtrArray *array)
{
  return array->len == 1;
}

/* server-server, POST /user/keys/query. */
static CmJsonDoc *
ask_for_all (CmGather *gather, const char *server, char **user_ids)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "device_keys");
  for (gsize i = 0; user_ids[i] != NULL; i++) {
    cm_json_open_array (writer, user_ids[i]);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_close (writer);
  g_autoptr (CmJsonDoc) content = cm_json_writer_end_doc (writer);
  const CmFedRequest request = { .method = "POST",
                                 .target = "/_matrix/federation/v1/user/keys/query",
                                 .content = cm_json_doc_root (content),
                                 .max_bytes = MAX_ANSWER,
                                 .timeout_ms = cm_gather_left (gather) };
  return cm_fed_call (cm_gather_node (gather)->fed_client, server, &request, NULL, NULL);
}

static gboolean
query_far (CmGather *gather, const char *server, GPtrArray *users)
{
  char **user_ids = (char **) users->pdata;
  gboolean good;

  if (strv_is_empty (users))
    return TRUE;
  if (cm_gather_left (gather) == 0)
    return FALSE;
  g_autoptr (CmJsonDoc) body = ask_for_all (gather, server, user_ids);
  if (body == NULL)
    return FALSE;
  cm_gather_lock (gather);
  good =
      cm_key_answer_add_told (cm_gather_answer (gather), user_ids, cm_json_doc_root (body), NULL);
  cm_gather_unlock (gather);
  return good;
}

static gboolean
fetch_near (CmGather *gather, GPtrArray *users)
{
  CmRemoteKeys *keys = cm_gather_node (gather)->remote_keys;
  char **user_ids = (char **) users->pdata;
  gboolean good;

  for (gsize i = 0; user_ids[i] != NULL; i++) {
    guint left = cm_gather_left (gather);
    if (left == 0 || !cm_remote_keys_fetch (keys, user_ids[i], left, NULL))
      return FALSE;
  }
  cm_gather_lock (gather);
  good = cm_key_answer_add_kept (cm_gather_answer (gather), user_ids, NULL);
  cm_gather_unlock (gather);
  return good;
}

static gboolean
ask (CmGather *gather, const char *server, gpointer data)
{
  Request *request = data;
  gboolean single = request->near->len - 1 <= MAX_SINGLE;
  gboolean near =
      single ? fetch_near (gather, request->near) : query_far (gather, server, request->near);
  gboolean far = query_far (gather, server, request->far);

  return near && far;
}

static void
fail (gpointer answer, const char *server)
{
  cm_key_answer_add_failure (answer, server);
}

static CmReply *
finish (gpointer answer)
{
  g_autoptr (CmJsonWriter) writer = cm_key_answer_write (answer);

  return cm_reply_json (writer);
}

static const CmGatherKind kind = {
  .ask = ask,
  .fail = fail,
  .finish = finish,
  .free_answer = (GDestroyNotify) cm_key_answer_free,
  .free_request = request_free,
};

static void
sort_out (CmNode *node, const CmJson *wanted, GPtrArray *local, GPtrArray *remote)
{
  CmJsonIter iter;

  cm_json_iter_init (&iter, wanted);
  while (cm_json_iter_next (&iter, NULL, NULL)) {
    const char *user_id = cm_json_text (iter.key);
    strv_add (cm_id_domain_is (user_id, node->server_name) ? local : remote, user_id);
  }
}

/* The first column of @rows as a set. */
static GHashTable *
to_set (CmRows *rows)
{
  GHashTable *set = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_hash_table_add (set, g_strdup (cm_rows_text (rows, i, 0)));
  return set;
}

static Request *
request_to (GHashTable *requests, const char *server)
{
  Request *request = g_hash_table_lookup (requests, server);

  if (request == NULL) {
    request = g_new (Request, 1);
    *request = (Request){ strv_new (), strv_new () };
    g_hash_table_insert (requests, (gpointer) server, request);
  }
  return request;
}

/* Who of other servers' users is kept here and good goes into @kept, the others into @requests. */
static gboolean
sort_out_remote (CmNode *node, GPtrArray *remote, GPtrArray *kept, GHashTable *requests,
                 GError **error)
{
  char **user_ids = (char **) remote->pdata;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (CmRows) fresh_rows = db != NULL ? cm_remote_lists_fresh (db, user_ids, error) : NULL;
  g_autoptr (CmRows) near_rows =
      fresh_rows != NULL ? cm_remote_users_near (db, user_ids, error) : NULL;

  if (near_rows == NULL)
    return FALSE;
  g_autoptr (GHashTable) fresh = to_set (fresh_rows);
  g_autoptr (GHashTable) near = to_set (near_rows);
  for (gsize i = 0; user_ids[i] != NULL; i++) {
    if (g_hash_table_contains (fresh, user_ids[i])) {
      strv_add (kept, user_ids[i]);
      continue;
    }
    Request *request = request_to (requests, cm_id_domain (user_ids[i]));
    strv_add (g_hash_table_contains (near, user_ids[i]) ? request->near : request->far,
              user_ids[i]);
  }
  return TRUE;
}

CmReply *
cm_key_query (CmCall *call, const CmJson *wanted, guint timeout_ms, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (GPtrArray) local = strv_new ();
  g_autoptr (GPtrArray) remote = strv_new ();
  g_autoptr (GPtrArray) kept = strv_new ();
  g_autoptr (GHashTable) requests = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (CmKeyAnswer) answer = cm_key_answer_new (node, wanted, cm_call_user (call));
  GHashTableIter iter;
  gpointer server, request;

  sort_out (node, wanted, local, remote);
  if (!strv_is_empty (remote) && !sort_out_remote (node, remote, kept, requests, error))
    return NULL;
  CmGather *gather = NULL;
  if (cm_key_answer_add_local (answer, (char **) local->pdata, error) &&
      cm_key_answer_add_kept (answer, (char **) kept->pdata, error))
    gather = cm_gather_new (call, &kind, g_steal_pointer (&answer), timeout_ms);
  g_hash_table_iter_init (&iter, requests);
  while (g_hash_table_iter_next (&iter, &server, &request)) {
    if (gather != NULL)
      cm_gather_add (gather, server, request);
    else
      request_free (request);
  }
  return gather != NULL ? cm_gather_run (gather) : NULL;
}
