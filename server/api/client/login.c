/* Signing in: GET and POST login, refresh, and tokens for signing in another device. */
#include "crypto/hash.h"
#include "schema/token.h"
#include "server/accounts/accounts.h"
#include "server/accounts/sign-in.h"
#include "server/accounts/tokens.h"
#include "server/accounts/uia.h"
#include "server/api/body.h"
#include "server/api/session.h"
#include "server/routes.h"

#include <string.h>

#define LOGIN_TOKEN_CHARS 43
#define LOGIN_TOKEN_MS    (2 * 60 * 1000)
#define MAX_TOKEN         255

/* GET /_matrix/client/v3/login */
static CmReply *
login_flows (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "flows");
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "type", "m.login.password");
  cm_json_close (writer);
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "type", "m.login.token");
  cm_json_put_boolean (writer, "get_login_token", TRUE);
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* Each kind of login finds out who it is (transfer full): NULL with @error or *@refusal. */
static char *
by_password (CmCall *call, const CmJson *body, CmReply **refusal, GError **error)
{
  g_autofree char *user_id = cm_sign_in_name (cm_call_node (call), body, error);
  if (!user_id)
    return NULL;
  g_autoptr (CmAccount) account = cm_sign_in_password (call, user_id, body, refusal, error);
  return account ? g_strdup (account->user_id) : NULL;
}

static char *
by_token (CmCall *call, const CmJson *body, CmReply **refusal, GError **error)
{
  g_autoptr (GError) failure = NULL;
  const char *token;
  if (!cm_body_need_text (body, "token", MAX_TOKEN, &token, error))
    return NULL;
  g_autofree char *hash = cm_token_hash (token);
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  if (!db)
    return NULL;
  char *user_id =
      cm_brief_token_user (db, CM_BRIEF_LOGIN, hash, g_get_real_time () / 1000, &failure);
  if (user_id)
    return user_id;
  if (failure)
    g_propagate_error (error, g_steal_pointer (&failure));
  else
    g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "Unknown login token");
  return NULL;
}

typedef struct {
  const char *type;
  char *(*find_user) (CmCall *call, const CmJson *body, CmReply **refusal, GError **error);
} LoginKind;

static const LoginKind kinds[] = {
  { "m.login.password", by_password },
  { "m.login.token", by_token },
};

static const LoginKind *
kind_named (const char *type)
{
  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++) {
    if (strcmp (type, kinds[i].type) == 0)
      return &kinds[i];
  }
  return NULL;
}

/* POST /_matrix/client/v3/login */
static CmReply *
login (CmCall *call, GError **error)
{
  const CmJson *body = cm_call_json (call);
  g_autoptr (CmReply) refusal = NULL;
  CmSignIn sign_in = { 0 };
  const char *type;

  if (!cm_body_need_text (body, "type", MAX_TOKEN, &type, error) ||
      !cm_session_params (body, &sign_in, error))
    return NULL;
  const LoginKind *kind = kind_named (type);
  if (!kind)
    return cm_reply_error_status (400, "M_UNKNOWN", "Unknown login type");
  g_autofree char *user_id = kind->find_user (call, body, &refusal, error);
  if (!user_id)
    return g_steal_pointer (&refusal);
  sign_in.user_id = user_id;
  g_autoptr (CmTokens) tokens = cm_tokens_issue (cm_call_node (call), &sign_in, error);
  return tokens ? cm_session_reply (cm_call_node (call), tokens) : NULL;
}

/* POST /_matrix/client/v3/refresh */
static CmReply *
refresh (CmCall *call, GError **error)
{
  const char *token;
  if (!cm_body_need_text (cm_call_json (call), "refresh_token", MAX_TOKEN, &token, error))
    return NULL;
  g_autoptr (CmTokens) tokens = cm_tokens_refresh (cm_call_node (call), token, error);
  if (!tokens)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "access_token", tokens->access);
  cm_json_put_text (writer, "refresh_token", tokens->refresh);
  cm_json_put_integer (writer, "expires_in_ms", tokens->expires_in_ms);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* POST /_matrix/client/v1/login/get_token */
static CmReply *
get_login_token (CmCall *call, GError **error)
{
  g_autoptr (CmReply) challenge = NULL;
  if (!cm_uia_check (call, CM_UIA_OWNER, &challenge, error))
    return g_steal_pointer (&challenge);
  gint64 now = g_get_real_time () / 1000;
  g_autofree char *random = cm_random_token (LOGIN_TOKEN_CHARS);
  g_autofree char *token = g_strconcat ("cml_", random, NULL);
  g_autofree char *hash = cm_token_hash (token);
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  if (!db || !cm_brief_token_add (db, CM_BRIEF_LOGIN, hash, cm_call_user (call), now,
                                  now + LOGIN_TOKEN_MS, error))
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "login_token", token);
  cm_json_put_integer (writer, "expires_in_ms", LOGIN_TOKEN_MS);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_login[] = {
  { "GET", "/_matrix/client/v3/login", CM_AUTH_NONE, CM_LIMIT_READ, CM_LANE_EDGE, CM_BODY_NONE,
    login_flows },
  { "POST", "/_matrix/client/v3/login", CM_AUTH_NONE, CM_LIMIT_LOGIN, CM_LANE_BLOCKING,
    CM_BODY_JSON, login },
  { "POST", "/_matrix/client/v3/refresh", CM_AUTH_NONE, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON,
    refresh },
  { "POST", "/_matrix/client/v1/login/get_token", CM_AUTH_TOKEN, CM_LIMIT_LOGIN, CM_LANE_BLOCKING,
    CM_BODY_JSON_OPTIONAL, get_login_token },
  CM_ROUTES_END,
};
