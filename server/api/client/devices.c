/* One's own devices. */
#include "schema/committer.h"
#include "schema/device.h"
#include "server/accounts/tokens.h"
#include "server/accounts/uia.h"
#include "server/api/body.h"
#include "server/e2ee/device-lists.h"
#include "server/node.h"
#include "server/routes.h"

#define MAX_DEVICE_NAME 512
#define MAX_DELETED     1000

static CmReply *
fail (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return NULL;
}

static void
put_device (CmJsonWriter *writer, const CmDevice *device, const char *user_id)
{
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "device_id", device->device_id);
  cm_json_put_text (writer, "user_id", user_id);
  cm_json_put_text (writer, "display_name", device->display_name);
  cm_json_put_text (writer, "last_seen_ip", device->last_seen_ip);
  if (device->last_seen_ts)
    cm_json_put_integer (writer, "last_seen_ts", device->last_seen_ts);
  cm_json_close (writer);
}

/* GET /_matrix/client/v3/devices */
static CmReply *
list_devices (CmCall *call, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_autoptr (GPtrArray) devices = db ? cm_device_list (db, cm_call_user (call), error) : NULL;
  if (!devices)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "devices");
  for (guint i = 0; i < devices->len; i++)
    put_device (writer, devices->pdata[i], cm_call_user (call));
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* The device of the path (transfer full). */
static CmDevice *
find_device (CmCall *call, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  if (!db)
    return NULL;
  CmDevice *device =
      cm_device_get (db, cm_call_user (call), cm_call_param (call, "deviceId"), &failure);
  if (!device && !failure)
    return (CmDevice *) fail (error, CM_ERROR_NOT_FOUND, "There is no such device");
  if (failure)
    g_propagate_error (error, g_steal_pointer (&failure));
  return device;
}

/* GET /_matrix/client/v3/devices/{deviceId} */
static CmReply *
get_device (CmCall *call, GError **error)
{
  g_autoptr (CmDevice) device = find_device (call, error);
  if (!device)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  put_device (writer, device, cm_call_user (call));
  return cm_reply_json (writer);
}

/* PUT /_matrix/client/v3/devices/{deviceId} */
static CmReply *
rename_device (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *name;
  if (!cm_body_text (cm_call_json (call), "display_name", MAX_DEVICE_NAME, &name, error))
    return NULL;
  g_autoptr (CmDevice) device = find_device (call, error);
  if (!device)
    return NULL;
  if (!name)
    return cm_reply_empty ();
  g_autoptr (CmWrite) write = cm_write_new ();
  cm_device_write_name (write, cm_call_user (call), device->device_id, name);
  if (!cm_device_lists_renamed (node, write, cm_call_user (call), device->device_id, name, error) ||
      cm_committer_commit (node->committer, g_steal_pointer (&write), error) < 0)
    return NULL;
  return cm_reply_empty ();
}

/* DELETE /_matrix/client/v3/devices/{deviceId} */
static CmReply *
delete_device (CmCall *call, GError **error)
{
  const char *device_ids[] = { cm_call_param (call, "deviceId"), NULL };
  g_autoptr (CmReply) challenge = NULL;
  if (!cm_uia_check (call, CM_UIA_OWNER, &challenge, error))
    return g_steal_pointer (&challenge);
  if (!cm_tokens_delete_devices (cm_call_node (call), cm_call_user (call), device_ids, error))
    return NULL;
  return cm_reply_empty ();
}

/* (transfer container) the texts of "devices", NULL-terminated; NULL with @error. */
static GPtrArray *
wanted_devices (const CmJson *body, GError **error)
{
  const CmJson *list = cm_json_get (body, "devices");
  const CmJson *item;
  CmJsonIter iter;
  if (!list)
    return (GPtrArray *) fail (error, CM_ERROR_MISSING_PARAM, "devices is missing");
  if (cm_json_type (list) != CM_JSON_ARRAY || cm_json_length (list) > MAX_DELETED)
    return (GPtrArray *) fail (error, CM_ERROR_BAD_JSON, "devices must be a list of texts");
  g_autoptr (GPtrArray) devices = g_ptr_array_new ();
  cm_json_iter_init (&iter, list);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    const char *device_id = cm_json_text (item);
    if (!device_id)
      return (GPtrArray *) fail (error, CM_ERROR_BAD_JSON, "devices must be a list of texts");
    g_ptr_array_add (devices, (gpointer) device_id);
  }
  g_ptr_array_add (devices, NULL);
  return g_steal_pointer (&devices);
}

/* POST /_matrix/client/v3/delete_devices */
static CmReply *
delete_devices (CmCall *call, GError **error)
{
  g_autoptr (CmReply) challenge = NULL;
  g_autoptr (GPtrArray) devices = wanted_devices (cm_call_json (call), error);
  if (!devices)
    return NULL;
  if (!cm_uia_check (call, CM_UIA_OWNER, &challenge, error))
    return g_steal_pointer (&challenge);
  if (!cm_tokens_delete_devices (cm_call_node (call), cm_call_user (call),
                                 (const char *const *) devices->pdata, error))
    return NULL;
  return cm_reply_empty ();
}

const CmRoute cm_routes_devices[] = {
  { "GET", "/_matrix/client/v3/devices", CM_AUTH_TOKEN_GUEST, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_NONE, list_devices },
  { "GET", "/_matrix/client/v3/devices/{deviceId}", CM_AUTH_TOKEN_GUEST, CM_LIMIT_READ,
    CM_LANE_CLIENT, CM_BODY_NONE, get_device },
  { "PUT", "/_matrix/client/v3/devices/{deviceId}", CM_AUTH_TOKEN_GUEST, CM_LIMIT_SEND,
    CM_LANE_CLIENT, CM_BODY_JSON, rename_device },
  { "DELETE", "/_matrix/client/v3/devices/{deviceId}", CM_AUTH_TOKEN, CM_LIMIT_SEND,
    CM_LANE_BLOCKING, CM_BODY_JSON_OPTIONAL, delete_device },
  { "POST", "/_matrix/client/v3/delete_devices", CM_AUTH_TOKEN, CM_LIMIT_SEND, CM_LANE_BLOCKING,
    CM_BODY_JSON, delete_devices },
  CM_ROUTES_END,
};
