/* Accounts of this server as they are stored. A user id here is always normal: lower case, complete
 * ("@ada:acme.example"). */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* Who vouches for an account; it never changes (but that a guest may settle down), and only that
 * authenticator is asked. */
typedef enum {
  CM_ORIGIN_LOCAL,      /* a password of its own */
  CM_ORIGIN_LDAP,       /* the company's directory */
  CM_ORIGIN_APPSERVICE, /* an application service acts for it */
  CM_ORIGIN_GUEST,
  CM_ORIGIN_SERVICE, /* the node itself (its participant) */
} CmAccountOrigin;

typedef enum {
  CM_ACCOUNT_ACTIVE,
  CM_ACCOUNT_LOCKED,      /* may do nothing but sign out */
  CM_ACCOUNT_SUSPENDED,   /* may read, and little more */
  CM_ACCOUNT_DEACTIVATED, /* for good; its name is never given out again */
} CmAccountState;

typedef struct {
  char *user_id;
  gint64 sym;
  CmAccountOrigin origin;
  CmAccountState state;
  gboolean locked; /* both of these may be, whatever state says of the graver one */
  gboolean suspended;
  gboolean admin;
  gboolean erased;
  char *password_hash; /* NULL: no password here */
  char *external_id;   /* of a directory's entry; nullable */
  gint64 created_ts;
} CmAccount;

void cm_account_free (CmAccount *account);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmAccount, cm_account_free)

const char *cm_account_origin_text (CmAccountOrigin origin);
CmAccountOrigin cm_account_origin_from_text (const char *text);
const char *cm_account_state_text (CmAccountState state);
/* Of the columns state and suspended. */
CmAccountState cm_account_state_of (const char *text, gboolean suspended);

/* Stores @account. CM_ERROR_USER_IN_USE when the user id, or the directory's entry, has an account.
 */
gboolean cm_account_insert (CmDb *db, const CmAccount *account, GError **error);
/* (transfer full) NULL without @error when there is none. */
CmAccount *cm_account_get (CmDb *db, const char *user_id, GError **error);
/* (transfer full) the account that was made for that entry of a directory; NULL without @error when
 * there is none. */
CmAccount *
cm_account_get_external (CmDb *db, CmAccountOrigin origin, const char *external_id, GError **error);
/* As cm_account_get, and holds the row until the transaction ends. */
CmAccount *cm_account_lock (CmDb *db, const char *user_id, GError **error);
/* (transfer full) of CmAccount, in order of user ids after @after ("" for all), at most @limit. */
GPtrArray *cm_account_list (CmDb *db, const char *after, gint64 limit, GError **error);

/* Each is CM_ERROR_NOT_FOUND without such an account. */
gboolean cm_account_set_password (CmDb *db, const char *user_id, const char *hash, GError **error);
/* Makes a guest's account one with a password; CM_ERROR_NOT_FOUND for what is no guest's. */
gboolean cm_account_promote (CmDb *db, const char *user_id, const char *hash, GError **error);
/* These two not of a deactivated one, which stays so. */
gboolean cm_account_set_locked (CmDb *db, const char *user_id, gboolean locked, GError **error);
gboolean
cm_account_set_suspended (CmDb *db, const char *user_id, gboolean suspended, GError **error);
gboolean cm_account_set_admin (CmDb *db, const char *user_id, gboolean admin, GError **error);
/* @id NULL: the next sign-in through the directory links it anew. */
gboolean cm_account_set_external_id (CmDb *db, const char *user_id, const char *id, GError **error);
void cm_account_write_password (CmWrite *write, const char *user_id, const char *hash);

/* Deactivates: no password, tokens, addresses or directory entry any more. @erase: what was said is
 * to be hidden from newcomers, and the profile goes. Devices and rooms are left afterwards, see
 * cm_account_unfinished. */
gboolean cm_account_end (CmDb *db, const char *user_id, gboolean erase, GError **error);
/* (transfer full) of gint64: syms of the accounts that ended so with @erase. */
GArray *cm_account_erased (CmDb *db, GError **error);
/* (transfer full) user ids of deactivated accounts that still have devices or rooms. */
GPtrArray *cm_account_unfinished (CmDb *db, GError **error);

/* Third-party addresses (mail), in their normal form. */
typedef struct {
  char *medium;
  char *address;
  gint64 validated_ts;
  gint64 added_ts;
} CmThreepid;
void cm_threepid_free (CmThreepid *threepid);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmThreepid, cm_threepid_free)

/* An address that somebody has already stays theirs. */
gboolean cm_threepid_add (CmDb *db, const char *user_id, const char *medium, const char *address,
                          gint64 now, GError **error);
/* (transfer full) whose it is; NULL without @error when nobody's. */
char *cm_threepid_owner (CmDb *db, const char *medium, const char *address, GError **error);
/* (transfer full) of CmThreepid. */
GPtrArray *cm_threepid_list (CmDb *db, const char *user_id, GError **error);

G_END_DECLS
