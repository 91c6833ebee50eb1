#include "schema/membership.h"

static const CmSql rooms_of_user = {
  "membership_rooms",
  "SELECT s.text FROM member m JOIN sym s ON s.id = m.room"
  " WHERE m.user_id = $1 AND m.membership = $2 ORDER BY s.text",
};

static const CmSql mutual_rooms = {
  "membership_mutual_rooms",
  "SELECT s.text FROM member m JOIN member o USING (room) JOIN sym s ON s.id = m.room"
  " WHERE m.user_id = $1 AND m.membership = 'join' AND o.user_id = $2 AND o.membership = 'join'"
  " ORDER BY s.text",
};

static const CmSql outside_rooms_of_user = {
  "membership_outside_rooms",
  "SELECT s.text FROM outside_membership o JOIN sym s ON s.id = o.room"
  " WHERE o.user_id = $1 AND o.membership <> 'leave' ORDER BY s.text",
};

static const CmSql departure_of_user = {
  "membership_departure",
  "SELECT m.forgotten, h.event, h.position FROM member m LEFT JOIN LATERAL ("
  " SELECT event, position FROM member_history WHERE user_id = $2 AND room = $1 AND position > ("
  "  SELECT max (position) FROM member_history"
  "  WHERE user_id = $2 AND room = $1 AND membership = 'join')"
  " ORDER BY position LIMIT 1) h ON true WHERE m.room = $1 AND m.user_id = $2",
};

static const CmSql forget_room = {
  "membership_forget",
  "WITH inside AS (UPDATE member SET forgotten = true WHERE room = $1 AND user_id = $2"
  "  AND membership IN ('leave', 'ban') RETURNING 1),"
  " outside AS (DELETE FROM outside_membership WHERE room = $1 AND user_id = $2"
  "  AND membership = 'leave' RETURNING 1)"
  " SELECT 1 FROM inside UNION ALL SELECT 1 FROM outside",
};

static const CmSql any_local_member = {
  "membership_any_local",
  "SELECT s.text FROM member m JOIN sym s ON s.id = m.user_id"
  " WHERE m.room = $1 AND m.local AND m.membership = 'join' LIMIT 1",
};

static const CmSql guests_of_room = {
  "membership_guests",
  "SELECT a.user_id FROM member m JOIN account a ON a.sym = m.user_id"
  " WHERE m.room = $1 AND m.local AND m.membership IN ('join', 'invite') AND a.origin = 'guest'",
};

static const CmSql server_invited = {
  "membership_server_invited",
  "SELECT FROM member m JOIN sym s ON s.id = m.user_id WHERE m.room = $1"
  " AND m.membership = 'invite' AND right (s.text, length ($2) + 1) = ':' || $2 LIMIT 1",
};

static const CmSql find_outside = {
  "outside_membership_find",
  "SELECT membership, event, stripped FROM outside_membership WHERE room = $1 AND user_id = $2",
};

static char **
texts_of (const CmRows *rows)
{
  g_autoptr (GStrvBuilder) texts = g_strv_builder_new ();

  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_strv_builder_add (texts, cm_rows_text (rows, i, 0));
  return g_strv_builder_end (texts);
}

char **
cm_membership_rooms (CmDb *db, gint64 user, const char *membership, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &rooms_of_user, CM_ARGS (CM_INT (user), CM_TEXT (membership)), error);

  return rows != NULL ? texts_of (rows) : NULL;
}

char **
cm_membership_mutual_rooms (CmDb *db, gint64 user, gint64 other, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &mutual_rooms, CM_ARGS (CM_INT (user), CM_INT (other)), error);

  return rows != NULL ? texts_of (rows) : NULL;
}

char **
cm_membership_outside_rooms (CmDb *db, gint64 user, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &outside_rooms_of_user, CM_ARGS (CM_INT (user)), error);

  return rows != NULL ? texts_of (rows) : NULL;
}

char **
cm_membership_guests (CmDb *db, gint64 room, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &guests_of_room, CM_ARGS (CM_INT (room)), error);

  return rows != NULL ? texts_of (rows) : NULL;
}

gboolean
cm_membership_server_invited (CmDb *db, gint64 room, const char *server, gboolean *invited,
                              GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &server_invited, CM_ARGS (CM_INT (room), CM_TEXT (server)), error);

  *invited = rows != NULL && cm_rows_count (rows) > 0;
  return rows != NULL;
}

gboolean
cm_membership_departure (CmDb *db, gint64 room, gint64 user, CmDeparture *departure, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &departure_of_user, CM_ARGS (CM_INT (room), CM_INT (user)), error);

  if (rows == NULL)
    return FALSE;
  *departure = (CmDeparture){ 0 };
  if (cm_rows_count (rows) > 0) {
    departure->forgotten = cm_rows_boolean (rows, 0, 0);
    departure->event = cm_rows_integer (rows, 0, 1);
    departure->position = cm_rows_integer (rows, 0, 2);
  }
  return TRUE;
}

gboolean
cm_membership_forget (CmDb *db, gint64 room, gint64 user, gboolean *known, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &forget_room, CM_ARGS (CM_INT (room), CM_INT (user)), error);

  if (rows == NULL)
    return FALSE;
  *known = cm_rows_count (rows) > 0;
  return TRUE;
}

char *
cm_membership_any_local (CmDb *db, gint64 room, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &any_local_member, CM_ARGS (CM_INT (room)), error);

  return rows != NULL && cm_rows_count (rows) > 0 ? g_strdup (cm_rows_text (rows, 0, 0)) : NULL;
}

void
cm_outside_membership_free (CmOutsideMembership *outside)
{
  g_free (outside->membership);
  g_bytes_unref (outside->event);
  g_bytes_unref (outside->stripped);
  g_free (outside);
}

CmOutsideMembership *
cm_outside_membership_find (CmDb *db, gint64 room, gint64 user, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &find_outside, CM_ARGS (CM_INT (room), CM_INT (user)), error);

  if (rows == NULL || cm_rows_count (rows) == 0)
    return NULL;
  CmOutsideMembership *outside = g_new0 (CmOutsideMembership, 1);
  outside->membership = g_strdup (cm_rows_text (rows, 0, 0));
  outside->event = cm_rows_bytes (rows, 0, 1);
  outside->stripped = cm_rows_bytes (rows, 0, 2);
  return outside;
}
