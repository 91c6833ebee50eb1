/* Which backups of room keys an account has: their algorithm and what the client says of them. */
#include "server/api/client/key-backup-private.h"
#include "server/node.h"
#include "server/routes.h"

#include <string.h>

gboolean
cm_backup_version_parse (const char *text, gint64 *version, GError **error)
{
  guint64 number;

  if (text == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_MISSING_PARAM, "version is missing");
    return FALSE;
  }
  if (!g_ascii_string_to_unsigned (text, 10, 1, G_MAXINT32, &number, NULL)) {
    g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such backup version");
    return FALSE;
  }
  *version = (gint64) number;
  return TRUE;
}

const CmJson *
cm_backup_opaque (const CmJson *object, const char *key)
{
  const CmJson *value = cm_json_get (object, key);
  CmJsonType type = cm_json_type (value);

  return type == CM_JSON_OBJECT || type == CM_JSON_STRING ? value : NULL;
}

static CmReply *
reply_version (const CmKeyBackup *backup)
{
  g_autofree char *version = g_strdup_printf ("%" G_GINT64_FORMAT, backup->version);
  g_autofree char *etag = g_strdup_printf ("%" G_GINT64_FORMAT, backup->etag);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "algorithm", backup->algorithm);
  cm_json_put_bytes (writer, "auth_data", backup->auth_data);
  cm_json_put_integer (writer, "count", backup->count);
  cm_json_put_text (writer, "etag", etag);
  cm_json_put_text (writer, "version", version);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* algorithm and auth_data of a body; the latter in canonical form, as bytes. */
static gboolean
read_auth_data (CmCall *call, const char **algorithm, GBytes **auth_data, GError **error)
{
  const CmJson *data = cm_backup_opaque (cm_call_json (call), "auth_data");

  *algorithm = cm_json_get_text (cm_call_json (call), "algorithm");
  if (*algorithm == NULL || data == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON,
                 "algorithm must be a string and auth_data an object");
    return FALSE;
  }
  *auth_data = cm_json_canonical (data, NULL, error);
  return *auth_data != NULL;
}

static CmReply *
create_version (CmCall *call, GError **error)
{
  g_autoptr (GBytes) auth_data = NULL;
  const char *algorithm;

  if (!read_auth_data (call, &algorithm, &auth_data, error))
    return NULL;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  gint64 version =
      db != NULL ? cm_key_backup_new (db, cm_call_user (call), algorithm, auth_data, error) : 0;
  if (version == 0)
    return NULL;
  g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, version);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "version", text);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static CmReply *
get_current_version (CmCall *call, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_autoptr (CmKeyBackup) backup =
      db != NULL ? cm_key_backup_find (db, cm_call_user (call), 0, error) : NULL;

  return backup != NULL ? reply_version (backup) : NULL;
}

static CmReply *
get_version (CmCall *call, GError **error)
{
  gint64 version;

  if (!cm_backup_version_parse (cm_call_param (call, "version"), &version, error))
    return NULL;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_autoptr (CmKeyBackup) backup =
      db != NULL ? cm_key_backup_find (db, cm_call_user (call), version, error) : NULL;
  return backup != NULL ? reply_version (backup) : NULL;
}

static CmReply *
set_version (CmCall *call, GError **error)
{
  const char *named = cm_json_get_text (cm_call_json (call), "version");
  g_autoptr (GBytes) auth_data = NULL;
  const char *algorithm;
  gint64 version;

  if (!cm_backup_version_parse (cm_call_param (call, "version"), &version, error) ||
      !read_auth_data (call, &algorithm, &auth_data, error))
    return NULL;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_autoptr (CmKeyBackup) backup =
      db != NULL ? cm_key_backup_find (db, cm_call_user (call), version, error) : NULL;
  if (backup == NULL)
    return NULL;
  if ((named != NULL && strcmp (named, cm_call_param (call, "version")) != 0) ||
      strcmp (algorithm, backup->algorithm) != 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                 "A backup keeps its version and its algorithm");
    return NULL;
  }
  return cm_key_backup_set_auth_data (db, cm_call_user (call), version, auth_data, error)
             ? cm_reply_empty ()
             : NULL;
}

static CmReply *
delete_version (CmCall *call, GError **error)
{
  gint64 version;

  if (!cm_backup_version_parse (cm_call_param (call, "version"), &version, error))
    return NULL;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  return db != NULL && cm_key_backup_delete (db, cm_call_user (call), version, error)
             ? cm_reply_empty ()
             : NULL;
}

#define VERSION "/_matrix/client/v3/room_keys/version"

const CmRoute cm_routes_key_backup_versions[] = {
  { "POST", VERSION, CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON, create_version,
    0 },
  { "GET", VERSION, CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, get_current_version,
    0 },
  { "GET", VERSION "/{version}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE,
    get_version, 0 },
  { "PUT", VERSION "/{version}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON,
    set_version, 0 },
  { "DELETE", VERSION "/{version}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE,
    delete_version, 0 },
  CM_ROUTES_END,
};
