/* Keys of this server's users, for other servers. Users of third servers are nobody's to ask for
 * here, whatever is kept of them (CVE-2023-43796). */
#include "crypto/id.h"
#include "schema/cross-signing.h"
#include "schema/device-key.h"
#include "schema/device-list.h"
#include "server/accounts/accounts.h"
#include "server/config/config.h"
#include "server/e2ee/key-answer.h"
#include "server/e2ee/key-claim.h"
#include "server/e2ee/signed-key.h"
#include "server/routes.h"

#include <string.h>

/* POST /_matrix/federation/v1/user/keys/query */
static CmReply *
query_keys (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const CmJson *wanted = cm_json_get (cm_call_json (call), "device_keys");
  g_autoptr (GPtrArray) users = g_ptr_array_new ();
  CmJsonIter iter;

  if (!cm_key_answer_check (wanted, error))
    return NULL;
  cm_json_iter_init (&iter, wanted);
  while (cm_json_iter_next (&iter, NULL, NULL))
    if (cm_id_domain_is (cm_json_text (iter.key), node->server_name))
      g_ptr_array_add (users, (gpointer) cm_json_text (iter.key));
  g_ptr_array_add (users, NULL);
  g_autoptr (CmKeyAnswer) answer = cm_key_answer_new (node, wanted, NULL);
  if (!cm_key_answer_add_local (answer, (char **) users->pdata, error))
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_key_answer_write (answer);
  return cm_reply_json (writer);
}

/* POST /_matrix/federation/v1/user/keys/claim */
static CmReply *
claim_keys (CmCall *call, GError **error)
{
  const CmJson *wanted = cm_json_get (cm_call_json (call), "one_time_keys");

  return cm_key_claim_check (wanted, error) ? cm_key_claim_here (cm_call_node (call), wanted, error)
                                            : NULL;
}

/* What GET user/devices tells, read at once. */
typedef struct {
  gint64 stream_id;
  CmRows *devices;
  CmRows *signing;
  CmRows *signatures;
} Devices;

static void
devices_clear (Devices *devices)
{
  g_clear_pointer (&devices->devices, cm_rows_free);
  g_clear_pointer (&devices->signing, cm_rows_free);
  g_clear_pointer (&devices->signatures, cm_rows_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Devices, devices_clear)

/* The number first: of what changes meanwhile the update is told anew. */
static gboolean
read_devices (CmNode *node, const char *user_id, Devices *devices, GError **error)
{
  char *users[] = { (char *) user_id, NULL };
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  if (db == NULL || !cm_device_list_stream_id (db, user_id, &devices->stream_id, error))
    return FALSE;
  devices->devices = cm_device_keys_find (db, users, error);
  if (devices->devices != NULL)
    devices->signing = cm_cross_signing_keys_find (db, users, error);
  if (devices->signing != NULL)
    devices->signatures = cm_key_signatures_find (db, users, NULL, error);
  return devices->signatures != NULL;
}

static void
put_devices (CmJsonWriter *writer, const CmNode *node, const char *user_id, const Devices *devices)
{
  cm_json_open_array (writer, "devices");
  for (gsize i = 0; i < cm_rows_count (devices->devices); i++) {
    const char *device_id = cm_rows_text (devices->devices, i, 1);
    g_autoptr (GBytes) stored = cm_rows_bytes (devices->devices, i, 2);
    g_autoptr (GBytes) keys = cm_signed_key_merge (stored, devices->signatures, user_id, device_id);
    if (keys == NULL)
      continue;
    cm_json_open_object (writer, NULL);
    cm_json_put_text (writer, "device_id", device_id);
    cm_json_put_bytes (writer, "keys", keys);
    if (node->config->federation.device_names)
      cm_json_put_text (writer, "device_display_name", cm_rows_text (devices->devices, i, 3));
    cm_json_close (writer);
  }
  cm_json_close (writer);
}

static void
put_signing_key (CmJsonWriter *writer, const char *member, const char *usage, const char *user_id,
                 const Devices *devices)
{
  for (gsize i = 0; i < cm_rows_count (devices->signing); i++) {
    g_autoptr (GBytes) bytes = cm_rows_bytes (devices->signing, i, 2);
    g_autoptr (CmJsonDoc) key = cm_json_parse_bytes (bytes, NULL);
    const char *public_key = cm_signed_key_public (cm_json_doc_root (key));
    if (public_key != NULL && strcmp (cm_rows_text (devices->signing, i, 1), usage) == 0)
      cm_signed_key_put (writer, member, cm_json_doc_root (key), devices->signatures, user_id,
                         public_key);
  }
}

/* GET /_matrix/federation/v1/user/devices/{userId} */
static CmReply *
list_devices (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *user_id = cm_call_param (call, "userId");
  g_auto (Devices) devices = { 0 };
  gboolean exists;

  if (!cm_accounts_exists (node, user_id, &exists, error))
    return NULL;
  if (!exists) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such user here");
    return NULL;
  }
  if (!read_devices (node, user_id, &devices, error))
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "user_id", user_id);
  cm_json_put_integer (writer, "stream_id", devices.stream_id);
  put_devices (writer, node, user_id, &devices);
  put_signing_key (writer, "master_key", "master", user_id, &devices);
  put_signing_key (writer, "self_signing_key", "self_signing", user_id, &devices);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_user_keys[] = {
  { "POST", "/_matrix/federation/v1/user/keys/query", CM_AUTH_FEDERATION, CM_LIMIT_FEDERATION,
    CM_LANE_FEDERATION, CM_BODY_JSON, query_keys, 0 },
  { "POST", "/_matrix/federation/v1/user/keys/claim", CM_AUTH_FEDERATION, CM_LIMIT_FEDERATION,
    CM_LANE_FEDERATION, CM_BODY_JSON, claim_keys, 0 },
  { "GET", "/_matrix/federation/v1/user/devices/{userId}", CM_AUTH_FEDERATION, CM_LIMIT_FEDERATION,
    CM_LANE_FEDERATION, CM_BODY_NONE, list_devices, 0 },
  CM_ROUTES_END,
};
