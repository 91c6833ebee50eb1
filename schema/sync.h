/* What /sync reads, for many rooms in one round trip each. All bounded by a cut: nothing after it
 * is read. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

/* Of one user: everything between two positions. */
typedef struct {
  CmRows *memberships; /* room, room id, position, membership, event, forgotten; all there ever were
                          up to the cut, by room and position */
  CmRows *outside; /* room id, membership, event, its id, room version, stripped state, position:
                      in rooms that this node is not in */
  CmRows *account_data; /* room id, type, content */
  CmRows *unwanted;     /* type, content: m.ignored_user_list and m.invite_permission_config */
  gboolean push_rules;  /* they changed */
} CmSyncUserRows;

void cm_sync_user_rows_clear (CmSyncUserRows *rows);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CmSyncUserRows, cm_sync_user_rows_clear)

/* @since 0: from the beginning. */
gboolean cm_sync_read_user (CmDb *db, const char *user_id, gint64 user, gint64 since, gint64 cut,
                            CmSyncUserRows *rows, GError **error);

/* Of rooms, by parallel arrays of gint64. */
typedef struct {
  GArray *rooms;
  GArray *low, *high; /* the window of each timeline: (low, high] */
  GArray *since;      /* where the state is known to the client, 0: nowhere */
  GArray *receipts;   /* receipts after this; G_MAXINT64: none wanted */
  gint64 limit;       /* events of a timeline at most */
  const GArray *types, *not_types, *senders, *not_senders; /* of gint64, nullable */
  const char *user_id;
  gint64 user;
  gint64 cut;
  const char *const *fresh; /* ids of rooms whose account data is wanted whole; nullable */
} CmSyncRoomsQuery;

typedef struct {
  CmRows *timeline; /* index, event, position: the newest first */
  CmRows *states;   /* index, state after the last event at or before since, and the same of high */
  CmRows *receipts; /* index, type, user id, thread id, event id, ts */
  CmRows *unread;   /* index, thread, notifications, highlights */
  CmRows *account_data; /* room id, type, content */
} CmSyncRoomsRows;

void cm_sync_rooms_rows_clear (CmSyncRoomsRows *rows);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CmSyncRoomsRows, cm_sync_rooms_rows_clear)

gboolean
cm_sync_read_rooms (CmDb *db, const CmSyncRoomsQuery *query, CmSyncRoomsRows *rows, GError **error);

/* Rows of (room, user id): those whom a client names a room after (client-server, "Calculating the
 * display name for a room"): the first five others that are joined or invited, or else that were.
 */
CmRows *cm_sync_heroes (CmDb *db, const GArray *rooms, gint64 user, GError **error);

/* Rows of (user id, sym): users of this server who joined a room before @position, and still are.
 */
CmRows *cm_sync_local_members (CmDb *db, gint64 room, gint64 position, GError **error);
/* The state after the last event before @position, 0 when there is none; -1 with @error. */
gint64 cm_sync_state_before (CmDb *db, gint64 room, gint64 position, GError **error);

/* (transfer full) some users, at most @limit, who are joined to @rooms (of gint64). */
char **cm_sync_some_members (CmDb *db, const GArray *rooms, gint64 limit, GError **error);
/* (transfer full) those of @user_ids who are joined to a room that @user is joined to as well. */
char **cm_sync_sharing (CmDb *db, gint64 user, const char *const *user_ids, GError **error);
/* (transfer full) users of this server who are joined to a room that @user is joined to. */
char **cm_sync_local_sharers (CmDb *db, gint64 user, GError **error);
/* (transfer full) the servers, other than @own, in the rooms that @user is joined to. */
char **cm_sync_servers_sharing (CmDb *db, gint64 user, gint64 own, GError **error);

G_END_DECLS
