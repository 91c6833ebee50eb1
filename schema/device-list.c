#include "schema/device-list.h"

static const CmSql change_list = {
  "device_list_change",
  "INSERT INTO device_list_change (user_id, position) VALUES ($1, $2)"
  " ON CONFLICT (user_id) DO UPDATE SET position = excluded.position",
};

static const CmSql take_stream_id = {
  "device_list_take_stream_id",
  "INSERT INTO device_list_stream AS old (user_id, taken) VALUES ($1, 1)"
  " ON CONFLICT (user_id) DO UPDATE SET taken = old.taken + 1 RETURNING taken",
};

static const CmSql use_stream_id = {
  "device_list_use_stream_id",
  "UPDATE device_list_stream SET stream_id = greatest (stream_id, $2) WHERE user_id = $1",
};

static const CmSql newest_stream_id = {
  "device_list_stream_id",
  "SELECT stream_id FROM device_list_stream WHERE user_id = $1",
};

/* The joined rooms of user $1. */
#define ROOMS_OF_1                                                                                 \
  "(SELECT m.room FROM member m JOIN sym u ON u.id = m.user_id WHERE u.text = $1 AND "             \
  "m.membership = 'join')"

static const CmSql local_audience = {
  "device_list_local_audience",
  "SELECT DISTINCT s.text FROM member t JOIN sym s ON s.id = t.user_id"
  " WHERE t.local AND t.membership = 'join' AND t.room IN " ROOMS_OF_1,
};

static const CmSql servers_near = {
  "device_list_servers",
  "SELECT DISTINCT s.text FROM room_server r JOIN sym s ON s.id = r.server"
  " WHERE r.joined > 0 AND s.text <> $2 AND r.room IN " ROOMS_OF_1,
};

static const CmSql share_room = {
  "users_share_room",
  "SELECT EXISTS (SELECT 1 FROM member t JOIN sym s ON s.id = t.user_id"
  " WHERE s.text = $2 AND t.membership = 'join' AND t.room IN " ROOMS_OF_1 ")",
};

static const CmSql user_is_near = {
  "user_is_near",
  "SELECT EXISTS (SELECT 1 FROM member t WHERE t.local AND t.membership = 'join' AND t.room "
  "IN " ROOMS_OF_1 ")",
};

/* Memberships: of user $1, and of others in the same room. */
#define MINE_AND_THEIRS                                                                            \
  "sym me JOIN member mine ON mine.user_id = me.id"                                                \
  " JOIN member theirs ON theirs.room = mine.room AND theirs.user_id <> mine.user_id"

/* Who changed and shares a room; who shares one since then, or is invited to, because of them or of
 * $1 (clients encrypt for whom they have invited); whose keys $1 signed; and $1 whose user-signing
 * key changed, which is nobody else's business. All by position, from what is new. */
static const CmSql changed_between = {
  "device_list_changed",
  "SELECT c.user_id FROM device_list_change c WHERE c.position > $2 AND c.position <= $3"
  " AND (c.user_id = $1 OR EXISTS (SELECT 1 FROM member t JOIN sym s ON s.id = t.user_id"
  " WHERE s.text = c.user_id AND t.membership = 'join' AND t.room IN " ROOMS_OF_1 "))"
  " UNION SELECT s.text FROM member theirs JOIN sym s ON s.id = theirs.user_id"
  " WHERE theirs.position > $2 AND theirs.position <= $3"
  " AND theirs.membership IN ('join', 'invite') AND s.text <> $1 AND theirs.room IN " ROOMS_OF_1
  " UNION SELECT s.text FROM " MINE_AND_THEIRS " JOIN sym s ON s.id = theirs.user_id"
  " WHERE me.text = $1 AND mine.membership = 'join' AND mine.position > $2 AND mine.position <= $3"
  " AND theirs.membership IN ('join', 'invite')"
  " UNION SELECT target_user FROM key_signature"
  " WHERE signer_user = $1 AND position > $2 AND position <= $3"
  " UNION SELECT user_id FROM cross_signing_key"
  " WHERE user_id = $1 AND position > $2 AND position <= $3",
};

/* Who left a room that $1 is in, or was left by $1, and shares no other. */
static const CmSql left_between = {
  "device_list_left",
  "SELECT s.text FROM (SELECT theirs.user_id FROM member theirs"
  " WHERE theirs.position > $2 AND theirs.position <= $3"
  " AND theirs.membership IN ('leave', 'ban') AND theirs.room IN " ROOMS_OF_1
  " UNION SELECT theirs.user_id FROM " MINE_AND_THEIRS
  " WHERE me.text = $1 AND mine.membership IN ('leave', 'ban')"
  " AND mine.position > $2 AND mine.position <= $3"
  " AND (theirs.membership = 'join' OR theirs.position > $2)) gone"
  " JOIN sym s ON s.id = gone.user_id WHERE s.text <> $1 AND NOT EXISTS (SELECT 1 FROM member t"
  " WHERE t.user_id = gone.user_id AND t.membership = 'join' AND t.room IN " ROOMS_OF_1 ")",
};

static char **
texts (CmRows *rows)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();

  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_strv_builder_add (builder, cm_rows_text (rows, i, 0));
  return g_strv_builder_end (builder);
}

void
cm_device_list_change (CmWrite *write, const char *user_id, gint64 offset)
{
  cm_write_add (write, &change_list, CM_ARGS (CM_TEXT (user_id), CM_POSITION (offset)));
}

gint64
cm_device_list_take_stream_id (CmDb *db, const char *user_id, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &take_stream_id, CM_ARGS (CM_TEXT (user_id)), error);

  return rows != NULL ? cm_rows_integer (rows, 0, 0) : 0;
}

void
cm_device_list_use_stream_id (CmWrite *write, const char *user_id, gint64 stream_id)
{
  cm_write_add (write, &use_stream_id, CM_ARGS (CM_TEXT (user_id), CM_INT (stream_id)));
}

gboolean
cm_device_list_stream_id (CmDb *db, const char *user_id, gint64 *stream_id, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &newest_stream_id, CM_ARGS (CM_TEXT (user_id)), error);

  if (rows == NULL)
    return FALSE;
  *stream_id = cm_rows_count (rows) > 0 ? cm_rows_integer (rows, 0, 0) : 0;
  return TRUE;
}

char **
cm_device_list_local_audience (CmDb *db, const char *user_id, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &local_audience, CM_ARGS (CM_TEXT (user_id)), error);

  return rows != NULL ? texts (rows) : NULL;
}

char **
cm_device_list_servers (CmDb *db, const char *user_id, const char *own_server, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &servers_near, CM_ARGS (CM_TEXT (user_id), CM_TEXT (own_server)), error);

  return rows != NULL ? texts (rows) : NULL;
}

gboolean
cm_users_share_room (CmDb *db, const char *a, const char *b, gboolean *share, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &share_room, CM_ARGS (CM_TEXT (a), CM_TEXT (b)), error);

  if (rows == NULL)
    return FALSE;
  *share = cm_rows_boolean (rows, 0, 0);
  return TRUE;
}

gboolean
cm_user_is_near (CmDb *db, const char *user_id, gboolean *near, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &user_is_near, CM_ARGS (CM_TEXT (user_id)), error);

  if (rows == NULL)
    return FALSE;
  *near = cm_rows_boolean (rows, 0, 0);
  return TRUE;
}

char **
cm_device_list_changed (CmDb *db, const char *user_id, gint64 from, gint64 to, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (
      db, &changed_between, CM_ARGS (CM_TEXT (user_id), CM_INT (from), CM_INT (to)), error);

  return rows != NULL ? texts (rows) : NULL;
}

char **
cm_device_list_left (CmDb *db, const char *user_id, gint64 from, gint64 to, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (
      db, &left_between, CM_ARGS (CM_TEXT (user_id), CM_INT (from), CM_INT (to)), error);

  return rows != NULL ? texts (rows) : NULL;
}
