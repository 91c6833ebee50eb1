#include "server/sync/request.h"

#include "schema/account-data.h"
#include "server/node.h"

#include <string.h>

/* No answer is held for longer, whatever a client asks: what stands between may close the
 * connection first. */
#define MAX_TIMEOUT_MS (10 * 60 * 1000)

static GBytes *
stored_filter (CmNode *node, const char *user_id, const char *text, GError **error)
{
  guint64 id;

  if (!g_ascii_string_to_unsigned (text, 10, 1, G_MAXINT64, &id, NULL)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "filter is no filter id");
    return NULL;
  }
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  return db != NULL ? cm_filter_get (db, user_id, (gint64) id, error) : NULL;
}

CmSyncFilter *
cm_sync_filter_named (CmNode *node, const char *user_id, const char *text, GError **error)
{
  g_autoptr (CmJsonDoc) doc = NULL;
  g_autoptr (GBytes) stored = NULL;

  if (text == NULL)
    return cm_sync_filter_new (NULL, error);
  if (text[0] == '{') {
    doc = cm_json_parse_object (text, strlen (text), error);
  } else {
    stored = stored_filter (node, user_id, text, error);
    doc = stored != NULL ? cm_json_parse_bytes (stored, error) : NULL;
  }
  return doc != NULL ? cm_sync_filter_new (cm_json_doc_root (doc), error) : NULL;
}

CmSyncRequest *
cm_sync_request_new (CmCall *call, GError **error)
{
  g_autoptr (CmSyncRequest) request = g_new0 (CmSyncRequest, 1);
  const CmRequester *requester = cm_call_requester (call);
  const char *since = cm_call_query (call, "since");
  gint64 timeout;

  request->node = cm_call_node (call);
  request->user_id = g_strdup (requester->user_id);
  request->device_id = g_strdup (requester->device_id);
  request->user = requester->user;
  /* Some clients send an empty one the first time. */
  request->initial = since == NULL || since[0] == '\0';
  if (!request->initial && !cm_sync_token_parse (since, &request->since, error))
    return NULL;
  if (!cm_call_query_boolean (call, "full_state", &request->full_state, error) ||
      !cm_call_query_boolean (call, "use_state_after", &request->state_after, error) ||
      !cm_call_query_integer (call, "timeout", 0, 0, MAX_TIMEOUT_MS, &timeout, error))
    return NULL;
  request->timeout_ms = request->initial || request->full_state ? 0 : (guint) timeout;
  request->filter =
      cm_sync_filter_named (request->node, request->user_id, cm_call_query (call, "filter"), error);
  return request->filter != NULL ? g_steal_pointer (&request) : NULL;
}

void
cm_sync_request_free (CmSyncRequest *request)
{
  g_free (request->user_id);
  g_free (request->device_id);
  g_clear_pointer (&request->filter, cm_sync_filter_unref);
  g_free (request);
}
