#include "server/accounts/sign-in.h"

#include "crypto/id.h"
#include "crypto/password.h"
#include "server/accounts/accounts-private.h"
#include "server/accounts/directory.h"
#include "server/router/limits.h"

#include <string.h>

/* --- Who is meant --- */

static char *
name_of_user (CmNode *node, const char *user)
{
  char *user_id = cm_accounts_user_id (node, user, NULL);
  return user_id ? user_id : g_strdup ("");
}

static char *
name_of_mail (CmNode *node, const char *medium, const char *address, GError **error)
{
  g_autoptr (GError) failure = NULL;
  if (strcmp (medium, "email") != 0)
    return g_strdup ("");
  g_autofree char *normal = g_utf8_strdown (address, -1);
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db)
    return NULL;
  char *owner = cm_threepid_owner (db, medium, normal, &failure);
  if (!failure)
    return owner ? owner : g_strdup ("");
  g_propagate_error (error, g_steal_pointer (&failure));
  return NULL;
}

static char *
refuse (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return NULL;
}

/* The older form has the same members beside "type" instead of in "identifier". */
static char *
name_of_older_form (CmNode *node, const CmJson *body, GError **error)
{
  const char *user = cm_json_get_text (body, "user");
  const char *medium = cm_json_get_text (body, "medium");
  const char *address = cm_json_get_text (body, "address");
  if (user)
    return name_of_user (node, user);
  if (medium && address)
    return name_of_mail (node, medium, address, error);
  if (cm_json_get (body, "user"))
    return refuse (error, CM_ERROR_BAD_JSON, "user must be a text");
  return refuse (error, CM_ERROR_MISSING_PARAM, "identifier is missing");
}

char *
cm_sign_in_name (CmNode *node, const CmJson *body, GError **error)
{
  const CmJson *identifier = cm_json_get (body, "identifier");
  if (!identifier)
    return name_of_older_form (node, body, error);
  const char *type = cm_json_get_text (identifier, "type");
  const char *user = cm_json_get_text (identifier, "user");
  const char *medium = cm_json_get_text (identifier, "medium");
  const char *address = cm_json_get_text (identifier, "address");
  if (!type)
    return refuse (error, CM_ERROR_BAD_JSON, "identifier must be an object with a type");
  if (strcmp (type, "m.id.user") == 0 && user)
    return name_of_user (node, user);
  /* A name with U+0000 in it is a text, but nobody's. */
  if (strcmp (type, "m.id.user") == 0 &&
      cm_json_type (cm_json_get (identifier, "user")) == CM_JSON_STRING)
    return g_strdup ("");
  if (strcmp (type, "m.id.thirdparty") == 0 && medium && address)
    return name_of_mail (node, medium, address, error);
  return refuse (error, CM_ERROR_BAD_JSON, "This identifier is not known here, or not complete");
}

/* --- Whether the password is theirs --- */

static gboolean
wrong (GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "Invalid username or password");
  return FALSE;
}

/* The text of "password"; "" for one that can be nobody's (missing, or with U+0000 in it). NULL
 * with @error when it is no text or too long. */
static const char *
password_of (const CmJson *body, GError **error)
{
  const CmJson *node = cm_json_get (body, "password");
  CmJsonType type = cm_json_type (node);
  if (type != CM_JSON_ABSENT && type != CM_JSON_NULL && type != CM_JSON_STRING)
    return refuse (error, CM_ERROR_BAD_JSON, "password must be a text");
  if (cm_json_length (node) > CM_PASSWORD_MAX_BYTES)
    return refuse (error, CM_ERROR_INVALID_PARAM, "The password is too long");
  const char *text = cm_json_text (node);
  return text ? text : "";
}

static CmAccount *
get_account (CmNode *node, const char *user_id, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  return db ? cm_account_get (db, user_id, error) : NULL;
}

static gboolean
link_account (CmNode *node, const char *user_id, const char *external_id, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  return db && cm_account_set_external_id (db, user_id, external_id, error);
}

/* The entry's own id, or the name where the directory has none to show. */
static const char *
external_id_of (const CmPerson *person, const char *user_id)
{
  return person->id ? person->id : user_id;
}

static CmAccount *
make_account (CmNode *node, const char *user_id, const CmPerson *person, GError **error)
{
  g_autofree char *mail = person->mail ? g_utf8_strdown (person->mail, -1) : NULL;
  const CmNewAccount new = {
    .user_id = user_id,
    .origin = CM_ORIGIN_LDAP,
    .external_id = external_id_of (person, user_id),
    .display_name = person->display_name,
    .mail = mail,
  };
  if (!cm_accounts_create (node, &new, error))
    return NULL;
  g_message ("Made an account for %s of the directory", user_id);
  return get_account (node, user_id, error);
}

/* (transfer full) the account of a person who has another name by now. */
static CmAccount *
account_of_person (CmNode *node, const CmPerson *person, GError **error)
{
  g_autoptr (CmDb) db = person->id ? cm_pool_get (node->pool, error) : NULL;
  return db ? cm_account_get_external (db, CM_ORIGIN_LDAP, person->id, error) : NULL;
}

/* The first sign-in, under this name or at all. */
static CmAccount *
find_or_make_account (CmNode *node, const char *user_id, const CmPerson *person, GError **error)
{
  g_autoptr (GError) failure = NULL;
  CmAccount *account = account_of_person (node, person, &failure);
  if (!account && !failure)
    return make_account (node, user_id, person, error);
  if (failure)
    g_propagate_error (error, g_steal_pointer (&failure));
  return account;
}

/* An account stays with the entry it was made for: a name that was given to somebody else does not
 * open it. */
static gboolean
is_same_person (CmNode *node, const CmAccount *account, const CmPerson *person, GError **error)
{
  const char *id = external_id_of (person, account->user_id);
  if (!account->external_id)
    return link_account (node, account->user_id, id, error);
  if (strcmp (account->external_id, id) == 0)
    return TRUE;
  g_warning ("%s is another entry of the directory than before; `comity user relink` lets it in",
             account->user_id);
  return wrong (error);
}

/* @account: NULL before the first sign-in. */
static CmAccount *
sign_in_by_directory (CmNode *node, const char *user_id, CmAccount *account, const char *password,
                      GError **error)
{
  g_autoptr (CmAccount) owned = account;
  g_autofree char *localpart = cm_id_localpart (user_id);
  const char *id = owned ? owned->external_id : NULL;
  g_autoptr (CmPerson) person =
      cm_directory_sign_in (node->accounts->directory, localpart, id, password, error);
  if (!person)
    return NULL;
  if (!owned)
    return find_or_make_account (node, user_id, person, error);
  return is_same_person (node, owned, person, error) ? g_steal_pointer (&owned) : NULL;
}

static CmAccount *
authenticate (CmNode *node, const char *user_id, const char *password, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmAccount) account = NULL;
  gboolean could_be = user_id[0] != '\0' && password[0] != '\0';
  if (could_be)
    account = get_account (node, user_id, &failure);
  if (failure) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  gboolean by_directory = account ? account->origin == CM_ORIGIN_LDAP : could_be;
  if (by_directory && node->accounts->directory)
    return sign_in_by_directory (node, user_id, g_steal_pointer (&account), password, error);
  /* The same work for an account that is not there or has no password. */
  gboolean local = account && account->origin == CM_ORIGIN_LOCAL;
  if (cm_password_verify (local ? account->password_hash : NULL, password) && local)
    return g_steal_pointer (&account);
  wrong (error);
  return NULL;
}

/* --- How often --- */

/* By account and address: who guesses does not lock the owner out. */
static char *
penalty_key (const char *user_id, const char *address_key)
{
  return g_strdup_printf ("%s %s", user_id, address_key);
}

CmAccount *
cm_sign_in_password (CmCall *call, const char *user_id, const CmJson *body, CmReply **refusal,
                     GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (GError) failure = NULL;
  g_autofree char *address = cm_limits_address_key (cm_call_address (call));
  g_autofree char *pair = penalty_key (user_id, address);
  const char *password = password_of (body, error);
  if (!password)
    return NULL;
  gint64 wait_ms =
      MAX (cm_limits_penalty (node->limits, pair), cm_limits_penalty (node->limits, address));
  if (wait_ms > 0) {
    *refusal = cm_reply_limited (wait_ms);
    return NULL;
  }
  CmAccount *account = authenticate (node, user_id, password, &failure);
  if (account)
    return account;
  if (g_error_matches (failure, CM_ERROR, CM_ERROR_FORBIDDEN)) {
    cm_limits_penalise (node->limits, pair);
    cm_limits_penalise (node->limits, address);
  }
  g_propagate_error (error, g_steal_pointer (&failure));
  return NULL;
}
