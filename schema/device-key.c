#include "schema/device-key.h"

static const CmSql put_device_keys = {
  "device_keys_put",
  "INSERT INTO device_key (user_id, device_id, keys, position) VALUES ($1, $2, $3, $4)"
  " ON CONFLICT (user_id, device_id) DO UPDATE SET keys = excluded.keys, position = "
  "excluded.position",
};

static const CmSql put_one_time_key = {
  "one_time_key_put",
  "INSERT INTO one_time_key (user_id, device_id, algorithm, key_id, key) VALUES ($1, $2, $3, $4, "
  "$5) ON CONFLICT DO NOTHING",
};

static const CmSql put_fallback_key = {
  "fallback_key_put",
  "INSERT INTO fallback_key AS old (user_id, device_id, algorithm, key_id, key) VALUES ($1, $2, "
  "$3, $4, $5)"
  " ON CONFLICT (user_id, device_id, algorithm) DO UPDATE SET key_id = excluded.key_id, key = "
  "excluded.key,"
  " used = old.used AND old.key_id = excluded.key_id AND old.key = excluded.key",
};

static const CmSql delete_keys[] = {
  { "device_keys_delete", "DELETE FROM device_key WHERE user_id = $1 AND device_id = $2" },
  { "one_time_keys_delete", "DELETE FROM one_time_key WHERE user_id = $1 AND device_id = $2" },
  { "fallback_keys_delete", "DELETE FROM fallback_key WHERE user_id = $1 AND device_id = $2" },
  { "mailbox_delete", "DELETE FROM to_device WHERE user_id = $1 AND device_id = $2" },
};

static const CmSql find_device_keys = {
  "device_keys_find",
  "SELECT k.device_id, k.keys, d.display_name FROM device_key k"
  " LEFT JOIN device d ON d.user_id = k.user_id AND d.device_id = k.device_id"
  " WHERE k.user_id = $1 AND ($2::text[] IS NULL OR k.device_id = ANY ($2)) ORDER BY k.device_id",
};

static const CmSql find_one_time_keys = {
  "one_time_keys_find",
  "SELECT algorithm, key_id, key FROM one_time_key WHERE user_id = $1 AND device_id = $2 AND "
  "key_id = ANY ($3)",
};

static const CmSql claim_one_time_key = {
  "one_time_key_claim",
  "DELETE FROM one_time_key WHERE (user_id, device_id, algorithm, key_id) ="
  " (SELECT user_id, device_id, algorithm, key_id FROM one_time_key WHERE user_id = $1 AND "
  "device_id = $2 AND algorithm = $3"
  " ORDER BY added LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING key_id, key",
};

static const CmSql claim_fallback_key = {
  "fallback_key_claim",
  "UPDATE fallback_key SET used = true WHERE user_id = $1 AND device_id = $2 AND algorithm = $3 "
  "RETURNING key_id, key",
};

static const CmSql count_one_time_keys = {
  "one_time_keys_count",
  "SELECT algorithm, count (*) FROM one_time_key WHERE user_id = $1 AND device_id = $2 GROUP BY "
  "algorithm",
};

static const CmSql unused_fallback_keys = {
  "fallback_keys_unused",
  "SELECT algorithm FROM fallback_key WHERE user_id = $1 AND device_id = $2 AND NOT used",
};

void
cm_device_keys_put (CmWrite *write, const char *user_id, const char *device_id, GBytes *keys,
                    gint64 offset)
{
  cm_write_add (
      write, &put_device_keys,
      CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_BYTES (keys), CM_POSITION (offset)));
}

void
cm_one_time_key_put (CmWrite *write, const char *user_id, const char *device_id,
                     const char *algorithm, const char *key_id, GBytes *key)
{
  cm_write_add (write, &put_one_time_key,
                CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_TEXT (algorithm),
                         CM_TEXT (key_id), CM_BYTES (key)));
}

void
cm_fallback_key_put (CmWrite *write, const char *user_id, const char *device_id,
                     const char *algorithm, const char *key_id, GBytes *key)
{
  cm_write_add (write, &put_fallback_key,
                CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_TEXT (algorithm),
                         CM_TEXT (key_id), CM_BYTES (key)));
}

void
cm_device_keys_delete (CmWrite *write, const char *user_id, const char *device_id)
{
  for (gsize i = 0; i < G_N_ELEMENTS (delete_keys); i++)
    cm_write_add (write, &delete_keys[i], CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id)));
}

CmRows *
cm_device_keys_find (CmDb *db, const char *user_id, char **device_ids, GError **error)
{
  CmParam devices = device_ids != NULL ? CM_TEXTS (device_ids) : CM_SQL_NULL;

  return cm_db_query (db, &find_device_keys, CM_ARGS (CM_TEXT (user_id), devices), error);
}

CmRows *
cm_one_time_keys_find (CmDb *db, const char *user_id, const char *device_id, char **key_ids,
                       GError **error)
{
  return cm_db_query (db, &find_one_time_keys,
                      CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_TEXTS (key_ids)), error);
}

/* A connection that waits for another's claim would skip its key and find none: hence the fallback
 * key is asked for only when no one-time key is left at all, or the few that are left are being
 * given away this very moment. */
gboolean
cm_one_time_key_claim (CmDb *db, const char *user_id, const char *device_id, const char *algorithm,
                       char **key_id, GBytes **key, GError **error)
{
  static const CmSql *const ways[] = { &claim_one_time_key, &claim_fallback_key };

  *key_id = NULL;
  *key = NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (ways) && *key == NULL; i++) {
    g_autoptr (CmRows) rows = cm_db_query (
        db, ways[i], CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_TEXT (algorithm)), error);
    if (rows == NULL)
      return FALSE;
    if (cm_rows_count (rows) > 0) {
      *key_id = g_strdup (cm_rows_text (rows, 0, 0));
      *key = cm_rows_bytes (rows, 0, 1);
    }
  }
  return TRUE;
}

CmRows *
cm_one_time_keys_count (CmDb *db, const char *user_id, const char *device_id, GError **error)
{
  return cm_db_query (db, &count_one_time_keys, CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id)),
                      error);
}

CmRows *
cm_fallback_keys_unused (CmDb *db, const char *user_id, const char *device_id, GError **error)
{
  return cm_db_query (db, &unused_fallback_keys, CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id)),
                      error);
}
