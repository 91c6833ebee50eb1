/* Rooms as this node holds them. A CmRoom is the one writer's desk: its lock is taken to append.
 * Everybody else looks at a CmRoomView, an immutable snapshot of the room's current state. Cached,
 * bounded; all that matters is in the database. */
#pragma once

#include "federation/event-store.h"
#include "federation/state-map.h"
#include "schema/committer.h"

G_BEGIN_DECLS

typedef struct _CmRooms CmRooms;
typedef struct _CmRoom CmRoom;

/* What the floor above adds to the write of every event that becomes visible here (unread counts,
 * push), while the room is locked. Must be quick, and must not touch the database. */
typedef struct _CmRoomView CmRoomView;
typedef struct {
  void (*event_added) (CmWrite *write, gint64 position_offset, const CmEvent *event,
                       const CmRoomView *view, gpointer data);
  gpointer data;
} CmRoomHooks;

typedef struct {
  CmPool *pool;
  CmIds *ids;
  CmCommitter *committer;
  CmSigningKey *key;
  const char *server_name;
  CmRoomHooks hooks;
} CmRoomsParts;

/* Before any other listener of the committer, which then see the new views and positions of what
 * was committed. */
CmRooms *cm_rooms_new (const CmRoomsParts *parts, GError **error);
/* Waits for the writes under way: before cm_committer_free. */
void cm_rooms_free (CmRooms *rooms);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmRooms, cm_rooms_free)
CmEventStore *cm_rooms_events (CmRooms *rooms);
const CmRoomsParts *cm_rooms_parts (CmRooms *rooms);

/* Users of this server whose accounts were erased (client-server, POST /account/deactivate). @users
 * (of gint64, syms) takes the place of what was said before. */
void cm_rooms_set_erased (CmRooms *rooms, const GArray *users);
/* Whether @event is one of those of such a user that are shown in full to nobody who was not there:
 * all but the state of the room, which newcomers need, and which would still be told them as such.
 */
gboolean cm_rooms_is_erased (CmRooms *rooms, const CmEvent *event);

/* A snapshot. Immutable, reference-counted. */
struct _CmRoomView {
  gatomicrefcount refs;
  CmRooms *rooms;
  char *room_id;
  gint64 room; /* sym */
  const CmRoomVersion *version;
  CmStateMap *state; /* current, resolved */
  gint64 state_id;
  GArray *extremities; /* of gint64; few, see room-branches.c */
  gint64 depth;        /* of the deepest extremity */
  GHashTable *servers; /* server name -> joined members (GINT_TO_POINTER); those in the room */
  GPtrArray *others;   /* their names without this server's, ending in NULL: a strv */
  gint64 joined;       /* members */
  gint64 invited;
  gint64 local_joined; /* members of this server */
};
CmRoomView *cm_room_view_ref (CmRoomView *view);
void cm_room_view_unref (CmRoomView *view);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmRoomView, cm_room_view_unref)

CmRoom *cm_room_ref (CmRoom *room);
void cm_room_unref (CmRoom *room);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmRoom, cm_room_unref)

/* (transfer full) CM_ERROR_NOT_FOUND for a room whose state this node does not hold. */
CmRoom *cm_rooms_get (CmRooms *rooms, const char *room_id, GError **error);
CmRoomView *cm_rooms_view (CmRooms *rooms, const char *room_id, GError **error);
CmRoomView *cm_room_view (CmRoom *room);

/* Reads of a view's state. (transfer full) NULL without @error when there is no such state event.
 */
CmEvent *cm_room_state_event (const CmRoomView *view, const char *type, const char *state_key,
                              GError **error);
/* All state events, or those of @type (nullable), as an array of CmEvent (transfer full). */
GPtrArray *cm_room_state_events (const CmRoomView *view, const char *type, GError **error);
/* The state (transfer full) before or after an event that is in the graph. */
CmStateMap *cm_rooms_state_at (CmRooms *rooms, gint64 state_id, GError **error);
/* Many in one round trip: (transfer full) the maps of @state_ids, same length and order. */
GPtrArray *
cm_rooms_states_at (CmRooms *rooms, const gint64 *state_ids, gsize count, GError **error);
/* The event (transfer full) at a key of any state map; NULL without error when none. */
CmEvent *cm_rooms_event_in (CmRooms *rooms, const CmStateMap *state, const char *type,
                            const char *state_key, GError **error);

/* (transfer full) a user of this server who is in the room and has @level, for what the node does
 * there by itself; NULL without @error when there is none. */
char *cm_room_find_deputy (const CmRoomView *view, gint64 level, GError **error);

typedef enum {
  CM_MEMBERSHIP_NONE,
  CM_MEMBERSHIP_INVITE,
  CM_MEMBERSHIP_JOIN,
  CM_MEMBERSHIP_KNOCK,
  CM_MEMBERSHIP_LEAVE,
  CM_MEMBERSHIP_BAN
} CmMembership;
CmMembership cm_membership_from_text (const char *text);
const char *cm_membership_text (CmMembership membership);
/* NONE also when it cannot be read. */
CmMembership cm_room_membership (const CmRoomView *view, const char *user_id);

G_END_DECLS
