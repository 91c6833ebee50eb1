/* OpenID tokens for third parties. */
#include "server/accounts/openid.h"

#include "server/routes.h"

#include <string.h>

/* POST /_matrix/client/v3/user/{userId}/openid/request_token */
static CmReply *
request_token (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  if (strcmp (cm_call_param (call, "userId"), cm_call_user (call)) != 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "Only for oneself");
    return NULL;
  }
  g_autofree char *token = cm_openid_new (node, cm_call_user (call), error);
  if (!token)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "access_token", token);
  cm_json_put_text (writer, "token_type", "Bearer");
  cm_json_put_text (writer, "matrix_server_name", node->server_name);
  cm_json_put_integer (writer, "expires_in", CM_OPENID_SECONDS);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_openid[] = {
  { "POST", "/_matrix/client/v3/user/{userId}/openid/request_token", CM_AUTH_TOKEN, CM_LIMIT_SEND,
    CM_LANE_CLIENT, CM_BODY_JSON_OPTIONAL, request_token },
  CM_ROUTES_END,
};
