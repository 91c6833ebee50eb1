#include "server/accounts/profile.h"

#include "crypto/id.h"
#include "schema/profile.h"
#include "server/accounts/accounts-private.h"

#include <string.h>

#define MAX_PROFILE 65535 /* "the total profile MUST be under 64 KiB" */
#define MAX_KEY     255
#define MAX_NAME    256
#define MAX_MXC     512

/* --- Reading --- */

static CmJsonDoc *
value_doc (CmNode *node, const char *user_id, const char *key, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (GBytes) value = db ? cm_profile_value (db, user_id, key, error) : NULL;
  return value ? cm_json_parse_bytes (value, error) : NULL;
}

char *
cm_profile_text (CmNode *node, const char *user_id, const char *key, GError **error)
{
  g_autoptr (CmJsonDoc) doc = value_doc (node, user_id, key, error);
  return doc ? g_strdup (cm_json_text (cm_json_doc_root (doc))) : NULL;
}

static gboolean
put_text (CmNode *node, CmJsonWriter *writer, const char *user_id, const char *key, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autofree char *text = cm_profile_text (node, user_id, key, &failure);
  cm_json_put_text (writer, key, text);
  if (!failure)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

gboolean
cm_profile_put_member (CmNode *node, CmJsonWriter *writer, const char *user_id, GError **error)
{
  return put_text (node, writer, user_id, "displayname", error) &&
         put_text (node, writer, user_id, "avatar_url", error);
}

static void
put_value (const char *key, GBytes *value, gpointer writer)
{
  cm_json_put_bytes (writer, key, value);
}

CmJsonDoc *
cm_profile_get (CmNode *node, const char *user_id, GError **error)
{
  gboolean exists;
  if (!cm_accounts_exists (node, user_id, &exists, error))
    return NULL;
  if (!exists) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such user");
    return NULL;
  }
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  cm_json_open_object (writer, NULL);
  if (!db || !cm_profile_foreach (db, user_id, put_value, writer, error))
    return NULL;
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

/* --- Writing --- */

static gboolean
fail (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return FALSE;
}

/* Appendices, "Common Namespaced Identifier Grammar": lower case, with a namespace. */
static gboolean
is_namespaced (const char *key)
{
  gboolean dotted = FALSE;
  for (const char *p = key; *p; p++) {
    gboolean starts = p == key || p[-1] == '.';
    if (!(g_ascii_islower (*p) || (!starts && (g_ascii_isdigit (*p) || *p == '_' || *p == '.'))))
      return FALSE;
    dotted = dotted || *p == '.';
  }
  return dotted && !g_str_has_suffix (key, ".");
}

static gboolean
check_key (const char *key, GError **error)
{
  if (strlen (key) > MAX_KEY)
    return fail (error, CM_ERROR_KEY_TOO_LARGE, "The key is too long");
  if (strcmp (key, "displayname") == 0 || strcmp (key, "avatar_url") == 0 || is_namespaced (key))
    return TRUE;
  return fail (error, CM_ERROR_INVALID_PARAM, "This is no key of a profile");
}

static gboolean
check_text (const CmJson *value, gsize max, GError **error)
{
  if (cm_json_type (value) != CM_JSON_STRING)
    return fail (error, CM_ERROR_BAD_JSON, "The value must be a text");
  if (!cm_json_text (value) || cm_json_length (value) > max)
    return fail (error, CM_ERROR_INVALID_PARAM, "The value is too long");
  return TRUE;
}

static gboolean
check_value (const char *key, const CmJson *value, GError **error)
{
  if (strcmp (key, "displayname") == 0)
    return check_text (value, MAX_NAME, error);
  if (strcmp (key, "m.tz") == 0)
    return check_text (value, MAX_KEY, error);
  if (strcmp (key, "avatar_url") != 0)
    return TRUE;
  if (!check_text (value, MAX_MXC, error))
    return FALSE;
  return cm_id_parse_mxc (cm_json_text (value), NULL, NULL) ||
         fail (error, CM_ERROR_INVALID_PARAM, "avatar_url must be an mxc:// URI");
}

/* For these two, null and an empty text have always meant that there is none. */
static gboolean
means_none (const char *key, const CmJson *value)
{
  if (strcmp (key, "displayname") != 0 && strcmp (key, "avatar_url") != 0)
    return FALSE;
  return cm_json_type (value) == CM_JSON_NULL ||
         (cm_json_type (value) == CM_JSON_STRING && cm_json_length (value) == 0);
}

/* The account's row is held, so that two requests together do not pass the limit. */
static gboolean
put_within_limit (CmDb *db, const char *user_id, const char *key, GBytes *value, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmTransaction) transaction = cm_transaction_begin (db, error);
  g_autoptr (CmAccount) account = transaction ? cm_account_lock (db, user_id, &failure) : NULL;
  if (!transaction)
    return FALSE;
  if (!account && !failure)
    return fail (error, CM_ERROR_NOT_FOUND, "There is no such user");
  gint64 size = account ? cm_profile_size_without (db, user_id, key, &failure) : -1;
  if (failure) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (size + (gint64) strlen (key) + 4 + (gint64) g_bytes_get_size (value) > MAX_PROFILE)
    return fail (error, CM_ERROR_PROFILE_TOO_LARGE, "A profile holds less than 64 KiB");
  return cm_profile_put (db, user_id, key, value, error) &&
         cm_transaction_commit (transaction, error);
}

static gboolean
store (CmNode *node, const char *user_id, const char *key, const CmJson *value, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db)
    return FALSE;
  if (!value)
    return cm_profile_remove (db, user_id, key, error);
  g_autoptr (GBytes) bytes = cm_json_canonical_lenient (value, NULL);
  return put_within_limit (db, user_id, key, bytes, error);
}

gboolean
cm_profile_set (CmNode *node, const char *user_id, const char *key, const CmJson *value,
                GError **error)
{
  if (!check_key (key, error))
    return FALSE;
  if (value && means_none (key, value))
    value = NULL;
  if (value && !check_value (key, value, error))
    return FALSE;
  if (!store (node, user_id, key, value, error))
    return FALSE;
  if (strcmp (key, "displayname") == 0 || strcmp (key, "avatar_url") == 0)
    cm_spread_profile (node->accounts->spread, user_id);
  return TRUE;
}
