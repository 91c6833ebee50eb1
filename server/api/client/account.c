/* One's own account: who one is, signing out, password, deactivation, addresses. */
#include "crypto/password.h"
#include "server/accounts/accounts.h"
#include "server/accounts/deactivate.h"
#include "server/accounts/tokens.h"
#include "server/accounts/uia.h"
#include "server/api/body.h"
#include "server/config/config.h"
#include "server/routes.h"

/* GET /_matrix/client/v3/account/whoami */
static CmReply *
whoami (CmCall *call, GError **error)
{
  const CmRequester *requester = cm_call_requester (call);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "user_id", requester->user_id);
  cm_json_put_text (writer, "device_id", requester->device_id);
  cm_json_put_boolean (writer, "is_guest", requester->guest);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* POST /_matrix/client/v3/logout */
static CmReply *
logout (CmCall *call, GError **error)
{
  const char *device_ids[] = { cm_call_device (call), NULL };
  if (!cm_tokens_delete_devices (cm_call_node (call), cm_call_user (call), device_ids, error))
    return NULL;
  return cm_reply_empty ();
}

/* POST /_matrix/client/v3/logout/all */
static CmReply *
logout_all (CmCall *call, GError **error)
{
  if (!cm_tokens_delete_others (cm_call_node (call), cm_call_user (call), NULL, NULL, error))
    return NULL;
  return cm_reply_empty ();
}

static gboolean
has_own_password (CmNode *node, const char *user_id, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (CmAccount) account = db ? cm_account_get (db, user_id, error) : NULL;
  if (!account)
    return FALSE;
  if (account->origin == CM_ORIGIN_LOCAL)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN,
                       "The password of this account is not kept here");
  return FALSE;
}

/* POST /_matrix/client/v3/account/password */
static CmReply *
change_password (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *user_id = cm_call_user (call);
  const CmJson *body = cm_call_json (call);
  g_autoptr (CmReply) challenge = NULL;
  const char *password;
  gboolean logout_devices;

  if (!cm_body_text (body, "new_password", CM_PASSWORD_MAX_BYTES, &password, error) ||
      !cm_body_boolean (body, "logout_devices", TRUE, &logout_devices, error) ||
      !has_own_password (node, user_id, error))
    return NULL;
  if (!cm_uia_check (call, CM_UIA_OWNER, &challenge, error))
    return g_steal_pointer (&challenge);
  if (!password) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_MISSING_PARAM, "new_password is missing");
    return NULL;
  }
  g_autofree char *hash = cm_password_hash (password, node->config->accounts.password_cost, error);
  if (!hash || !cm_accounts_change_password (node, user_id, hash, logout_devices,
                                             cm_call_device (call), error))
    return NULL;
  return cm_reply_empty ();
}

/* POST /_matrix/client/v3/account/deactivate */
static CmReply *
deactivate (CmCall *call, GError **error)
{
  g_autoptr (CmReply) challenge = NULL;
  gboolean erase;
  if (!cm_body_boolean (cm_call_json (call), "erase", FALSE, &erase, error))
    return NULL;
  if (!cm_uia_check (call, CM_UIA_OWNER, &challenge, error))
    return g_steal_pointer (&challenge);
  if (!cm_accounts_deactivate (cm_call_node (call), cm_call_user (call), erase, error))
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  /* No address is ever bound at an identity server from here. */
  cm_json_put_text (writer, "id_server_unbind_result", "success");
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /_matrix/client/v3/account/3pid */
static CmReply *
threepids (CmCall *call, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_autoptr (GPtrArray) list = db ? cm_threepid_list (db, cm_call_user (call), error) : NULL;
  if (!list)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "threepids");
  for (guint i = 0; i < list->len; i++) {
    const CmThreepid *threepid = list->pdata[i];
    cm_json_open_object (writer, NULL);
    cm_json_put_text (writer, "medium", threepid->medium);
    cm_json_put_text (writer, "address", threepid->address);
    cm_json_put_integer (writer, "validated_at", threepid->validated_ts);
    cm_json_put_integer (writer, "added_at", threepid->added_ts);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_account[] = {
  { "GET", "/_matrix/client/v3/account/whoami", CM_AUTH_TOKEN_GUEST, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_NONE, whoami },
  { "POST", "/_matrix/client/v3/logout", CM_AUTH_TOKEN_LOCKED, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_JSON_OPTIONAL, logout },
  { "POST", "/_matrix/client/v3/logout/all", CM_AUTH_TOKEN_LOCKED, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_JSON_OPTIONAL, logout_all },
  { "POST", "/_matrix/client/v3/account/password", CM_AUTH_TOKEN, CM_LIMIT_LOGIN, CM_LANE_BLOCKING,
    CM_BODY_JSON, change_password },
  { "POST", "/_matrix/client/v3/account/deactivate", CM_AUTH_TOKEN, CM_LIMIT_LOGIN,
    CM_LANE_BLOCKING, CM_BODY_JSON, deactivate },
  { "GET", "/_matrix/client/v3/account/3pid", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_NONE, threepids },
  CM_ROUTES_END,
};
