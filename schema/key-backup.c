#include "schema/key-backup.h"

static const CmSql new_version = {
  "key_backup_new",
  "INSERT INTO key_backup (user_id, version, algorithm, auth_data)"
  " SELECT $1, coalesce (max (version), 0) + 1, $2, $3 FROM key_backup WHERE user_id = $1 "
  "RETURNING version",
};

static const CmSql find_version = {
  "key_backup_find",
  "SELECT b.version, b.algorithm, b.auth_data, b.etag,"
  " (SELECT count (*) FROM key_backup_session s WHERE s.user_id = b.user_id AND s.version = "
  "b.version)"
  " FROM key_backup b WHERE b.user_id = $1 AND NOT b.deleted AND ($2 = 0 OR b.version = $2)"
  " ORDER BY b.version DESC LIMIT 1",
};

static const CmSql set_auth_data = {
  "key_backup_set_auth_data",
  "UPDATE key_backup SET auth_data = $3 WHERE user_id = $1 AND version = $2 AND NOT deleted",
};

/* The row stays so that the number is not given out again. */
static const CmSql delete_version = {
  "key_backup_delete",
  "UPDATE key_backup SET deleted = true, auth_data = '' WHERE user_id = $1 AND version = $2 AND "
  "NOT deleted",
};

/* client-server, PUT room_keys/keys: a key that is there is replaced only by a better one. */
static const CmSql put_session = {
  "key_backup_put",
  "INSERT INTO key_backup_session AS old (user_id, version, room_id, session_id, "
  "first_message_index, forwarded_count,"
  " is_verified, session_data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
  " ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE SET first_message_index = "
  "excluded.first_message_index,"
  " forwarded_count = excluded.forwarded_count, is_verified = excluded.is_verified, session_data = "
  "excluded.session_data"
  " WHERE (excluded.is_verified AND NOT old.is_verified) OR (excluded.is_verified = "
  "old.is_verified AND"
  " (excluded.first_message_index, excluded.forwarded_count) < (old.first_message_index, "
  "old.forwarded_count))"
  " RETURNING 1",
};

static const CmSql change_etag = {
  "key_backup_change_etag",
  "UPDATE key_backup SET etag = etag + 1 WHERE user_id = $1 AND version = $2",
};

static const CmSql get_sessions = {
  "key_backup_get",
  "SELECT room_id, session_id, first_message_index, forwarded_count, is_verified, session_data "
  "FROM key_backup_session"
  " WHERE user_id = $1 AND version = $2 AND ($3::text IS NULL OR room_id = $3) AND ($4::text IS "
  "NULL OR session_id = $4)"
  " ORDER BY room_id, session_id",
};

static const CmSql remove_sessions = {
  "key_backup_remove",
  "DELETE FROM key_backup_session"
  " WHERE user_id = $1 AND version = $2 AND ($3::text IS NULL OR room_id = $3) AND ($4::text IS "
  "NULL OR session_id = $4)",
};

static gboolean
no_such_version (GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such backup version");
  return FALSE;
}

void
cm_key_backup_free (CmKeyBackup *backup)
{
  g_free (backup->algorithm);
  g_clear_pointer (&backup->auth_data, g_bytes_unref);
  g_free (backup);
}

gint64
cm_key_backup_new (CmDb *db, const char *user_id, const char *algorithm, GBytes *auth_data,
                   GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &new_version,
                   CM_ARGS (CM_TEXT (user_id), CM_TEXT (algorithm), CM_BYTES (auth_data)), error);

  return rows != NULL ? cm_rows_integer (rows, 0, 0) : 0;
}

CmKeyBackup *
cm_key_backup_find (CmDb *db, const char *user_id, gint64 version, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &find_version, CM_ARGS (CM_TEXT (user_id), CM_INT (version)), error);

  if (rows == NULL)
    return NULL;
  if (cm_rows_count (rows) == 0 && !no_such_version (error))
    return NULL;
  CmKeyBackup *backup = g_new0 (CmKeyBackup, 1);
  backup->version = cm_rows_integer (rows, 0, 0);
  backup->algorithm = g_strdup (cm_rows_text (rows, 0, 1));
  backup->auth_data = cm_rows_bytes (rows, 0, 2);
  backup->etag = cm_rows_integer (rows, 0, 3);
  backup->count = cm_rows_integer (rows, 0, 4);
  return backup;
}

gboolean
cm_key_backup_set_auth_data (CmDb *db, const char *user_id, gint64 version, GBytes *auth_data,
                             GError **error)
{
  gint64 affected;

  if (!cm_db_run (db, &set_auth_data,
                  CM_ARGS (CM_TEXT (user_id), CM_INT (version), CM_BYTES (auth_data)), &affected,
                  error))
    return FALSE;
  return affected > 0 || no_such_version (error);
}

gboolean
cm_key_backup_delete (CmDb *db, const char *user_id, gint64 version, GError **error)
{
  g_autoptr (CmTransaction) transaction = cm_transaction_begin (db, error);
  gint64 affected;

  if (transaction == NULL ||
      !cm_db_run (db, &delete_version, CM_ARGS (CM_TEXT (user_id), CM_INT (version)), &affected,
                  error))
    return FALSE;
  if (affected == 0)
    return no_such_version (error);
  return cm_db_run (db, &remove_sessions,
                    CM_ARGS (CM_TEXT (user_id), CM_INT (version), CM_SQL_NULL, CM_SQL_NULL), NULL,
                    error) &&
         cm_transaction_commit (transaction, error);
}

gboolean
cm_key_backup_put (CmDb *db, const char *user_id, gint64 version, const CmBackupSession *sessions,
                   gsize count, GError **error)
{
  gboolean changed = FALSE;

  for (gsize i = 0; i < count; i++)
    if (!cm_db_send (
            db, &put_session,
            CM_ARGS (CM_TEXT (user_id), CM_INT (version), CM_TEXT (sessions[i].room_id),
                     CM_TEXT (sessions[i].session_id), CM_INT (sessions[i].first_message_index),
                     CM_INT (sessions[i].forwarded_count), CM_BOOL (sessions[i].is_verified),
                     CM_BYTES (sessions[i].session_data)),
            error))
      return FALSE;
  for (gsize i = 0; i < count; i++) {
    g_autoptr (CmRows) rows = cm_db_receive (db, error);
    if (rows == NULL)
      return FALSE;
    changed = changed || cm_rows_count (rows) > 0;
  }
  return !changed ||
         cm_db_run (db, &change_etag, CM_ARGS (CM_TEXT (user_id), CM_INT (version)), NULL, error);
}

CmRows *
cm_key_backup_get (CmDb *db, const char *user_id, gint64 version, const char *room_id,
                   const char *session_id, GError **error)
{
  return cm_db_query (
      db, &get_sessions,
      CM_ARGS (CM_TEXT (user_id), CM_INT (version), CM_TEXT (room_id), CM_TEXT (session_id)),
      error);
}

gboolean
cm_key_backup_remove (CmDb *db, const char *user_id, gint64 version, const char *room_id,
                      const char *session_id, GError **error)
{
  gint64 affected;

  if (!cm_db_run (
          db, &remove_sessions,
          CM_ARGS (CM_TEXT (user_id), CM_INT (version), CM_TEXT (room_id), CM_TEXT (session_id)),
          &affected, error))
    return FALSE;
  return affected == 0 ||
         cm_db_run (db, &change_etag, CM_ARGS (CM_TEXT (user_id), CM_INT (version)), NULL, error);
}
