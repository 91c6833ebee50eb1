#include "schema/sync.h"

static const CmSql memberships = {
  "sync-memberships",
  "SELECT h.room, s.text, h.position, h.membership, h.event, coalesce (m.forgotten, false)"
  " FROM member_history h JOIN sym s ON s.id = h.room"
  " LEFT JOIN member m ON m.room = h.room AND m.user_id = h.user_id"
  " WHERE h.user_id = $1 AND h.position <= $2 ORDER BY h.room, h.position",
};

static const CmSql outside = {
  "sync-outside",
  "SELECT s.text, o.membership, o.event, o.event_id, o.version, o.stripped, o.position"
  " FROM outside_membership o JOIN sym s ON s.id = o.room"
  " WHERE o.user_id = $1 AND o.position > $2 AND o.position <= $3",
};

static const CmSql account_data = {
  "sync-account-data",
  "SELECT room_id, type, content FROM account_data"
  " WHERE user_id = $1 AND position > $2 AND position <= $3 ORDER BY room_id, type",
};

static const CmSql unwanted = {
  "sync-unwanted",
  "SELECT type, content FROM account_data WHERE user_id = $1 AND room_id = ''"
  " AND type IN ('m.ignored_user_list', 'm.invite_permission_config')",
};

static const CmSql push_rules = {
  "sync-push-rules",
  "SELECT FROM push_rules WHERE user_id = $1 AND position > $2 AND position <= $3",
};

/* One row of (n, room, ...) for each of the rooms asked about. */
#define WINDOWS                                                                                    \
  "unnest ($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS w (room, low, high, n)"

static const CmSql timeline = {
  "sync-timeline",
  "SELECT w.n - 1, e.id, e.position FROM " WINDOWS " CROSS JOIN LATERAL ("
  " SELECT id, position FROM event"
  "  WHERE room = w.room AND position > w.low AND position <= w.high"
  "  AND ($5::bigint[] IS NULL OR type = ANY ($5))"
  "  AND ($6::bigint[] IS NULL OR type <> ALL ($6))"
  "  AND ($7::bigint[] IS NULL OR sender = ANY ($7))"
  "  AND ($8::bigint[] IS NULL OR sender <> ALL ($8))"
  "  ORDER BY position DESC LIMIT $4) e ORDER BY w.n, e.position DESC",
};

static const CmSql states = {
  "sync-states",
  "SELECT w.n - 1, coalesce (b.state_after, 0), coalesce (e.state_after, 0)"
  " FROM unnest ($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY"
  "  AS w (room, since, high, n)"
  " LEFT JOIN LATERAL (SELECT state_after FROM event WHERE w.since > 0"
  "  AND room = w.room AND position <= w.since ORDER BY position DESC LIMIT 1) b ON true"
  " LEFT JOIN LATERAL (SELECT state_after FROM event"
  "  WHERE room = w.room AND position <= w.high ORDER BY position DESC LIMIT 1) e ON true",
};

/* m.read.private is its owner's alone. */
static const CmSql receipts = {
  "sync-receipts",
  "SELECT w.n - 1, r.type, r.user_id, r.thread_id, r.event_id, r.ts"
  " FROM unnest ($1::bigint[], $2::bigint[]) WITH ORDINALITY AS w (room, low, n)"
  " JOIN receipt r ON r.room = w.room AND r.position > w.low AND r.position <= $3"
  " WHERE r.type = 'm.read' OR (r.type = 'm.read.private' AND r.user_id = $4)"
  " ORDER BY w.n, r.position",
};

static const CmSql unread = {
  "sync-unread",
  "SELECT w.n - 1, u.thread, u.notifications, u.highlights"
  " FROM unnest ($1::bigint[]) WITH ORDINALITY AS w (room, n)"
  " JOIN unread u ON u.room = w.room AND u.user_id = $2",
};

static const CmSql fresh_account_data = {
  "sync-fresh-account-data",
  "SELECT room_id, type, content FROM account_data"
  " WHERE user_id = $1 AND room_id = ANY ($2) AND position <= $3 ORDER BY room_id, type",
};

static const CmSql heroes = {
  "sync-heroes",
  "SELECT r.room, s.text FROM unnest ($1::bigint[]) AS r (room) CROSS JOIN LATERAL ("
  " SELECT m.user_id, m.membership IN ('join', 'invite') AS inside, m.position,"
  "  bool_or (m.membership IN ('join', 'invite')) OVER () AS any_inside"
  "  FROM member m WHERE m.room = r.room AND m.user_id <> $2"
  "  ORDER BY inside DESC, m.position, m.user_id LIMIT 5) h"
  " JOIN sym s ON s.id = h.user_id"
  " WHERE h.inside OR NOT h.any_inside ORDER BY r.room, h.position, h.user_id",
};

static const CmSql local_members = {
  "sync-local-members",
  "SELECT s.text, m.user_id FROM member m JOIN sym s ON s.id = m.user_id"
  " WHERE m.room = $1 AND m.local AND m.membership = 'join' AND m.position < $2",
};

static const CmSql state_before = {
  "sync-state-before",
  "SELECT state_after FROM event WHERE room = $1 AND position < $2"
  " ORDER BY position DESC LIMIT 1",
};

#define SHARES                                                                                     \
  "EXISTS (SELECT FROM member mine JOIN member theirs ON theirs.room = mine.room"                  \
  " WHERE mine.user_id = $1 AND mine.membership = 'join'"                                          \
  " AND theirs.user_id = s.id AND theirs.membership = 'join')"

static const CmSql sharing = {
  "sync-sharing",
  "SELECT s.text FROM sym s WHERE s.text = ANY ($2) AND " SHARES,
};

static const CmSql some_members = {
  "sync-some-members",
  "SELECT s.text FROM member m JOIN sym s ON s.id = m.user_id"
  " WHERE m.room = ANY ($1) AND m.membership = 'join' LIMIT $2",
};

static const CmSql local_sharers = {
  "sync-local-sharers",
  "SELECT DISTINCT s.text FROM member mine JOIN member m ON m.room = mine.room"
  " JOIN sym s ON s.id = m.user_id"
  " WHERE mine.user_id = $1 AND mine.membership = 'join' AND m.local AND m.membership = 'join'",
};

static const CmSql servers_sharing = {
  "sync-servers-sharing",
  "SELECT DISTINCT s.text FROM member mine JOIN room_server r ON r.room = mine.room"
  " JOIN sym s ON s.id = r.server"
  " WHERE mine.user_id = $1 AND mine.membership = 'join' AND r.server <> $2",
};

static gboolean
receive (CmDb *db, CmRows **rows, GError **error)
{
  *rows = cm_db_receive (db, error);
  return *rows != NULL;
}

void
cm_sync_user_rows_clear (CmSyncUserRows *rows)
{
  g_clear_pointer (&rows->memberships, cm_rows_free);
  g_clear_pointer (&rows->outside, cm_rows_free);
  g_clear_pointer (&rows->account_data, cm_rows_free);
  g_clear_pointer (&rows->unwanted, cm_rows_free);
}

gboolean
cm_sync_read_user (CmDb *db, const char *user_id, gint64 user, gint64 since, gint64 cut,
                   CmSyncUserRows *rows, GError **error)
{
  g_autoptr (CmRows) rules = NULL;

  if (!cm_db_send (db, &memberships, CM_ARGS (CM_INT (user), CM_INT (cut)), error) ||
      !cm_db_send (db, &outside, CM_ARGS (CM_INT (user), CM_INT (since), CM_INT (cut)), error) ||
      !cm_db_send (db, &account_data, CM_ARGS (CM_TEXT (user_id), CM_INT (since), CM_INT (cut)),
                   error) ||
      !cm_db_send (db, &unwanted, CM_ARGS (CM_TEXT (user_id)), error) ||
      !cm_db_send (db, &push_rules, CM_ARGS (CM_TEXT (user_id), CM_INT (since), CM_INT (cut)),
                   error) ||
      !receive (db, &rows->memberships, error) || !receive (db, &rows->outside, error) ||
      !receive (db, &rows->account_data, error) || !receive (db, &rows->unwanted, error) ||
      !receive (db, &rules, error))
    return FALSE;
  rows->push_rules = cm_rows_count (rules) > 0;
  return TRUE;
}

void
cm_sync_rooms_rows_clear (CmSyncRoomsRows *rows)
{
  g_clear_pointer (&rows->timeline, cm_rows_free);
  g_clear_pointer (&rows->states, cm_rows_free);
  g_clear_pointer (&rows->receipts, cm_rows_free);
  g_clear_pointer (&rows->unread, cm_rows_free);
  g_clear_pointer (&rows->account_data, cm_rows_free);
}

static gboolean
send_rooms (CmDb *db, const CmSyncRoomsQuery *query, GError **error)
{
  static const char *const nothing[] = { NULL };
  const char *const *fresh = query->fresh != NULL ? query->fresh : nothing;

  return cm_db_send (
             db, &timeline,
             CM_ARGS (cm_param_integers (query->rooms), cm_param_integers (query->low),
                      cm_param_integers (query->high), CM_INT (query->limit),
                      cm_param_integers (query->types), cm_param_integers (query->not_types),
                      cm_param_integers (query->senders), cm_param_integers (query->not_senders)),
             error) &&
         cm_db_send (db, &states,
                     CM_ARGS (cm_param_integers (query->rooms), cm_param_integers (query->since),
                              cm_param_integers (query->high)),
                     error) &&
         cm_db_send (db, &receipts,
                     CM_ARGS (cm_param_integers (query->rooms), cm_param_integers (query->receipts),
                              CM_INT (query->cut), CM_TEXT (query->user_id)),
                     error) &&
         cm_db_send (db, &unread, CM_ARGS (cm_param_integers (query->rooms), CM_INT (query->user)),
                     error) &&
         cm_db_send (db, &fresh_account_data,
                     CM_ARGS (CM_TEXT (query->user_id), CM_TEXTS (fresh), CM_INT (query->cut)),
                     error);
}

gboolean
cm_sync_read_rooms (CmDb *db, const CmSyncRoomsQuery *query, CmSyncRoomsRows *rows, GError **error)
{
  return send_rooms (db, query, error) && receive (db, &rows->timeline, error) &&
         receive (db, &rows->states, error) && receive (db, &rows->receipts, error) &&
         receive (db, &rows->unread, error) && receive (db, &rows->account_data, error);
}

CmRows *
cm_sync_heroes (CmDb *db, const GArray *rooms, gint64 user, GError **error)
{
  return cm_db_query (db, &heroes, CM_ARGS (cm_param_integers (rooms), CM_INT (user)), error);
}

CmRows *
cm_sync_local_members (CmDb *db, gint64 room, gint64 position, GError **error)
{
  return cm_db_query (db, &local_members, CM_ARGS (CM_INT (room), CM_INT (position)), error);
}

gint64
cm_sync_state_before (CmDb *db, gint64 room, gint64 position, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &state_before, CM_ARGS (CM_INT (room), CM_INT (position)), error);

  if (rows == NULL)
    return -1;
  return cm_rows_count (rows) > 0 ? cm_rows_integer (rows, 0, 0) : 0;
}

/* The first column. */
static char **
texts (CmRows *rows)
{
  g_autoptr (CmRows) owned = rows;

  if (rows == NULL)
    return NULL;
  char **list = g_new0 (char *, cm_rows_count (rows) + 1);
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    list[i] = g_strdup (cm_rows_text (rows, i, 0));
  return list;
}

char **
cm_sync_some_members (CmDb *db, const GArray *rooms, gint64 limit, GError **error)
{
  return texts (
      cm_db_query (db, &some_members, CM_ARGS (cm_param_integers (rooms), CM_INT (limit)), error));
}

char **
cm_sync_sharing (CmDb *db, gint64 user, const char *const *user_ids, GError **error)
{
  return texts (cm_db_query (db, &sharing, CM_ARGS (CM_INT (user), CM_TEXTS (user_ids)), error));
}

char **
cm_sync_local_sharers (CmDb *db, gint64 user, GError **error)
{
  return texts (cm_db_query (db, &local_sharers, CM_ARGS (CM_INT (user)), error));
}

char **
cm_sync_servers_sharing (CmDb *db, gint64 user, gint64 own, GError **error)
{
  return texts (cm_db_query (db, &servers_sharing, CM_ARGS (CM_INT (user), CM_INT (own)), error));
}
