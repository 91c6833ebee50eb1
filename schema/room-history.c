#include "schema/room-history.h"

static const CmSql has_missing = {
  "room_has_missing_events",
  "SELECT EXISTS (SELECT FROM missing_event WHERE room = $1)",
};

/* Of events that are no history themselves (rejected or soft-failed ones) the ancestors are of no
 * interest. Those of events that are shown to nobody, and stand nowhere, come after the others. */
static const CmSql missing_events = {
  "room_missing_events",
  "SELECT m.event_id FROM missing_event m JOIN event e ON e.id = m.child"
  " WHERE m.room = $1 AND e.flags & 3 = 0 GROUP BY m.event_id"
  " ORDER BY bool_or (e.position <= $2) DESC NULLS LAST, max (e.position) DESC NULLS LAST LIMIT $3",
};

static const CmSql event_at_position = {
  "room_event_at_position",
  "SELECT id FROM event WHERE room = $1 AND position <= $2"
  " ORDER BY position DESC LIMIT 1",
};

static const CmSql events_after_time = {
  "room_events_after_time",
  "SELECT id FROM event WHERE room = $1 AND origin_server_ts >= $2 AND position <= $3"
  " ORDER BY origin_server_ts, position LIMIT $4",
};

static const CmSql events_before_time = {
  "room_events_before_time",
  "SELECT id FROM event WHERE room = $1 AND origin_server_ts <= $2 AND position <= $3"
  " ORDER BY origin_server_ts DESC, position DESC LIMIT $4",
};

gboolean
cm_room_has_missing_events (CmDb *db, gint64 room, gboolean *missing, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &has_missing, CM_ARGS (CM_INT (room)), error);

  if (rows == NULL)
    return FALSE;
  *missing = cm_rows_boolean (rows, 0, 0);
  return TRUE;
}

char **
cm_room_missing_events (CmDb *db, gint64 room, gint64 position, gint64 limit, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (
      db, &missing_events, CM_ARGS (CM_INT (room), CM_INT (position), CM_INT (limit)), error);
  g_autoptr (GStrvBuilder) ids = g_strv_builder_new ();

  if (rows == NULL)
    return NULL;
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_strv_builder_add (ids, cm_rows_text (rows, i, 0));
  return g_strv_builder_end (ids);
}

gboolean
cm_room_event_at_position (CmDb *db, gint64 room, gint64 position, gint64 *event, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &event_at_position, CM_ARGS (CM_INT (room), CM_INT (position)), error);

  if (rows == NULL)
    return FALSE;
  *event = cm_rows_count (rows) > 0 ? cm_rows_integer (rows, 0, 0) : 0;
  return TRUE;
}

GArray *
cm_room_events_near (CmDb *db, gint64 room, gint64 ts, gboolean backwards, gint64 until,
                     gint64 limit, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, backwards ? &events_before_time : &events_after_time,
                   CM_ARGS (CM_INT (room), CM_INT (ts), CM_INT (until), CM_INT (limit)), error);

  if (rows == NULL)
    return NULL;
  GArray *numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    gint64 number = cm_rows_integer (rows, i, 0);
    g_array_append_val (numbers, number);
  }
  return numbers;
}
