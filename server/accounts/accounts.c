#include "server/accounts/accounts-private.h"

#include "crypto/hash.h"
#include "crypto/id.h"
#include "schema/ids.h"
#include "schema/profile.h"
#include "schema/token.h"
#include "server/accounts/deactivate.h"
#include "server/accounts/tokens.h"
#include "server/sync/hub.h"
#include "server/config/config.h"

#include <string.h>

#define MAX_SESSIONS   100000
#define SEEN_EVERY_S   60
#define MAX_MAIL_BYTES 254 /* RFC 5321, 4.5.3.1.3 */

/* What a suspended account may do beside reading (client-server, "Account suspension"). */
static const char *const suspended_may[] = {
  "/_matrix/client/v3/rooms/{roomId}/leave",
  "/_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}",
  "/_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}",
  "/_matrix/client/v3/rooms/{roomId}/read_markers",
  "/_matrix/client/v3/sendToDevice/{eventType}/{txnId}",
  "/_matrix/client/v3/keys/upload",
  "/_matrix/client/v3/keys/query",
  "/_matrix/client/v3/keys/claim",
  "/_matrix/client/v3/keys/signatures/upload",
  "/_matrix/client/v3/keys/device_signing/upload",
  "/_matrix/client/v3/account/deactivate",
  "/_matrix/client/v3/account/password",
  "/_matrix/client/v3/user/{userId}/filter",
};

CmAccounts *
cm_accounts_new (CmNode *node)
{
  CmAccounts *accounts = g_new0 (CmAccounts, 1);
  accounts->node = node;
  accounts->sessions = cm_session_cache_new (MAX_SESSIONS);
  accounts->seen = cm_last_seen_new (node);
  accounts->spread = cm_spread_new (node);
  accounts->directory = node->config->ldap.uri ? cm_directory_new (node->config) : NULL;
  return accounts;
}

void
cm_accounts_free (CmAccounts *accounts)
{
  if (!accounts)
    return;
  cm_last_seen_free (accounts->seen);
  cm_spread_free (accounts->spread);
  cm_session_cache_free (accounts->sessions);
  cm_directory_free (accounts->directory);
  g_free (accounts);
}

void
cm_accounts_forget (CmAccounts *accounts, const char *user_id, const char *device_id)
{
  cm_session_cache_drop (accounts->sessions, user_id, device_id);
  if (accounts->node->sync != NULL)
    cm_sync_hub_drop (accounts->node->sync, user_id, device_id);
}

/* Another process changed the account. Polls end only when all tokens did: they would otherwise end
 * with the wrong error. */
static void
look_at (CmAccounts *accounts, const char *user_id)
{
  g_autoptr (GError) error = NULL;
  gboolean any = TRUE;
  g_autoptr (CmDb) db = cm_pool_get (accounts->node->pool, &error);
  if (!db || !cm_token_any (db, user_id, &any, &error))
    g_warning ("Cannot look at %s: %s", user_id, error->message);
  g_clear_pointer (&db, cm_db_release);
  if (!any)
    cm_accounts_forget (accounts, user_id, NULL);
  else
    cm_session_cache_drop (accounts->sessions, user_id, NULL);
}

static void
on_news (const char *text, gpointer data)
{
  CmAccounts *accounts = data;
  if (text)
    look_at (accounts, text);
  else
    cm_session_cache_drop_all (accounts->sessions);
  cm_accounts_finish_deactivations (accounts->node);
}

void
cm_accounts_start_listening (CmAccounts *accounts)
{
  accounts->news = cm_news_new (accounts->node->pool, CM_ACCOUNTS_CHANNEL, on_news, accounts);
  cm_accounts_finish_deactivations (accounts->node);
}

void
cm_accounts_stop_listening (CmAccounts *accounts)
{
  g_clear_pointer (&accounts->news, cm_news_free);
}

static CmSession *
session_of (const CmToken *token, const char *hash)
{
  CmSession *session = cm_session_new ();
  session->hash = g_strdup (hash);
  session->user_id = g_strdup (token->user_id);
  session->device_id = g_strdup (token->device_id);
  session->user = token->user;
  session->token = token->id;
  session->expires_ts = token->expires_ts;
  session->state = token->state;
  session->guest = token->origin == CM_ORIGIN_GUEST;
  session->admin = token->admin;
  return session;
}

static CmSession *
load_session (CmNode *node, const char *hash, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db)
    return NULL;
  g_autoptr (CmToken) token = cm_token_find (db, hash, &failure);
  if (failure) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (!token) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNKNOWN_TOKEN, "Unknown access token");
    return NULL;
  }
  if (token->refresh != 0 && !token->used && !cm_token_first_use (db, token, error))
    return NULL;
  return session_of (token, hash);
}

static CmSession *
find_session (CmNode *node, const char *token, GError **error)
{
  g_autofree char *hash = cm_token_hash (token);
  guint64 epoch;
  CmSession *session = cm_session_cache_find (node->accounts->sessions, hash, &epoch);
  if (session)
    return session;
  session = load_session (node, hash, error);
  if (session)
    cm_session_cache_add (node->accounts->sessions, session, epoch);
  return session;
}

static gboolean
refuse (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return FALSE;
}

static gboolean
suspended_may_call (const CmCall *call)
{
  const char *path = cm_call_route (call)->path;
  const char *method = cm_call_method (call);
  if (strcmp (method, "GET") == 0 || strcmp (method, "HEAD") == 0)
    return TRUE;
  for (gsize i = 0; i < G_N_ELEMENTS (suspended_may); i++) {
    if (strcmp (path, suspended_may[i]) == 0)
      return TRUE;
  }
  return FALSE;
}

static gboolean
check_state (const CmSession *session, const CmCall *call, CmAuth auth, GError **error)
{
  if (session->state == CM_ACCOUNT_DEACTIVATED)
    return refuse (error, CM_ERROR_UNKNOWN_TOKEN, "This account has been deactivated");
  if (auth == CM_AUTH_TOKEN_LOCKED)
    return TRUE;
  if (session->state == CM_ACCOUNT_LOCKED)
    return refuse (error, CM_ERROR_USER_LOCKED, "This account has been locked");
  if (session->state == CM_ACCOUNT_SUSPENDED && !suspended_may_call (call))
    return refuse (error, CM_ERROR_USER_SUSPENDED, "This account has been suspended");
  return TRUE;
}

static gboolean
check_session (const CmSession *session, const CmCall *call, CmAuth auth, GError **error)
{
  if (session->expires_ts != 0 && session->expires_ts <= cm_now_ms ())
    return refuse (error, CM_ERROR_SOFT_LOGOUT, "The access token has expired");
  if (!check_state (session, call, auth, error))
    return FALSE;
  if (session->guest && auth == CM_AUTH_TOKEN)
    return refuse (error, CM_ERROR_GUEST_ACCESS_FORBIDDEN, "Guests may not do this");
  if (auth == CM_AUTH_APPSERVICE)
    return refuse (error, CM_ERROR_FORBIDDEN, "This is for application services");
  if (auth == CM_AUTH_ADMIN && !session->admin)
    return refuse (error, CM_ERROR_FORBIDDEN, "This is for administrators");
  return TRUE;
}

static void
note_seen (CmAccounts *accounts, CmSession *session, const CmCall *call)
{
  gint now = (gint) (g_get_real_time () / G_USEC_PER_SEC);
  gint before = g_atomic_int_get (&session->seen);
  if (now - before < SEEN_EVERY_S ||
      !g_atomic_int_compare_and_exchange (&session->seen, before, now))
    return;
  cm_last_seen_note (accounts->seen, session->user_id, session->device_id, cm_call_address (call),
                     cm_call_header (call, "User-Agent"));
}

CmRequester *
cm_accounts_authenticate (CmNode *node, CmCall *call, const char *token, CmAuth auth,
                          GError **error)
{
  g_autoptr (CmSession) session = find_session (node, token, error);
  if (!session || !check_session (session, call, auth, error))
    return NULL;
  note_seen (node->accounts, session, call);
  CmRequester *requester = g_new0 (CmRequester, 1);
  requester->user_id = g_strdup (session->user_id);
  requester->device_id = g_strdup (session->device_id);
  requester->user = session->user;
  requester->token = session->token;
  requester->guest = session->guest;
  requester->admin = session->admin;
  return requester;
}

/* (transfer full) the user id of a localpart in whatever case. */
static char *
normal_user_id (CmNode *node, const char *localpart, GError **error)
{
  g_autofree char *lower = g_ascii_strdown (localpart, -1);
  g_autofree char *user_id = g_strdup_printf ("@%s:%s", lower, node->server_name);
  if (cm_id_is_new_localpart (lower) && strlen (user_id) <= CM_ID_MAX_BYTES)
    return g_steal_pointer (&user_id);
  refuse (error, CM_ERROR_INVALID_USERNAME, "A user name is made of a-z, 0-9 and . _ = - / +");
  return NULL;
}

char *
cm_accounts_user_id (CmNode *node, const char *name, GError **error)
{
  if (name[0] != '@' || !cm_id_domain_is (name, node->server_name))
    return normal_user_id (node, name, error);
  g_autofree char *localpart = cm_id_localpart (name);
  return normal_user_id (node, localpart, error);
}

char *
cm_accounts_new_user_id (CmNode *node, const char *localpart, GError **error)
{
  if (localpart[0] != '_')
    return normal_user_id (node, localpart, error);
  refuse (error, CM_ERROR_EXCLUSIVE, "Names that begin with _ are for application services");
  return NULL;
}

/* FALSE with @error also when the look-up fails. */
static gboolean
has_no_account (CmNode *node, const char *user_id, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db)
    return FALSE;
  g_autoptr (CmAccount) account = cm_account_get (db, user_id, &failure);
  if (account)
    return refuse (error, CM_ERROR_USER_IN_USE, "This user name is taken");
  if (!failure)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

gboolean
cm_accounts_check_free (CmNode *node, const char *user_id, GError **error)
{
  gboolean has;
  if (!has_no_account (node, user_id, error))
    return FALSE;
  if (!node->accounts->directory)
    return TRUE;
  g_autofree char *localpart = cm_id_localpart (user_id);
  if (!cm_directory_has (node->accounts->directory, localpart, &has, error))
    return FALSE;
  return !has || refuse (error, CM_ERROR_USER_IN_USE, "This user name is taken");
}

static gboolean
store_profile (CmDb *db, const CmNewAccount *new, gint64 now, GError **error)
{
  if (new->display_name) {
    g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
    cm_json_put_text (writer, NULL, new->display_name);
    g_autoptr (GBytes) value = cm_json_writer_end (writer);
    if (!cm_profile_put (db, new->user_id, "displayname", value, error))
      return FALSE;
  }
  if (!new->mail || strlen (new->mail) > MAX_MAIL_BYTES)
    return TRUE;
  return cm_threepid_add (db, new->user_id, "email", new->mail, now, error);
}

gboolean
cm_accounts_create (CmNode *node, const CmNewAccount *new, GError **error)
{
  gint64 now = cm_now_ms ();
  gint64 sym = cm_sym (node->ids, new->user_id, error);
  if (sym == 0)
    return FALSE;
  CmAccount account = {
    .user_id = (char *) new->user_id,
    .sym = sym,
    .origin = new->origin,
    .state = CM_ACCOUNT_ACTIVE,
    .admin = new->admin,
    .password_hash = (char *) new->password_hash,
    .external_id = (char *) new->external_id,
    .created_ts = now,
  };
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (CmTransaction) transaction = db ? cm_transaction_begin (db, error) : NULL;
  return transaction && cm_account_insert (db, &account, error) &&
         store_profile (db, new, now, error) && cm_transaction_commit (transaction, error);
}

static gboolean
set_password (CmNode *node, const char *user_id, const char *hash, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  return db && cm_account_set_password (db, user_id, hash, error);
}

gboolean
cm_accounts_change_password (CmNode *node, const char *user_id, const char *hash, gboolean logout,
                             const char *keep, GError **error)
{
  if (!logout)
    return set_password (node, user_id, hash, error);
  CmWrite *write = cm_write_new ();
  cm_account_write_password (write, user_id, hash);
  return cm_tokens_delete_others (node, user_id, keep, write, error);
}

gboolean
cm_accounts_exists (CmNode *node, const char *user_id, gboolean *exists, GError **error)
{
  g_autoptr (GError) failure = NULL;
  *exists = FALSE;
  if (!cm_id_domain_is (user_id, node->server_name))
    return TRUE;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db)
    return FALSE;
  g_autoptr (CmAccount) account = cm_account_get (db, user_id, &failure);
  *exists = account && account->state != CM_ACCOUNT_DEACTIVATED;
  if (!failure)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}
