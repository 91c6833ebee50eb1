/* Who has an account here, who is signed in, and what they may. Tokens are known by their hash
 * only; those in use are kept in memory, so that a request costs no query. Whatever takes a right
 * away (logout, a changed password, a deleted device, a locked account) does so in the database, in
 * memory and in open polls before it returns. */
#pragma once

#include "schema/account.h"
#include "server/node.h"
#include "server/router/route.h"

G_BEGIN_DECLS

CmAccounts *cm_accounts_new (CmNode *node);
void cm_accounts_free (CmAccounts *accounts);

/* Tells the rooms whose accounts were erased. */
gboolean cm_accounts_load_erased (CmNode *node, GError **error);

/* Where other processes tell of accounts they changed: the text is the user id. */
#define CM_ACCOUNTS_CHANNEL "comity_account"

/* Listens to that channel, and takes up in the background the deactivations that an earlier life of
 * the node left undone. To be ended before the lanes are. */
void cm_accounts_start_listening (CmAccounts *accounts);
void cm_accounts_stop_listening (CmAccounts *accounts);

/* CmAuthenticators.token. Errors: CM_ERROR_MISSING_TOKEN, CM_ERROR_UNKNOWN_TOKEN,
 * CM_ERROR_SOFT_LOGOUT (it ran out), CM_ERROR_USER_LOCKED, CM_ERROR_USER_SUSPENDED,
 * CM_ERROR_GUEST_ACCESS_FORBIDDEN, CM_ERROR_FORBIDDEN (not an administrator). May use the database.
 */
CmRequester *cm_accounts_authenticate (CmNode *node, CmCall *call, const char *token, CmAuth auth,
                                       GError **error);

/* (transfer full) the user id for what somebody typed, a localpart or a whole user id of this
 * server, in its normal form; NULL with CM_ERROR_INVALID_USERNAME for what no account can be
 * called. */
char *cm_accounts_user_id (CmNode *node, const char *name, GError **error);
/* The same for an account to be made: @localpart only, and not those that are kept for application
 * services (CM_ERROR_EXCLUSIVE). */
char *cm_accounts_new_user_id (CmNode *node, const char *localpart, GError **error);
/* CM_ERROR_USER_IN_USE when there is or was an account of that name, or the directory has somebody
 * who will want it. Blocking. */
gboolean cm_accounts_check_free (CmNode *node, const char *user_id, GError **error);

typedef struct {
  const char *user_id; /* as cm_accounts_user_id gives it */
  CmAccountOrigin origin;
  const char *password_hash; /* nullable, as are those below */
  const char *external_id;
  const char *display_name;
  const char *mail;
  gboolean admin;
} CmNewAccount;

/* Makes an account. CM_ERROR_USER_IN_USE when the name is taken. */
gboolean cm_accounts_create (CmNode *node, const CmNewAccount *account, GError **error);

/* (transfer full) the guest whose access token that is; CM_ERROR_FORBIDDEN for what is no guest's.
 */
char *cm_accounts_guest (CmNode *node, const char *token, GError **error);
/* Gives a guest an account like everybody's ("Guest Access"). */
gboolean
cm_accounts_promote_guest (CmNode *node, const char *user_id, const char *hash, GError **error);

/* Sets the password of a local account; @logout: all devices but @keep are signed out. */
gboolean cm_accounts_change_password (CmNode *node, const char *user_id, const char *hash,
                                      gboolean logout, const char *keep, GError **error);

/* Whether a user of this server has an account that is not deactivated; FALSE in @exists for users
 * of other servers. */
gboolean cm_accounts_exists (CmNode *node, const char *user_id, gboolean *exists, GError **error);

G_END_DECLS
