/* Keys of devices: uploaded, asked for, claimed. */
#include "schema/committer.h"
#include "schema/device-key.h"
#include "server/e2ee/device-lists.h"
#include "server/e2ee/key-answer.h"
#include "server/e2ee/key-claim.h"
#include "server/e2ee/key-query.h"
#include "server/e2ee/key-upload.h"
#include "server/routes.h"

#define DEFAULT_TIMEOUT_MS 10000
#define MAX_TIMEOUT_MS     20000
#define MAX_UPLOAD         (4 * 1024 * 1024)

static CmReply *
reply_counts (CmNode *node, const char *user_id, const char *device_id, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (CmRows) rows =
      db != NULL ? cm_one_time_keys_count (db, user_id, device_id, error) : NULL;

  if (rows == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "one_time_key_counts");
  cm_device_key_counts_write (writer, rows);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* POST /_matrix/client/v3/keys/upload */
static CmReply *
upload_keys (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *device_id = cm_call_device (call);
  CmKeyUpload upload;

  if (device_id == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "Only a device has keys");
    return NULL;
  }
  if (!cm_key_upload_read (&upload, cm_call_user (call), device_id, cm_call_json (call), error))
    return NULL;
  if (!cm_key_upload_is_empty (&upload)) {
    g_autoptr (CmWrite) write = cm_write_new ();
    if (!cm_key_upload_store (&upload, node, write, error) ||
        cm_committer_commit (node->committer, g_steal_pointer (&write), error) < 0)
      return NULL;
  }
  return reply_counts (node, upload.user_id, device_id, error);
}

/* "timeout": how long other servers may take. */
static gboolean
read_timeout (CmCall *call, guint *timeout_ms, GError **error)
{
  const CmJson *node = cm_json_get (cm_call_json (call), "timeout");
  gint64 value = DEFAULT_TIMEOUT_MS;

  if (node != NULL && (!cm_json_integer (node, &value) || value < 0)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, "timeout must be milliseconds");
    return FALSE;
  }
  *timeout_ms = (guint) MIN (value, MAX_TIMEOUT_MS);
  return TRUE;
}

/* POST /_matrix/client/v3/keys/query */
static CmReply *
query_keys (CmCall *call, GError **error)
{
  const CmJson *wanted = cm_json_get (cm_call_json (call), "device_keys");
  guint timeout_ms;

  if (!cm_key_answer_check (wanted, error) || !read_timeout (call, &timeout_ms, error))
    return NULL;
  return cm_key_query (call, wanted, timeout_ms, error);
}

/* POST /_matrix/client/v3/keys/claim */
static CmReply *
claim_keys (CmCall *call, GError **error)
{
  const CmJson *wanted = cm_json_get (cm_call_json (call), "one_time_keys");
  guint timeout_ms;

  if (!cm_key_claim_check (wanted, error) || !read_timeout (call, &timeout_ms, error))
    return NULL;
  return cm_key_claim (call, wanted, timeout_ms, error);
}

const CmRoute cm_routes_keys[] = {
  { "POST", "/_matrix/client/v3/keys/upload", CM_AUTH_TOKEN_GUEST, CM_LIMIT_SEND, CM_LANE_CLIENT,
    CM_BODY_JSON, upload_keys, MAX_UPLOAD },
  { "POST", "/_matrix/client/v3/keys/query", CM_AUTH_TOKEN_GUEST, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_JSON, query_keys, 0 },
  { "POST", "/_matrix/client/v3/keys/claim", CM_AUTH_TOKEN_GUEST, CM_LIMIT_HEAVY, CM_LANE_CLIENT,
    CM_BODY_JSON, claim_keys, 0 },
  CM_ROUTES_END,
};
