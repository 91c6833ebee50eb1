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
#define MAX_MAIL_BYTES 254 /* RFC 5321, 4.5.3.1.3 */

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
  CmSyncHub *hub = accounts->node->sync;
  if (!hub)
    return;
  cm_sync_hub_drop (hub, user_id, device_id);
  /* Their pushers went with the tokens. */
  cm_sync_hub_forget_profile (hub, user_id);
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

gboolean
cm_accounts_load_erased (CmNode *node, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (GArray) users = db ? cm_account_erased (db, error) : NULL;
  if (!users)
    return FALSE;
  cm_rooms_set_erased (node->rooms, users);
  return TRUE;
}

static void
on_news (const char *text, gpointer data)
{
  CmAccounts *accounts = data;
  g_autoptr (GError) error = NULL;
  if (!cm_accounts_load_erased (accounts->node, &error))
    g_warning ("Cannot look for erased accounts: %s", error->message);
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

static gboolean
refuse (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return FALSE;
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

gboolean
cm_accounts_promote_guest (CmNode *node, const char *user_id, const char *hash, GError **error)
{
  {
    g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
    if (!db || !cm_account_promote (db, user_id, hash, error))
      return FALSE;
  }
  /* His tokens stay, and are a guest's no more. */
  cm_session_cache_drop (node->accounts->sessions, user_id, NULL);
  return TRUE;
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
