#include "server/api/session.h"

#include "server/api/body.h"

#define MAX_DEVICE_ID   255
#define MAX_DEVICE_NAME 512

/* Device ids stand in paths, in to-device maps and before key names: printable ASCII without
 * spaces. */
static gboolean
is_device_id (const char *text)
{
  for (const char *p = text; *p; p++) {
    if (!g_ascii_isgraph (*p))
      return FALSE;
  }
  return text[0] != '\0';
}

gboolean
cm_session_params (const CmJson *body, CmSignIn *sign_in, GError **error)
{
  if (!cm_body_text (body, "device_id", MAX_DEVICE_ID, &sign_in->device_id, error) ||
      !cm_body_text (body, "initial_device_display_name", MAX_DEVICE_NAME, &sign_in->display_name,
                     error) ||
      !cm_body_boolean (body, "refresh_token", FALSE, &sign_in->refreshable, error))
    return FALSE;
  if (!sign_in->device_id || is_device_id (sign_in->device_id))
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                       "device_id must be of printable ASCII");
  return FALSE;
}

static CmReply *
reply (const CmNode *node, const char *user_id, const CmTokens *tokens)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "user_id", user_id);
  cm_json_put_text (writer, "home_server", node->server_name);
  if (tokens) {
    cm_json_put_text (writer, "device_id", tokens->device_id);
    cm_json_put_text (writer, "access_token", tokens->access);
    cm_json_put_text (writer, "refresh_token", tokens->refresh);
  }
  if (tokens && tokens->expires_in_ms)
    cm_json_put_integer (writer, "expires_in_ms", tokens->expires_in_ms);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

CmReply *
cm_session_reply (const CmNode *node, const CmTokens *tokens)
{
  return reply (node, tokens->user_id, tokens);
}

CmReply *
cm_session_reply_without (const CmNode *node, const char *user_id)
{
  return reply (node, user_id, NULL);
}
