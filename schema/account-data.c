#include "schema/account-data.h"

#include <string.h>

static const CmSql put = {
  "account-data-put",
  "INSERT INTO account_data (user_id, room_id, type, content, position) VALUES ($1, $2, $3, $4, $5)"
  " ON CONFLICT (user_id, room_id, type) DO UPDATE"
  " SET content = excluded.content, position = excluded.position",
};

static const CmSql change = {
  "account-data-change",
  "INSERT INTO account_data AS a (user_id, room_id, type, content, position)"
  " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, room_id, type) DO UPDATE"
  " SET content = excluded.content, position = excluded.position WHERE a.position = $6",
};

static const CmSql get = {
  "account-data-get",
  "SELECT content, position FROM account_data WHERE user_id = $1 AND room_id = $2 AND type = $3",
};

/* Short ones by the thousand take room too: 100 bytes for a row and its places in two indexes. */
#define ROW_SIZE "100 + octet_length (room_id) + octet_length (type) + octet_length (content)"

static const CmSql size_of = {
  "account-data-size",
  "WITH kept AS (SELECT room_id = $2 AND type = $3 AS own, " ROW_SIZE " AS size"
  " FROM account_data WHERE user_id = $1), "
  "new AS (SELECT " ROW_SIZE " AS size"
  " FROM (VALUES ($2::text, $3::text, $4::bytea)) AS v (room_id, type, content))"
  " SELECT coalesce (sum (size), 0)::bigint,"
  " (coalesce (sum (size) FILTER (WHERE NOT own), 0) + (SELECT size FROM new))::bigint FROM kept",
};

static const CmSql of_users = {
  "account-data-of-users",
  "SELECT user_id, content FROM account_data"
  " WHERE user_id = ANY ($1) AND room_id = '' AND type = $2",
};

static const CmSql of_room = {
  "account-data-of-room",
  "SELECT type, content FROM account_data WHERE user_id = $1 AND room_id = $2 ORDER BY type",
};

/* What one user's filters may come to: a client stores a few, and nobody takes one back. */
#define MAX_FILTERS      "1000"
#define MAX_FILTER_BYTES "1048576"

static const CmSql filter_add = {
  "filter-add",
  "WITH same AS (SELECT id FROM filter WHERE user_id = $1 AND filter = $2 LIMIT 1),"
  " added AS (INSERT INTO filter (user_id, id, filter)"
  "  SELECT $1, coalesce (max (id), 0) + 1, $2::bytea FROM filter WHERE user_id = $1"
  "  HAVING NOT EXISTS (SELECT FROM same) AND count (*) < " MAX_FILTERS
  "  AND coalesce (sum (octet_length (filter)), 0) + octet_length ($2) <= " MAX_FILTER_BYTES
  "  RETURNING id)"
  " SELECT id FROM same UNION ALL SELECT id FROM added",
};

static const CmSql filter_get = {
  "filter-get",
  "SELECT filter FROM filter WHERE user_id = $1 AND id = $2",
};

void
cm_account_data_put (CmWrite *write, const char *user_id, const char *room_id, const char *type,
                     GBytes *content)
{
  gint64 offset = cm_write_take_positions (write, 1);

  cm_write_add (write, &put,
                CM_ARGS (CM_TEXT (user_id), CM_TEXT (room_id), CM_TEXT (type), CM_BYTES (content),
                         CM_POSITION (offset)));
  cm_write_topic (write, CM_TOPIC_USER, user_id);
  if (room_id[0] == '\0' && strcmp (type, "m.ignored_user_list") == 0)
    cm_write_attach (write, "push-profile", g_strdup (user_id), g_free);
}

void
cm_account_data_change (CmWrite *write, const char *user_id, const char *room_id, const char *type,
                        GBytes *content, gint64 before)
{
  gint64 offset = cm_write_take_positions (write, 1);

  cm_write_add_fenced (write, &change,
                       CM_ARGS (CM_TEXT (user_id), CM_TEXT (room_id), CM_TEXT (type),
                                CM_BYTES (content), CM_POSITION (offset), CM_INT (before)));
  cm_write_topic (write, CM_TOPIC_USER, user_id);
}

GBytes *
cm_account_data_get (CmDb *db, const char *user_id, const char *room_id, const char *type,
                     gint64 *position, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &get, CM_ARGS (CM_TEXT (user_id), CM_TEXT (room_id), CM_TEXT (type)), error);

  gboolean found = rows != NULL && cm_rows_count (rows) > 0;

  if (position != NULL)
    *position = found ? cm_rows_integer (rows, 0, 1) : 0;
  return found ? cm_rows_bytes (rows, 0, 0) : NULL;
}

gboolean
cm_account_data_size (CmDb *db, const char *user_id, const char *room_id, const char *type,
                      GBytes *content, CmAccountDataSize *size, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (
      db, &size_of,
      CM_ARGS (CM_TEXT (user_id), CM_TEXT (room_id), CM_TEXT (type), CM_BYTES (content)), error);

  if (rows == NULL)
    return FALSE;
  size->before = cm_rows_integer (rows, 0, 0);
  size->after = cm_rows_integer (rows, 0, 1);
  return TRUE;
}

CmRows *
cm_account_data_of_users (CmDb *db, const char *const *user_ids, const char *type, GError **error)
{
  return cm_db_query (db, &of_users, CM_ARGS (CM_TEXTS (user_ids), CM_TEXT (type)), error);
}

CmRows *
cm_account_data_of_room (CmDb *db, const char *user_id, const char *room_id, GError **error)
{
  return cm_db_query (db, &of_room, CM_ARGS (CM_TEXT (user_id), CM_TEXT (room_id)), error);
}

gint64
cm_filter_add (CmDb *db, const char *user_id, GBytes *filter, GError **error)
{
  /* Two at once may want the same new id: the second then finds it taken, and tries again. */
  for (guint tries = 0;; tries++) {
    g_autoptr (GError) failure = NULL;
    g_autoptr (CmRows) rows =
        cm_db_query (db, &filter_add, CM_ARGS (CM_TEXT (user_id), CM_BYTES (filter)), &failure);
    if (rows != NULL && cm_rows_count (rows) > 0)
      return cm_rows_integer (rows, 0, 0);
    if (tries < 5 && g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT))
      continue;
    if (failure != NULL)
      g_propagate_error (error, g_steal_pointer (&failure));
    else
      g_set_error_literal (error, CM_ERROR, CM_ERROR_TOO_LARGE, "You keep too many filters");
    return 0;
  }
}

GBytes *
cm_filter_get (CmDb *db, const char *user_id, gint64 id, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &filter_get, CM_ARGS (CM_TEXT (user_id), CM_INT (id)), error);

  if (rows == NULL)
    return NULL;
  if (cm_rows_count (rows) > 0)
    return cm_rows_bytes (rows, 0, 0);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such filter");
  return NULL;
}
