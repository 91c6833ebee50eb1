#include "server/accounts/tokens.h"

#include "crypto/hash.h"
#include "schema/committer.h"
#include "schema/device.h"
#include "schema/token.h"
#include "server/accounts/accounts-private.h"
#include "server/config/config.h"
#include "server/e2ee/device-lists.h"

#include <string.h>

#define TOKEN_CHARS     43 /* 256 bits */
#define DEVICE_ID_CHARS 10

void
cm_tokens_free (CmTokens *tokens)
{
  if (!tokens)
    return;
  g_free (tokens->user_id);
  g_free (tokens->device_id);
  g_free (tokens->access);
  g_free (tokens->refresh);
  g_free (tokens);
}

/* The prefix lets scanners for leaked secrets tell what they have found. */
static char *
new_token (const char *prefix)
{
  g_autofree char *random = cm_random_token (TOKEN_CHARS);
  return g_strconcat (prefix, random, NULL);
}

static char *
new_device_id (void)
{
  g_autofree char *random = cm_random_token (DEVICE_ID_CHARS);
  return g_ascii_strup (random, -1);
}

static CmTokens *
new_tokens (const CmNode *node, const char *user_id, const char *device_id, gboolean refreshable)
{
  CmTokens *tokens = g_new0 (CmTokens, 1);
  tokens->user_id = g_strdup (user_id);
  tokens->device_id = device_id ? g_strdup (device_id) : new_device_id ();
  tokens->access = new_token ("cma_");
  if (refreshable) {
    tokens->refresh = new_token ("cmr_");
    tokens->expires_in_ms = node->config->accounts.access_token_lifetime * 1000;
  }
  return tokens;
}

static gboolean
may_sign_in (const CmAccount *account, GError **error)
{
  if (account && account->state == CM_ACCOUNT_DEACTIVATED) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_USER_DEACTIVATED,
                         "This account has been deactivated");
    return FALSE;
  }
  if (account && account->state == CM_ACCOUNT_LOCKED) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_USER_LOCKED, "This account has been locked");
    return FALSE;
  }
  if (account)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "There is no such account");
  return FALSE;
}

/* The account's row is held until the transaction ends, so that a deactivation either is seen here
 * or sees the new token. */
static gboolean
lock_account (CmDb *db, const char *user_id, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmAccount) account = cm_account_lock (db, user_id, &failure);
  if (!failure)
    return may_sign_in (account, error);
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

/* What @tokens look like in the database; the hashes are handed over to the caller. */
static CmNewToken
stored_form (const CmTokens *tokens, char **hash, char **refresh_hash)
{
  gint64 now = cm_now_ms ();
  *hash = cm_token_hash (tokens->access);
  *refresh_hash = tokens->refresh ? cm_token_hash (tokens->refresh) : NULL;
  return (CmNewToken){
    .user_id = tokens->user_id,
    .device_id = tokens->device_id,
    .hash = *hash,
    .refresh_hash = *refresh_hash,
    .expires_ts = tokens->expires_in_ms ? now + tokens->expires_in_ms : 0,
    .now = now,
  };
}

static gboolean
store (CmNode *node, const CmTokens *tokens, const char *display_name, gboolean *new_device,
       GError **error)
{
  g_autofree char *hash = NULL;
  g_autofree char *refresh_hash = NULL;
  const CmNewToken new = stored_form (tokens, &hash, &refresh_hash);
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (CmTransaction) transaction = db ? cm_transaction_begin (db, error) : NULL;

  return transaction && lock_account (db, new.user_id, error) &&
         cm_device_ensure (db, new.user_id, new.device_id, display_name, new.now, new_device,
                           error) &&
         cm_token_delete_device (db, new.user_id, new.device_id, error) &&
         cm_token_insert (db, &new, error) && cm_transaction_commit (transaction, error);
}

/* It has no keys yet, but whoever lists the user's devices does so anew. */
static void
tell_of_device (CmNode *node, const CmTokens *tokens)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmWrite) write = cm_write_new ();
  if (!cm_device_lists_changed (node, write, tokens->user_id, tokens->device_id, NULL, &error) ||
      cm_committer_commit (node->committer, g_steal_pointer (&write), &error) < 0)
    g_warning ("Nobody was told of the new device of %s: %s", tokens->user_id, error->message);
}

CmTokens *
cm_tokens_issue (CmNode *node, const CmSignIn *sign_in, GError **error)
{
  g_autoptr (CmTokens) tokens =
      new_tokens (node, sign_in->user_id, sign_in->device_id, sign_in->refreshable);
  gboolean new_device;
  if (!store (node, tokens, sign_in->display_name, &new_device, error))
    return NULL;
  if (new_device)
    tell_of_device (node, tokens);
  if (sign_in->device_id)
    cm_accounts_forget (node->accounts, sign_in->user_id, sign_in->device_id);
  return g_steal_pointer (&tokens);
}

/* A refresh token is made anew with each use, so its age is the time since the device was last
 * heard of. The device stays: a client that is told so keeps its keys, and signs in again. */
static gboolean
check_age (const CmNode *node, const CmToken *token, GError **error)
{
  gint64 lifetime = node->config->accounts.refresh_token_lifetime;

  if (lifetime == 0 || token->created_ts + lifetime * 1000 > cm_now_ms ())
    return TRUE;
  return cm_fail (error, CM_ERROR_SOFT_LOGOUT, "The refresh token has expired");
}

static CmTokens *
refresh_in (CmNode *node, CmDb *db, const CmToken *old, GError **error)
{
  g_autoptr (CmTokens) tokens = new_tokens (node, old->user_id, old->device_id, TRUE);
  g_autofree char *hash = NULL;
  g_autofree char *refresh_hash = NULL;
  const CmNewToken new = stored_form (tokens, &hash, &refresh_hash);
  if (!lock_account (db, old->user_id, error) || !cm_refresh_token_replace (db, old, &new, error))
    return NULL;
  return g_steal_pointer (&tokens);
}

CmTokens *
cm_tokens_refresh (CmNode *node, const char *refresh_token, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autofree char *hash = cm_token_hash (refresh_token);
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (CmTransaction) transaction = db ? cm_transaction_begin (db, error) : NULL;
  if (!transaction)
    return NULL;
  g_autoptr (CmToken) old = cm_refresh_token_lock (db, hash, &failure);
  if (failure) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (!old) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNKNOWN_TOKEN, "Unknown refresh token");
    return NULL;
  }
  if (!check_age (node, old, error))
    return NULL;
  g_autoptr (CmTokens) tokens = refresh_in (node, db, old, error);
  if (!tokens || !cm_transaction_commit (transaction, error))
    return NULL;
  cm_accounts_forget (node->accounts, old->user_id, old->device_id);
  return g_steal_pointer (&tokens);
}

static GPtrArray *
list_devices (CmNode *node, const char *user_id, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  return db ? cm_device_list (db, user_id, error) : NULL;
}

/* Its open polls must end before the news of its own end gets to them: see cm_sync_hub_published.
 */
static void
attach_ended (CmWrite *write, const char *user_id, const char *device_id)
{
  const char *const device[] = { user_id, device_id, NULL };
  cm_write_attach (write, "ended-device", g_strdupv ((char **) device),
                   (GDestroyNotify) g_strfreev);
}

/* @extra: transfer full, nullable. */
static gboolean
delete_devices (CmNode *node, const char *user_id, const GPtrArray *device_ids, CmWrite *extra,
                GError **error)
{
  g_autoptr (CmWrite) write = extra ? extra : cm_write_new ();
  for (guint i = 0; i < device_ids->len; i++) {
    cm_device_write_delete (write, user_id, device_ids->pdata[i]);
    attach_ended (write, user_id, device_ids->pdata[i]);
    if (!cm_device_lists_device_deleted (node, write, user_id, device_ids->pdata[i], error))
      return FALSE;
  }
  if (cm_committer_commit (node->committer, g_steal_pointer (&write), error) < 0)
    return FALSE;
  for (guint i = 0; i < device_ids->len; i++)
    cm_accounts_forget (node->accounts, user_id, device_ids->pdata[i]);
  return TRUE;
}

/* Others are told of what is deleted, so what never was is not. */
gboolean
cm_tokens_delete_devices (CmNode *node, const char *user_id, const char *const *device_ids,
                          GError **error)
{
  g_autoptr (GPtrArray) devices = list_devices (node, user_id, error);
  g_autoptr (GPtrArray) wanted = g_ptr_array_new ();
  for (guint i = 0; devices && i < devices->len; i++) {
    const CmDevice *device = devices->pdata[i];
    if (g_strv_contains (device_ids, device->device_id))
      g_ptr_array_add (wanted, device->device_id);
  }
  return devices && delete_devices (node, user_id, wanted, NULL, error);
}

gboolean
cm_tokens_delete_others (CmNode *node, const char *user_id, const char *keep, CmWrite *extra,
                         GError **error)
{
  g_autoptr (CmWrite) write = extra;
  g_autoptr (GPtrArray) devices = list_devices (node, user_id, error);
  g_autoptr (GPtrArray) others = g_ptr_array_new ();
  for (guint i = 0; devices && i < devices->len; i++) {
    const CmDevice *device = devices->pdata[i];
    if (g_strcmp0 (device->device_id, keep) != 0)
      g_ptr_array_add (others, device->device_id);
  }
  return devices && delete_devices (node, user_id, others, g_steal_pointer (&write), error);
}
