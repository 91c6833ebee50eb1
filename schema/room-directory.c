#include "schema/room-directory.h"

static const CmSql add_alias = {
  "alias_add",
  "INSERT INTO room_alias (alias, room, creator) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
};

static const CmSql find_alias = {
  "alias_find",
  "SELECT s.text, a.creator FROM room_alias a JOIN sym s ON s.id = a.room WHERE a.alias = $1",
};

static const CmSql aliases_of_room = {
  "aliases_of_room",
  "SELECT alias FROM room_alias WHERE room = $1 ORDER BY alias",
};

static const CmSql delete_alias = { "alias_delete", "DELETE FROM room_alias WHERE alias = $1" };

static const CmSql move_aliases = { "aliases_move",
                                    "UPDATE room_alias SET room = $2 WHERE room = $1" };

/* room.flags & 1: listed. */
static const CmSql set_listed = {
  "room_set_listed",
  "UPDATE room SET flags = CASE WHEN $2 THEN flags | 1 ELSE flags & ~1 END WHERE id = $1",
};

static const CmSql room_is_listed = {
  "room_is_listed",
  "SELECT flags & 1 FROM room WHERE id = $1",
};

static const CmSql listed_rooms = {
  "rooms_listed",
  "SELECT s.text FROM room r JOIN sym s ON s.id = r.id JOIN room_server m ON m.room = r.id"
  " WHERE r.flags & 1 <> 0 GROUP BY s.text ORDER BY sum (m.joined) DESC, s.text",
};

void
cm_alias_add (CmWrite *write, const char *alias, gint64 room, const char *creator)
{
  cm_write_add_fenced (write, &add_alias,
                       CM_ARGS (CM_TEXT (alias), CM_INT (room), CM_TEXT (creator)));
}

gboolean
cm_alias_create (CmDb *db, const char *alias, gint64 room, const char *creator, GError **error)
{
  gint64 created;

  if (!cm_db_run (db, &add_alias, CM_ARGS (CM_TEXT (alias), CM_INT (room), CM_TEXT (creator)),
                  &created, error))
    return FALSE;
  if (created == 0)
    g_set_error (error, CM_ERROR, CM_ERROR_CONFLICT, "This alias is taken");
  return created > 0;
}

void
cm_alias_free (CmAlias *alias)
{
  g_free (alias->room_id);
  g_free (alias->creator);
  g_free (alias);
}

CmAlias *
cm_alias_find (CmDb *db, const char *alias, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &find_alias, CM_ARGS (CM_TEXT (alias)), error);

  if (rows == NULL || cm_rows_count (rows) == 0)
    return NULL;
  CmAlias *found = g_new0 (CmAlias, 1);
  found->room_id = g_strdup (cm_rows_text (rows, 0, 0));
  found->creator = g_strdup (cm_rows_text (rows, 0, 1));
  return found;
}

char **
cm_aliases_of (CmDb *db, gint64 room, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &aliases_of_room, CM_ARGS (CM_INT (room)), error);

  if (rows == NULL)
    return NULL;
  g_autoptr (GStrvBuilder) aliases = g_strv_builder_new ();
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_strv_builder_add (aliases, cm_rows_text (rows, i, 0));
  return g_strv_builder_end (aliases);
}

gboolean
cm_alias_delete (CmDb *db, const char *alias, GError **error)
{
  return cm_db_run (db, &delete_alias, CM_ARGS (CM_TEXT (alias)), NULL, error);
}

void
cm_aliases_move (CmWrite *write, gint64 from, gint64 to)
{
  cm_write_add (write, &move_aliases, CM_ARGS (CM_INT (from), CM_INT (to)));
}

void
cm_room_set_listed (CmWrite *write, gint64 room, gboolean listed)
{
  cm_write_add (write, &set_listed, CM_ARGS (CM_INT (room), CM_BOOL (listed)));
}

gboolean
cm_room_is_listed (CmDb *db, gint64 room, gboolean *listed, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &room_is_listed, CM_ARGS (CM_INT (room)), error);

  if (rows == NULL)
    return FALSE;
  *listed = cm_rows_count (rows) > 0 && cm_rows_integer (rows, 0, 0) != 0;
  return TRUE;
}

char **
cm_rooms_listed (CmDb *db, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &listed_rooms, CM_NO_ARGS, error);

  if (rows == NULL)
    return NULL;
  g_autoptr (GStrvBuilder) rooms = g_strv_builder_new ();
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_strv_builder_add (rooms, cm_rows_text (rows, i, 0));
  return g_strv_builder_end (rooms);
}
