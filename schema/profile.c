#include "schema/profile.h"

static const CmSql sql_all = { "profile_all",
                               "SELECT key, value FROM profile WHERE user_id = $1 ORDER BY key" };
static const CmSql sql_value = { "profile_value",
                                 "SELECT value FROM profile WHERE user_id = $1 AND key = $2" };
static const CmSql sql_put = { "profile_put",
                               "INSERT INTO profile (user_id, key, value) VALUES ($1, $2, $3)"
                               " ON CONFLICT (user_id, key) DO UPDATE SET value = excluded.value" };
static const CmSql sql_remove = { "profile_remove",
                                  "DELETE FROM profile WHERE user_id = $1 AND key = $2" };
/* Two quotes, a colon and a comma for each key. */
static const CmSql sql_size = {
  "profile_size",
  "SELECT coalesce (sum (octet_length (key) + octet_length (value) + 4), 0)::bigint + 2"
  " FROM profile WHERE user_id = $1 AND key <> $2"
};

gboolean
cm_profile_foreach (CmDb *db, const char *user_id, CmProfileFunc func, gpointer data,
                    GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &sql_all, CM_ARGS (CM_TEXT (user_id)), error);
  if (!rows)
    return FALSE;
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    g_autoptr (GBytes) value = cm_rows_bytes (rows, i, 1);
    func (cm_rows_text (rows, i, 0), value, data);
  }
  return TRUE;
}

GBytes *
cm_profile_value (CmDb *db, const char *user_id, const char *key, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &sql_value, CM_ARGS (CM_TEXT (user_id), CM_TEXT (key)), error);
  return rows && cm_rows_count (rows) > 0 ? cm_rows_bytes (rows, 0, 0) : NULL;
}

gboolean
cm_profile_put (CmDb *db, const char *user_id, const char *key, GBytes *value, GError **error)
{
  return cm_db_run (db, &sql_put, CM_ARGS (CM_TEXT (user_id), CM_TEXT (key), CM_BYTES (value)),
                    NULL, error);
}

gboolean
cm_profile_remove (CmDb *db, const char *user_id, const char *key, GError **error)
{
  return cm_db_run (db, &sql_remove, CM_ARGS (CM_TEXT (user_id), CM_TEXT (key)), NULL, error);
}

gint64
cm_profile_size_without (CmDb *db, const char *user_id, const char *key, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &sql_size, CM_ARGS (CM_TEXT (user_id), CM_TEXT (key)), error);
  return rows ? cm_rows_integer (rows, 0, 0) : -1;
}
