/* The writer's desk: what may be done to a room, in one write, by the thread that holds its lock.
 * For append.c and for those who take in events of other servers (intake, handshake); nobody above
 * this floor includes it.
 *
 *   g_autoptr (CmRoom) room = cm_rooms_open (rooms, room_id, NULL, error);
 *   cm_rooms_link (rooms, event, &missing_prev, &missing_auth, error);   (fetch what is missing
 * first, without the lock) g_autoptr (CmRoomWrite) write = cm_room_write_begin (room, NULL, error);
 *   cm_room_write_live (write, event, NULL, 0, &verdict, error);
 *   cm_room_write_commit (g_steal_pointer (&write), error);
 *
 * An event that is handed in must be fresh from cm_event_parse or cm_event_build and not yet
 * shared: its numbers are filled in here, and it is the one that stands in the event store's cache
 * afterwards. Everything here may touch the database, with the lock held or not: worker threads
 * only. A begun write that is not submitted leaves no trace; one in which a call failed is good for
 * nothing else (but CM_ERROR_NOT_FOUND is said before anything was added). */
#pragma once

#include "federation/rooms.h"

G_BEGIN_DECLS

/* (transfer full) as cm_rooms_get, but also of a room whose state this node does not hold:
 * cm_room_view gives NULL then, and
 * @version must say the version unless outliers of the room are stored. CM_ERROR_NOT_FOUND when it
 * is NULL and not known. */
CmRoom *
cm_rooms_open (CmRooms *rooms, const char *room_id, const CmRoomVersion *version, GError **error);

/**
 * cm_rooms_link: fills @event's prev and auth with the numbers of those events that this node has.
 *
 * A prev event counts only when it is of this room and the state after it is stored
 * (CVE-2022-39374). Every auth event counts that is known: one of another room has the event
 * rejected later. @missing_prev and @missing_auth (nullable) get the ids of the others (transfer
 * full, of char*).
 */
gboolean cm_rooms_link (CmRooms *rooms, CmEvent *event, GPtrArray **missing_prev,
                        GPtrArray **missing_auth, GError **error);

/* Is @event allowed by @state? CM_ERROR_FORBIDDEN: no; any other error: that could not be found
 * out. */
gboolean
cm_rooms_judge (CmRooms *rooms, const CmEvent *event, const CmStateMap *state, GError **error);

/* The state before @event by the states after its prev events, resolved where they differ (transfer
 * full). Its prev must be filled in; without any, the empty state. */
CmStateMap *cm_rooms_state_before (CmRooms *rooms, const CmEvent *event, GError **error);

/* What the checks on receipt of a PDU (4 to 6) said. */
typedef enum { CM_VERDICT_ACCEPTED, CM_VERDICT_SOFT_FAILED, CM_VERDICT_REJECTED } CmVerdict;

typedef enum {
  /* Tell the room's other servers but the sender's: for joins, leaves and knocks that came to us as
   * the resident server. Events of this server's users are always told. */
  CM_STORE_RELAY = 1,
  /* Not judged again: the caller has (own events, events of a state that the caller accepted). */
  CM_STORE_JUDGED = 2,
  /* Tell no other server: somebody else does. */
  CM_STORE_QUIET = 4,
} CmStoreFlags;

typedef struct _CmRoomWrite CmRoomWrite;

/* Takes the room's lock. @extra: (nullable, transfer full, freed on error too) statements to commit
 * with the events; its positions come first. CM_ERROR_CONFLICT when an earlier write failed: get
 * the room anew with cm_rooms_open. */
CmRoomWrite *cm_room_write_begin (CmRoom *room, CmWrite *extra, GError **error);
/* Gives the lock back; nothing happened. */
void cm_room_write_abandon (CmRoomWrite *write);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmRoomWrite, cm_room_write_abandon)

/* The room as it is with what was added so far (borrowed); NULL while the node does not hold its
 * state. */
const CmRoomView *cm_room_write_view (const CmRoomWrite *write);
/* For statements of the caller's own. */
CmWrite *cm_room_write_statements (CmRoomWrite *write);

/**
 * cm_room_write_live: an event that takes its place at the end of the graph.
 *
 * Judges it by its auth events, by the state before it and by the current state (checks 4, 5 and
 * 6). Accepted: it gets a position, becomes a forward extremity in place of its prev events, the
 * current state becomes the resolution of the states after all extremities, and its redaction is
 * applied. Soft-failed: kept with its states, no position, no extremity. Rejected: kept, with the
 * state after it the state before it.
 * @before: (nullable) the state before it when its prev events are not all known and the state was
 * fetched; else resolved here. CM_ERROR_NOT_FOUND when an auth event is missing, or a prev event
 * and
 * @before: that is no verdict, and nothing was stored. An event that is already stored as an
 * outlier is moved into the graph; one that is stored otherwise stays as it is (@verdict says how).
 */
gboolean cm_room_write_live (CmRoomWrite *write, CmEvent *event, CmStateMap *before,
                             CmStoreFlags flags, CmVerdict *verdict, GError **error);

/* History: as above at @position, a negative one that cm_rooms_history_positions gave; no check 6,
 * no extremity, no effect on the current state. */
gboolean cm_room_write_history (CmRoomWrite *write, CmEvent *event, CmStateMap *before,
                                gint64 position, CmVerdict *verdict, GError **error);
/* Positions for @count events (gint64, transfer full), ascending, before all that any room has. */
GArray *cm_rooms_history_positions (CmRooms *rooms, gsize count, GError **error);

/**
 * cm_room_write_outlier: an event that others cite but whose place in the graph is not known: no
 * states, no position. Judged by its auth events only (check 4), which must have been handed in
 * before it, with auth filled in (cm_rooms_link sees those of this write too). Does nothing when
 * the event is stored already; event->number is set either way.
 */
gboolean
cm_room_write_outlier (CmRoomWrite *write, CmEvent *event, CmVerdict *verdict, GError **error);

/* The same for many at once, each behind those it names (cm_events_sort). One whose auth events, or
 * create event, are neither known nor among them is left out: another server may have what this one
 * withholds, and a rejection is for good. */
gboolean cm_room_write_outliers (CmRoomWrite *write, GPtrArray *events, GError **error);

/**
 * cm_room_write_enter: the room becomes this node's through @event, a join or the create event.
 * @before: the state before it, made of events that are stored (as outliers in this write, or
 * earlier). Whatever state the node held of the room is replaced, its forward extremities too.
 */
gboolean cm_room_write_enter (CmRoomWrite *write, CmEvent *event, CmStateMap *before,
                              CmStoreFlags flags, GError **error);

/* Queues the write and gives the lock back (transfer full). @callback (nullable) comes on the
 * committer's thread once it is committed, the views and positions published; on the caller's when
 * it could not be queued. After a failure the room is dropped from memory: open it anew. */
typedef void (*CmRoomWritten) (const GError *error, gpointer data);
void cm_room_write_submit (CmRoomWrite *write, CmRoomWritten callback, gpointer data);
/* The same, and waits. */
gboolean cm_room_write_commit (CmRoomWrite *write, GError **error);

G_END_DECLS
