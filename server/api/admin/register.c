/* Shared-secret registration: whoever knows [registration] shared_secret makes accounts,
 * administrators too. */
#include "crypto/hash.h"
#include "crypto/password.h"
#include "schema/token.h"
#include "server/accounts/accounts.h"
#include "server/api/body.h"
#include "server/api/session.h"
#include "server/config/config.h"
#include "server/routes.h"

#include <string.h>

#define NONCE_CHARS 32
#define NONCE_MS    (60 * 1000)
#define MAX_TEXT    255

typedef struct {
  const char *nonce;
  const char *username;
  const char *password;
  const char *display_name;
  const char *user_type;
  const char *mac;
  gboolean admin;
  gboolean inhibit_login;
} Request;

static CmReply *
fail (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return NULL;
}

/* GET /_synapse/admin/v1/register */
static CmReply *
give_nonce (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  gint64 now = g_get_real_time () / 1000;
  if (!node->config->registration.shared_secret)
    return fail (error, CM_ERROR_FORBIDDEN, "Shared-secret registration is off");
  g_autofree char *nonce = cm_random_token (NONCE_CHARS);
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db || !cm_nonce_add (db, nonce, now, now + NONCE_MS, error))
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "nonce", nonce);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static gboolean
read_request (const CmJson *body, Request *request, GError **error)
{
  return cm_body_need_text (body, "nonce", MAX_TEXT, &request->nonce, error) &&
         cm_body_need_text (body, "username", MAX_TEXT, &request->username, error) &&
         cm_body_need_text (body, "password", CM_PASSWORD_MAX_BYTES, &request->password, error) &&
         cm_body_need_text (body, "mac", MAX_TEXT, &request->mac, error) &&
         cm_body_text (body, "displayname", MAX_TEXT, &request->display_name, error) &&
         cm_body_text (body, "user_type", MAX_TEXT, &request->user_type, error) &&
         cm_body_boolean (body, "admin", FALSE, &request->admin, error) &&
         cm_body_boolean (body, "inhibit_login", FALSE, &request->inhibit_login, error);
}

/* The admin flag, and the user type where there is one, stand under the MAC too. */
static gboolean
mac_is_right (const Request *request, const char *secret)
{
  const char *parts[] = { request->nonce, request->username, request->password,
                          request->admin ? "admin" : "notadmin", request->user_type };
  g_autoptr (GString) text = g_string_new (NULL);
  guint8 digest[20];

  for (gsize i = 0; i < G_N_ELEMENTS (parts) && parts[i]; i++) {
    if (i > 0)
      g_string_append_c (text, '\0');
    g_string_append (text, parts[i]);
  }
  cm_hmac_sha1 (secret, strlen (secret), text->str, text->len, digest);
  g_autofree char *expected = cm_hex (digest, sizeof digest);
  g_autofree char *given = g_ascii_strdown (request->mac, -1);
  return cm_secret_equal (expected, given);
}

/* A nonce serves for one try, whatever comes of it. */
static gboolean
check_request (CmNode *node, const Request *request, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db || !cm_nonce_take (db, request->nonce, g_get_real_time () / 1000, error))
    return FALSE;
  if (mac_is_right (request, node->config->registration.shared_secret))
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "Wrong MAC");
  return FALSE;
}

static CmReply *
create (CmNode *node, const Request *request, CmSignIn *sign_in, GError **error)
{
  g_autofree char *user_id = cm_accounts_new_user_id (node, request->username, error);
  if (!user_id || !cm_accounts_check_free (node, user_id, error))
    return NULL;
  g_autofree char *hash =
      cm_password_hash (request->password, node->config->accounts.password_cost, error);
  const CmNewAccount account = {
    .user_id = user_id,
    .origin = CM_ORIGIN_LOCAL,
    .password_hash = hash,
    .display_name = request->display_name,
    .admin = request->admin,
  };
  if (!hash || !cm_accounts_create (node, &account, error))
    return NULL;
  if (request->inhibit_login)
    return cm_session_reply_without (node, user_id);
  sign_in->user_id = user_id;
  g_autoptr (CmTokens) tokens = cm_tokens_issue (node, sign_in, error);
  return tokens ? cm_session_reply (node, tokens) : NULL;
}

/* POST /_synapse/admin/v1/register */
static CmReply *
register_with_secret (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  Request request = { 0 };
  CmSignIn sign_in = { 0 };

  if (!node->config->registration.shared_secret)
    return fail (error, CM_ERROR_FORBIDDEN, "Shared-secret registration is off");
  if (!read_request (cm_call_json (call), &request, error) ||
      !cm_session_params (cm_call_json (call), &sign_in, error) ||
      !check_request (node, &request, error))
    return NULL;
  return create (node, &request, &sign_in, error);
}

const CmRoute cm_routes_admin_register[] = {
  { "GET", "/_synapse/admin/v1/register", CM_AUTH_NONE, CM_LIMIT_REGISTER, CM_LANE_CLIENT,
    CM_BODY_NONE, give_nonce },
  { "POST", "/_synapse/admin/v1/register", CM_AUTH_NONE, CM_LIMIT_REGISTER, CM_LANE_BLOCKING,
    CM_BODY_JSON, register_with_secret },
  CM_ROUTES_END,
};
