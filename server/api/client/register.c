/* Making accounts: for oneself, and for a guest. */
#include "crypto/hash.h"
#include "crypto/password.h"
#include "server/accounts/accounts.h"
#include "server/accounts/uia.h"
#include "server/api/body.h"
#include "server/api/session.h"
#include "server/config/config.h"
#include "server/routes.h"

#include <string.h>

#define RANDOM_CHARS 16

static CmReply *
fail (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return NULL;
}

/* (transfer full) a name that nobody has asked for. */
static char *
random_user_id (const CmNode *node, const char *prefix)
{
  g_autofree char *random = cm_random_token (RANDOM_CHARS);
  g_autofree char *lower = g_ascii_strdown (random, -1);
  return g_strdup_printf ("@%s%s:%s", prefix, lower, node->server_name);
}

/* "All parameters in the request body with the exception of initial_device_display_name MUST BE
 * ignored." */
static CmReply *
register_guest (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  if (!node->config->registration.guests)
    return fail (error, CM_ERROR_FORBIDDEN, "This server takes no guests");
  g_autofree char *user_id = random_user_id (node, "guest-");
  const CmNewAccount guest = { .user_id = user_id, .origin = CM_ORIGIN_GUEST };
  CmSignIn sign_in = { .user_id = user_id };
  if (!cm_body_text (cm_call_json (call), "initial_device_display_name", 512, &sign_in.display_name,
                     error) ||
      !cm_accounts_create (node, &guest, error))
    return NULL;
  g_autoptr (CmTokens) tokens = cm_tokens_issue (node, &sign_in, error);
  return tokens ? cm_session_reply (node, tokens) : NULL;
}

/* (transfer full) the guest who wants to stay, under the name that he has (client-server, "Guest
 * Access"). */
static char *
settling_guest (CmNode *node, const char *token, const char *username, GError **error)
{
  g_autofree char *guest = cm_accounts_guest (node, token, error);
  g_autofree char *user_id = guest ? cm_accounts_user_id (node, username, error) : NULL;
  if (!user_id)
    return NULL;
  if (strcmp (user_id, guest) == 0)
    return g_steal_pointer (&user_id);
  return (char *) fail (error, CM_ERROR_FORBIDDEN, "username is not that of the guest");
}

/* (transfer full) the id that "username" asks for, if it is free; a random one without it.
 * @guest_token: nullable. */
static char *
wanted_user_id (CmNode *node, const CmJson *body, const char *guest_token, GError **error)
{
  const CmJson *username = cm_json_get (body, "username");
  if (cm_json_type (username) == CM_JSON_ABSENT || cm_json_type (username) == CM_JSON_NULL)
    return guest_token ? (char *) fail (error, CM_ERROR_MISSING_PARAM, "username is missing")
                       : random_user_id (node, "u");
  if (cm_json_type (username) != CM_JSON_STRING)
    return (char *) fail (error, CM_ERROR_BAD_JSON, "username must be a text");
  const char *name = cm_json_text (username);
  if (guest_token)
    return settling_guest (node, guest_token, name ? name : "", error);
  g_autofree char *user_id = cm_accounts_new_user_id (node, name ? name : "", error);
  return user_id && cm_accounts_check_free (node, user_id, error) ? g_steal_pointer (&user_id)
                                                                  : NULL;
}

/* (transfer full) what is to be made, as an object that the session remembers: with the hash of the
 * password, and a name for who asked for none. */
static GBytes *
make_plan (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const CmJson *body = cm_call_json (call);
  CmSignIn sign_in = { 0 };
  gboolean inhibit_login;
  const char *password, *guest_token;

  if (!cm_body_text (body, "password", CM_PASSWORD_MAX_BYTES, &password, error) ||
      !cm_body_boolean (body, "inhibit_login", FALSE, &inhibit_login, error) ||
      !cm_body_text (body, "guest_access_token", 512, &guest_token, error) ||
      !cm_session_params (body, &sign_in, error))
    return NULL;
  g_autofree char *user_id = wanted_user_id (node, body, guest_token, error);
  if (!user_id)
    return NULL;
  g_autofree char *hash =
      password ? cm_password_hash (password, node->config->accounts.password_cost, error) : NULL;
  if (password && !hash)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "user_id", user_id);
  cm_json_put_text (writer, "password_hash", hash);
  cm_json_put_boolean (writer, "was_guest", guest_token != NULL);
  cm_json_put_text (writer, "device_id", sign_in.device_id);
  cm_json_put_text (writer, "initial_device_display_name", sign_in.display_name);
  cm_json_put_boolean (writer, "refresh_token", sign_in.refreshable);
  cm_json_put_boolean (writer, "inhibit_login", inhibit_login);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

/* Whether the account was made by this very plan before, when its answer was lost: no other has
 * this salt. */
static gboolean
was_made (CmNode *node, const char *user_id, const char *hash)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, NULL);
  g_autoptr (CmAccount) account = db ? cm_account_get (db, user_id, NULL) : NULL;
  return account && account->origin == CM_ORIGIN_LOCAL &&
         g_strcmp0 (account->password_hash, hash) == 0;
}

static gboolean
create (CmNode *node, const char *user_id, const char *hash, gboolean was_guest, GError **error)
{
  g_autoptr (GError) failure = NULL;
  const CmNewAccount account = { .user_id = user_id,
                                 .origin = CM_ORIGIN_LOCAL,
                                 .password_hash = hash };
  if (was_guest ? cm_accounts_promote_guest (node, user_id, hash, &failure)
                : cm_accounts_create (node, &account, &failure))
    return TRUE;
  if (g_error_matches (failure, CM_ERROR, was_guest ? CM_ERROR_NOT_FOUND : CM_ERROR_USER_IN_USE) &&
      was_made (node, user_id, hash))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

static CmReply *
carry_out (CmNode *node, const CmJson *plan, GError **error)
{
  const char *user_id = cm_json_get_text (plan, "user_id");
  const char *hash = cm_json_get_text (plan, "password_hash");
  CmSignIn sign_in = { .user_id = user_id };
  if (!hash)
    return fail (error, CM_ERROR_MISSING_PARAM, "password is missing");
  gboolean was_guest = cm_json_get_boolean (plan, "was_guest", FALSE);
  if (!cm_session_params (plan, &sign_in, error) || !create (node, user_id, hash, was_guest, error))
    return NULL;
  if (cm_json_get_boolean (plan, "inhibit_login", FALSE))
    return cm_session_reply_without (node, user_id);
  g_autoptr (CmTokens) tokens = cm_tokens_issue (node, &sign_in, error);
  return tokens ? cm_session_reply (node, tokens) : NULL;
}

static CmReply *
register_user (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (CmReply) challenge = NULL;
  if (!node->config->registration.open)
    return fail (error, CM_ERROR_FORBIDDEN, "Registration is not open");
  g_autoptr (GBytes) plan = cm_uia_remembered (call);
  if (!plan)
    plan = make_plan (call, error);
  if (!plan)
    return NULL;
  if (!cm_uia_check_remembering (call, CM_UIA_ANYBODY, plan, &challenge, error))
    return g_steal_pointer (&challenge);
  g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (plan, error);
  return doc ? carry_out (node, cm_json_doc_root (doc), error) : NULL;
}

/* POST /_matrix/client/v3/register */
static CmReply *
register_account (CmCall *call, GError **error)
{
  const char *kind = cm_call_query (call, "kind");
  if (!kind || strcmp (kind, "user") == 0)
    return register_user (call, error);
  if (strcmp (kind, "guest") == 0)
    return register_guest (call, error);
  return fail (error, CM_ERROR_INVALID_PARAM, "kind must be user or guest");
}

/* GET /_matrix/client/v3/register/available */
static CmReply *
available (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *username = cm_call_query (call, "username");
  if (!node->config->registration.open)
    return fail (error, CM_ERROR_FORBIDDEN, "Registration is not open");
  if (!username)
    return fail (error, CM_ERROR_MISSING_PARAM, "username is missing");
  g_autofree char *user_id = cm_accounts_new_user_id (node, username, error);
  if (!user_id || !cm_accounts_check_free (node, user_id, error))
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_boolean (writer, "available", TRUE);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_register[] = {
  { "POST", "/_matrix/client/v3/register", CM_AUTH_NONE, CM_LIMIT_REGISTER, CM_LANE_BLOCKING,
    CM_BODY_JSON, register_account },
  { "GET", "/_matrix/client/v3/register/available", CM_AUTH_NONE, CM_LIMIT_REGISTER,
    CM_LANE_BLOCKING, CM_BODY_NONE, available },
  CM_ROUTES_END,
};
