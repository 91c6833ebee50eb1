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
  { "messages_delete", "DELETE FROM to_device WHERE user_id = $1 AND device_id = $2" },
  { "mailbox_delete", "DELETE FROM mailbox WHERE user_id = $1 AND device_id = $2" },
};

static const CmSql find_device_keys = {
  "device_keys_find",
  "SELECT k.user_id, k.device_id, k.keys, d.display_name FROM device_key k"
  " JOIN device d ON d.user_id = k.user_id AND d.device_id = k.device_id"
  " WHERE k.user_id = ANY ($1) ORDER BY k.user_id, k.device_id",
};

static const CmSql find_device_key = {
  "device_key_find",
  "SELECT k.keys, d.display_name FROM device_key k"
  " JOIN device d ON d.user_id = k.user_id AND d.device_id = k.device_id"
  " WHERE k.user_id = $1 AND k.device_id = $2",
};

static const CmSql find_one_time_keys = {
  "one_time_keys_find",
  "SELECT algorithm, key_id, key FROM one_time_key WHERE user_id = $1 AND device_id = $2 AND "
  "key_id = ANY ($3)",
};

/* What is wanted: the i-th items of three arrays. */
#define WANTED "unnest ($1::text[], $2::text[], $3::text[]) AS w (user_id, device_id, algorithm)"

/* Two claims at once never wait for each other, and never get the same key: each skips what the
 * other is taking. */
static const CmSql claim_one_time_keys = {
  "one_time_keys_claim",
  "WITH next AS MATERIALIZED (SELECT k.* FROM " WANTED " CROSS JOIN LATERAL"
  " (SELECT o.user_id, o.device_id, o.algorithm, o.key_id FROM one_time_key o"
  " WHERE o.user_id = w.user_id AND o.device_id = w.device_id AND o.algorithm = w.algorithm"
  " ORDER BY o.added LIMIT 1 FOR UPDATE SKIP LOCKED) k)"
  " DELETE FROM one_time_key o USING next n WHERE o.user_id = n.user_id"
  " AND o.device_id = n.device_id AND o.algorithm = n.algorithm AND o.key_id = n.key_id"
  " RETURNING o.user_id, o.device_id, o.algorithm, o.key_id, o.key",
};

/* Rows are locked in one order, so that two claims cannot lock each other out. */
static const CmSql claim_fallback_keys = {
  "fallback_keys_claim",
  "WITH next AS MATERIALIZED (SELECT f.user_id, f.device_id, f.algorithm FROM fallback_key f"
  " JOIN " WANTED " USING (user_id, device_id, algorithm)"
  " ORDER BY f.user_id, f.device_id, f.algorithm FOR UPDATE OF f)"
  " UPDATE fallback_key f SET used = true FROM next n WHERE f.user_id = n.user_id"
  " AND f.device_id = n.device_id AND f.algorithm = n.algorithm"
  " RETURNING f.user_id, f.device_id, f.algorithm, f.key_id, f.key",
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
cm_device_keys_find (CmDb *db, char **user_ids, GError **error)
{
  return cm_db_query (db, &find_device_keys, CM_ARGS (CM_TEXTS (user_ids)), error);
}

CmRows *
cm_device_key_find (CmDb *db, const char *user_id, const char *device_id, GError **error)
{
  return cm_db_query (db, &find_device_key, CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id)),
                      error);
}

CmRows *
cm_one_time_keys_find (CmDb *db, const char *user_id, const char *device_id, char **key_ids,
                       GError **error)
{
  return cm_db_query (db, &find_one_time_keys,
                      CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_TEXTS (key_ids)), error);
}

CmRows *
cm_one_time_keys_claim (CmDb *db, const CmKeyClaim *claim, GError **error)
{
  return cm_db_query (db, &claim_one_time_keys,
                      CM_ARGS (CM_TEXTS (claim->user_ids), CM_TEXTS (claim->device_ids),
                               CM_TEXTS (claim->algorithms)),
                      error);
}

CmRows *
cm_fallback_keys_claim (CmDb *db, const CmKeyClaim *claim, GError **error)
{
  return cm_db_query (db, &claim_fallback_keys,
                      CM_ARGS (CM_TEXTS (claim->user_ids), CM_TEXTS (claim->device_ids),
                               CM_TEXTS (claim->algorithms)),
                      error);
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
