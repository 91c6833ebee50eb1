/* Server administration by the client-server API: whois, locking, suspending. */
#include "schema/device.h"
#include "server/accounts/manage.h"
#include "server/api/admin/target.h"
#include "server/api/body.h"
#include "server/node.h"
#include "server/routes.h"

#include <string.h>

static CmReply *
forbid (const char *message, GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, message);
  return NULL;
}

static void
put_sessions (CmJsonWriter *writer, const CmDevice *device)
{
  cm_json_open_object (writer, device->device_id);
  cm_json_open_array (writer, "sessions");
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "connections");
  if (device->last_seen_ts) {
    cm_json_open_object (writer, NULL);
    cm_json_put_text (writer, "ip", device->last_seen_ip);
    cm_json_put_integer (writer, "last_seen", device->last_seen_ts);
    cm_json_put_text (writer, "user_agent", device->last_seen_agent);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
}

static GPtrArray *
list_devices (CmNode *node, const char *user_id, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  return db ? cm_device_list (db, user_id, error) : NULL;
}

/* GET /_matrix/client/v3/admin/whois/{userId} */
static CmReply *
whois (CmCall *call, GError **error)
{
  const CmRequester *requester = cm_call_requester (call);
  if (!requester->admin && strcmp (cm_call_param (call, "userId"), requester->user_id) != 0)
    return forbid ("This is for administrators", error);
  g_autoptr (CmAccount) account = cm_call_account (call, TRUE, error);
  g_autoptr (GPtrArray) devices =
      account ? list_devices (cm_call_node (call), account->user_id, error) : NULL;
  if (!devices)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "user_id", account->user_id);
  cm_json_open_object (writer, "devices");
  for (guint i = 0; i < devices->len; i++)
    put_sessions (writer, devices->pdata[i]);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static CmReply *
show_flag (const char *key, gboolean flag)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_boolean (writer, key, flag);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* The account to lock or suspend, or to be asked about: not another administrator's. */
static CmAccount *
find_subject (CmCall *call, GError **error)
{
  g_autoptr (CmAccount) account = cm_call_account (call, FALSE, error);
  if (account && account->admin)
    return (CmAccount *) forbid ("This account is an administrator's", error);
  return g_steal_pointer (&account);
}

/* GET /_matrix/client/v1/admin/lock/{userId} */
static CmReply *
get_locked (CmCall *call, GError **error)
{
  g_autoptr (CmAccount) account = find_subject (call, error);
  return account ? show_flag ("locked", account->locked) : NULL;
}

/* GET /_matrix/client/v1/admin/suspend/{userId} */
static CmReply *
get_suspended (CmCall *call, GError **error)
{
  g_autoptr (CmAccount) account = find_subject (call, error);
  return account ? show_flag ("suspended", account->suspended) : NULL;
}

static CmReply *
put_flag (CmCall *call, const char *key,
          gboolean (*set) (CmNode *node, const char *user_id, gboolean flag, GError **error),
          GError **error)
{
  const CmJson *body = cm_call_json (call);
  gboolean flag;
  g_autoptr (CmAccount) account = find_subject (call, error);
  if (!account || !cm_body_boolean (body, key, FALSE, &flag, error))
    return NULL;
  if (!cm_json_get (body, key)) {
    g_set_error (error, CM_ERROR, CM_ERROR_MISSING_PARAM, "%s is missing", key);
    return NULL;
  }
  return set (cm_call_node (call), account->user_id, flag, error) ? show_flag (key, flag) : NULL;
}

/* PUT /_matrix/client/v1/admin/lock/{userId} */
static CmReply *
put_locked (CmCall *call, GError **error)
{
  return put_flag (call, "locked", cm_accounts_set_locked, error);
}

/* PUT /_matrix/client/v1/admin/suspend/{userId} */
static CmReply *
put_suspended (CmCall *call, GError **error)
{
  return put_flag (call, "suspended", cm_accounts_set_suspended, error);
}

#define READ  CM_AUTH_ADMIN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE
#define WRITE CM_AUTH_ADMIN, CM_LIMIT_SEND, CM_LANE_CLIENT, CM_BODY_JSON

const CmRoute cm_routes_admin[] = {
  { "GET", "/_matrix/client/v3/admin/whois/{userId}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_NONE, whois },
  { "GET", "/_matrix/client/v1/admin/lock/{userId}", READ, get_locked },
  { "PUT", "/_matrix/client/v1/admin/lock/{userId}", WRITE, put_locked },
  { "GET", "/_matrix/client/v1/admin/suspend/{userId}", READ, get_suspended },
  { "PUT", "/_matrix/client/v1/admin/suspend/{userId}", WRITE, put_suspended },
  CM_ROUTES_END,
};
