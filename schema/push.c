#include "schema/push.h"

static const CmSql rules_get = {
  "push-rules-get",
  "SELECT rules, position FROM push_rules WHERE user_id = $1",
};

static const CmSql rules_of_users = {
  "push-rules-of-users",
  "SELECT user_id, rules FROM push_rules WHERE user_id = ANY ($1)",
};

static const CmSql rules_put = {
  "push-rules-put",
  "INSERT INTO push_rules AS r (user_id, rules, position) VALUES ($1, $2, $3)"
  " ON CONFLICT (user_id) DO UPDATE SET rules = excluded.rules, position = excluded.position"
  " WHERE r.position = $4",
};

static const CmSql pushers_get = {
  "pushers-get",
  "SELECT app_id, pushkey, pusher FROM pusher WHERE user_id = $1 ORDER BY app_id, pushkey",
};

static const CmSql pushers_of_users = {
  "pushers-of-users",
  "SELECT user_id, app_id, pushkey, pusher FROM pusher WHERE user_id = ANY ($1)",
};

/* Every message that a user is to be told of goes to each of his pushers. */
#define MAX_PUSHERS "100"

static const CmSql pusher_put = {
  "pusher-put",
  "WITH place AS (SELECT WHERE (SELECT count (*) FROM pusher"
  "  WHERE user_id = $1 AND (app_id, pushkey) <> ($2, $3)) < " MAX_PUSHERS "),"
  " others AS (DELETE FROM pusher WHERE $6 AND app_id = $2 AND pushkey = $3"
  "  AND user_id <> $1 AND EXISTS (SELECT FROM place))"
  " INSERT INTO pusher (user_id, app_id, pushkey, token, pusher)"
  " SELECT $1, $2, $3, nullif ($4::bigint, 0), $5::bytea FROM place"
  " ON CONFLICT (user_id, app_id, pushkey) DO UPDATE"
  " SET pusher = excluded.pusher, token = excluded.token",
};

static const CmSql pusher_delete = {
  "pusher-delete",
  "DELETE FROM pusher WHERE user_id = $1 AND app_id = $2 AND pushkey = $3",
};

#define UNREAD                                                                                     \
  "unnest ($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])"                  \
  " AS c (user_id, room, thread, notifications, highlights)"

static const CmSql unread_set = {
  "unread-set",
  "INSERT INTO unread (user_id, room, thread, notifications, highlights)"
  " SELECT c.* FROM " UNREAD " WHERE c.notifications > 0 OR c.highlights > 0"
  " ON CONFLICT (user_id, room, thread) DO UPDATE"
  " SET notifications = excluded.notifications, highlights = excluded.highlights",
};

static const CmSql unread_drop = {
  "unread-drop",
  "DELETE FROM unread u USING " UNREAD
  " WHERE u.user_id = c.user_id AND u.room = c.room AND u.thread = c.thread"
  " AND c.notifications = 0 AND c.highlights = 0",
};

static const CmSql unread_advance = {
  "unread-advance",
  "UPDATE unread_position SET position = greatest (position, $1)",
};

static const CmSql unread_position = {
  "unread-position",
  "SELECT position FROM unread_position",
};

static const CmSql unread_elsewhere = {
  "unread-elsewhere",
  "SELECT coalesce (sum (notifications), 0)::bigint FROM unread WHERE user_id = $1 AND room <> $2",
};

static const CmSql candidates = {
  "push-candidates",
  "SELECT e.id, e.position FROM member m CROSS JOIN LATERAL ("
  " SELECT id, position FROM event WHERE room = m.room AND position > m.position AND position < $2"
  "  AND sender <> $1 ORDER BY position DESC LIMIT $3) e"
  " WHERE m.user_id = $1 AND m.membership = 'join' ORDER BY e.position DESC LIMIT $3",
};

static const CmSql unread_events_after = {
  "unread-events-after",
  "SELECT id FROM event WHERE position > $1 ORDER BY position DESC LIMIT $2",
};

static const CmSql unread_of_room = {
  "unread-of-room",
  "SELECT user_id, thread, notifications, highlights FROM unread WHERE room = $1",
};

GBytes *
cm_push_rules_get (CmDb *db, const char *user_id, gint64 *position, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &rules_get, CM_ARGS (CM_TEXT (user_id)), error);
  gboolean found = rows != NULL && cm_rows_count (rows) > 0;

  if (position != NULL)
    *position = found ? cm_rows_integer (rows, 0, 1) : 0;
  return found ? cm_rows_bytes (rows, 0, 0) : NULL;
}

CmRows *
cm_push_rules_of_users (CmDb *db, const char *const *user_ids, GError **error)
{
  return cm_db_query (db, &rules_of_users, CM_ARGS (CM_TEXTS (user_ids)), error);
}

void
cm_push_rules_put (CmWrite *write, const char *user_id, GBytes *rules, gint64 before)
{
  gint64 offset = cm_write_take_positions (write, 1);

  cm_write_add_fenced (
      write, &rules_put,
      CM_ARGS (CM_TEXT (user_id), CM_BYTES (rules), CM_POSITION (offset), CM_INT (before)));
  cm_write_topic (write, CM_TOPIC_USER, user_id);
  cm_write_attach (write, "push-profile", g_strdup (user_id), g_free);
}

CmRows *
cm_pushers_get (CmDb *db, const char *user_id, GError **error)
{
  return cm_db_query (db, &pushers_get, CM_ARGS (CM_TEXT (user_id)), error);
}

CmRows *
cm_pushers_of_users (CmDb *db, const char *const *user_ids, GError **error)
{
  return cm_db_query (db, &pushers_of_users, CM_ARGS (CM_TEXTS (user_ids)), error);
}

gboolean
cm_pusher_put (CmDb *db, const char *user_id, const char *app_id, const char *pushkey, gint64 token,
               GBytes *pusher, gboolean alone, GError **error)
{
  gint64 put = 0;

  if (!cm_db_run (db, &pusher_put,
                  CM_ARGS (CM_TEXT (user_id), CM_TEXT (app_id), CM_TEXT (pushkey), CM_INT (token),
                           CM_BYTES (pusher), CM_BOOL (alone)),
                  &put, error))
    return FALSE;
  return put > 0 || cm_fail (error, CM_ERROR_TOO_LARGE, "You have too many pushers");
}

gboolean
cm_pusher_delete (CmDb *db, const char *user_id, const char *app_id, const char *pushkey,
                  GError **error)
{
  return cm_db_run (db, &pusher_delete,
                    CM_ARGS (CM_TEXT (user_id), CM_TEXT (app_id), CM_TEXT (pushkey)), NULL, error);
}

static GArray *
integers (void)
{
  return g_array_new (FALSE, FALSE, sizeof (gint64));
}

CmUnreadRows *
cm_unread_rows_new (void)
{
  CmUnreadRows *rows = g_new (CmUnreadRows, 1);

  *rows = (CmUnreadRows){ integers (), integers (), integers (), integers (), integers () };
  return rows;
}

void
cm_unread_rows_free (CmUnreadRows *rows)
{
  g_array_unref (rows->users);
  g_array_unref (rows->rooms);
  g_array_unref (rows->threads);
  g_array_unref (rows->notifications);
  g_array_unref (rows->highlights);
  g_free (rows);
}

void
cm_unread_rows_add (CmUnreadRows *rows, gint64 user, gint64 room, gint64 thread,
                    gint64 notifications, gint64 highlights)
{
  g_array_append_val (rows->users, user);
  g_array_append_val (rows->rooms, room);
  g_array_append_val (rows->threads, thread);
  g_array_append_val (rows->notifications, notifications);
  g_array_append_val (rows->highlights, highlights);
}

void
cm_unread_write (CmWrite *write, const CmUnreadRows *rows, gint64 position)
{
  if (rows->users->len > 0) {
    cm_write_add (write, &unread_set,
                  CM_ARGS (cm_param_integers (rows->users), cm_param_integers (rows->rooms),
                           cm_param_integers (rows->threads),
                           cm_param_integers (rows->notifications),
                           cm_param_integers (rows->highlights)));
    cm_write_add (write, &unread_drop,
                  CM_ARGS (cm_param_integers (rows->users), cm_param_integers (rows->rooms),
                           cm_param_integers (rows->threads),
                           cm_param_integers (rows->notifications),
                           cm_param_integers (rows->highlights)));
  }
  cm_write_add (write, &unread_advance, CM_ARGS (CM_INT (position)));
}

gboolean
cm_unread_position (CmDb *db, gint64 *position, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &unread_position, CM_NO_ARGS, error);

  if (rows == NULL)
    return FALSE;
  *position = cm_rows_integer (rows, 0, 0);
  return TRUE;
}

gboolean
cm_unread_elsewhere (CmDb *db, gint64 user, gint64 room, gint64 *count, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &unread_elsewhere, CM_ARGS (CM_INT (user), CM_INT (room)), error);

  if (rows == NULL)
    return FALSE;
  *count = cm_rows_integer (rows, 0, 0);
  return TRUE;
}

CmRows *
cm_push_candidates (CmDb *db, gint64 user, gint64 before, gint64 limit, GError **error)
{
  return cm_db_query (db, &candidates, CM_ARGS (CM_INT (user), CM_INT (before), CM_INT (limit)),
                      error);
}

CmRows *
cm_unread_events_after (CmDb *db, gint64 position, gint64 limit, GError **error)
{
  return cm_db_query (db, &unread_events_after, CM_ARGS (CM_INT (position), CM_INT (limit)), error);
}

CmRows *
cm_unread_of_room (CmDb *db, gint64 room, GError **error)
{
  return cm_db_query (db, &unread_of_room, CM_ARGS (CM_INT (room)), error);
}
