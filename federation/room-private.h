/* What the files of the room engine (rooms, room-*, append*) share. Nobody else includes it. */
#pragma once

#include "federation/append.h"
#include "federation/room-write.h"
#include "federation/state-store.h"
#include "federation/transactions.h"

G_BEGIN_DECLS

struct _CmRooms {
  CmRoomsParts parts; /* server_name and key are ours */
  CmEventStore *events;
  CmStateStore *states;
  CmTransactions *transactions;
  GThreadPool *retries;   /* of append.c, one thread, */
  gint64 no_retry_before; /* which alone uses this: monotonic time */
  guint32 member_sym;     /* "m.room.member" */
  GMutex mutex;           /* guards what follows */
  GCond idle;
  GHashTable *rooms;  /* room id -> CmRoom */
  GQueue lru;         /* the newest first */
  GHashTable *erased; /* set of syms of users; NULL: nobody */
  guint in_flight;    /* writes and retries that are not through */
};

/* Order of locks: a room's lock, then rooms->mutex or room->view_mutex; never the other way. */
struct _CmRoom {
  gatomicrefcount refs;
  CmRooms *rooms;
  char *room_id;
  gint64 sym;
  GList link;  /* in rooms->lru; data points back here */
  gint loaded; /* atomic, set once */
  gint broken; /* atomic, set once: a write failed, so the tip stands on what is not there */

  GMutex lock; /* the writer's; guards what follows */
  const CmRoomVersion *version;
  CmRoomView *tip; /* what the next write builds on: committed or queued; NULL while the state is
                      not held */
  gboolean stored; /* there is a row in table room, or one is queued */
  gint64 epoch;
  GHashTable *
      resolved; /* states of extremities, sorted, as text -> number of their resolution (gint64*) */
  GHashTable *pending; /* event id -> number of a redaction (gint64*) that came before it */

  GMutex view_mutex; /* guards what follows */
  CmRoomView *view;  /* committed: what readers see */
};

/* A state with its number; the number is 0 for the empty state. */
typedef struct {
  CmStateMap *map;
  gint64 id;
} CmState;

void cm_state_clear (CmState *state);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CmState, cm_state_clear)
CmState cm_state_copy (const CmState *state);

struct _CmRoomWrite {
  CmRoom *room;
  CmWrite *write;      /* NULL once it is queued */
  CmRoomView *view;    /* nullable */
  GPtrArray *events;   /* of CmEvent, those that become visible: attached as "events" */
  GArray *offsets;     /* of gint64: their positions in the write */
  GPtrArray *stored;   /* of CmEvent: all that were put into the store */
  GPtrArray *arrived;  /* of CmEvent: those that others may have spoken of before */
  GArray *states;      /* of gint64: states that were made */
  GPtrArray *targets;  /* of CmEvent: what is redacted ... */
  GPtrArray *reasons;  /* ... and by which event id */
  gboolean moved;      /* extremities or state changed: the room's row is to be written */
  gboolean introduced; /* it adds the room's row */
  CmRoomWritten callback;
  gpointer data;
};

/* rooms.c */
void cm_rooms_forget (CmRoom *room);
/* Counts what cm_rooms_free must wait for. */
void cm_rooms_begin_work (CmRooms *rooms);
void cm_rooms_end_work (CmRooms *rooms);

/* room-view.c */
CmRoomView *cm_room_view_new (CmRoom *room);
/* (transfer full) one that may be changed until it is shown; @view nullable. */
CmRoomView *cm_room_view_copy (const CmRoomView *view);
void cm_room_view_set_state (CmRoomView *view, const CmState *state);
/* Takes @servers (name -> joined members) and works out the others. */
void cm_room_view_set_servers (CmRoomView *view, GHashTable *servers);
void cm_room_publish (CmRoom *room, CmRoomView *view);

/* room-judge.c: looks events up in a state, for cm_auth_check. After the check @error tells whether
 * a look-up failed. */
typedef struct {
  CmRooms *rooms;
  const CmStateMap *state;
  GPtrArray *held;
  GError *error;
} CmStateLookup;

void cm_state_lookup_init (CmStateLookup *lookup, CmRooms *rooms, const CmStateMap *state);
const CmEvent *cm_state_lookup_find (const char *type, const char *state_key, gpointer lookup);
void cm_state_lookup_clear (CmStateLookup *lookup);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CmStateLookup, cm_state_lookup_clear)
/* Check 4: by the events that @event names itself. */
gboolean cm_rooms_judge_by_auth (CmRooms *rooms, const CmEvent *event, GError **error);

/* room-write.c */
/* From the committer's listener: positions, pruned forms and the view become what readers see. */
void cm_room_write_committed (CmRoomWrite *write, gint64 position);
/* Writes stand on one another before they are committed. When one fails while the next is being
 * made, what that found, or did not find, is worth nothing: its @error (nullable) becomes
 * CM_ERROR_CONFLICT, and the caller begins anew. */
void cm_room_write_doubt (const CmRoomWrite *write, GError **error);
/* Whether @user_id is of this server. */
gboolean cm_room_write_is_local (const CmRoomWrite *write, const char *user_id);
gboolean cm_room_write_number (CmRoomWrite *write, CmEvent *event, GError **error);
/* Puts an accepted event, numbered and linked, whose state before is @before, at the end of the
 * graph. */
gboolean cm_room_write_place (CmRoomWrite *write, CmEvent *event, const CmState *before,
                              CmStoreFlags flags, gboolean stored, GError **error);
/* Gives @map a number, in this write, near @parent. */
gboolean cm_room_write_state (CmRoomWrite *write, const CmState *parent, CmStateMap *map,
                              CmState *state, GError **error);
/* The state after all of @events (numbers), resolved where they differ. */
gboolean cm_room_write_merge (CmRoomWrite *write, const gint64 *events, gsize count, CmState *state,
                              GError **error);

/* room-branches.c */
/* An event that says nothing and ties branches together. The name is Synapse's; where it comes from
 * another server clients are spared it too. */
#define CM_DUMMY_EVENT "org.matrix.dummy_event"
/* (transfer full) the forward extremities once @event stands on its prev events, itself the last.
 */
GArray *cm_branches_after (const CmRoomView *view, const CmEvent *event);
/* Sees to it that @event, linked, numbered and accepted, does not become a branch too many: joins
 * those there are; where no user of this server may do that, @verdict becomes a soft failure when
 * its sender's server has its share. */
gboolean cm_room_write_make_way (CmRoomWrite *write, const CmEvent *event, CmVerdict *verdict,
                                 GError **error);

/* append-write.c: what an event becomes. */
typedef struct {
  gboolean visible; /* has a position: @position is its offset in the write, or the position itself
                       when @negative */
  gboolean negative;
  gint64 position;
  gboolean stored; /* an outlier that is moved */
} CmEventPlace;

void cm_room_write_add_event (CmRoomWrite *write, const CmEvent *event, const CmEventPlace *place);
void cm_room_write_add_room (CmRoomWrite *write);
/* @event is not in the graph yet: its prev events that are @missing become backward extremities,
 * and it is none any more. */
void cm_room_write_add_missing (CmRoomWrite *write, const CmEvent *event, GPtrArray *missing);
/* @before: the other servers in the room before @event. */
void cm_room_write_tell_servers (CmRoomWrite *write, const CmEvent *event, GPtrArray *before,
                                 gint64 offset, CmStoreFlags flags);

/* room-verdict.c: check 4 with all that it needs. */
gboolean cm_room_write_passes_auth (CmRoomWrite *write, const CmEvent *event, gboolean *allowed,
                                    GError **error);
/* What check 6 holds an event against: the current state; for one whose state was fetched (@given),
 * after a gap in which much may have happened, what both together say. */
CmStateMap *
cm_room_write_state_to_pass (CmRoomWrite *write, const CmEvent *event, const CmState *before,
                             const CmStateMap *given, GError **error);
/* Checks 4 to 6; the last only with @current. */
gboolean cm_room_write_judge (CmRoomWrite *write, const CmEvent *event, const CmState *before,
                              const CmStateMap *current, CmVerdict *verdict, GError **error);

/* room-receive.c: an event that is not stored yet, its auth filled in, becomes an outlier. */
gboolean
cm_room_write_new_outlier (CmRoomWrite *write, CmEvent *event, CmVerdict *verdict, GError **error);

/* room-change.c: the current state becomes @state at position offset @offset: view, current_state,
 * members, servers, topics. */
gboolean cm_room_write_change_state (CmRoomWrite *write, const CmState *state, gint64 offset,
                                     GError **error);

/* room-redact.c: what @event redacts (@state: before it), and what redacted the write's arrivals
 * before they came. */
typedef enum {
  CM_REDACTS_NOTHING, /* it is no redaction */
  CM_REDACTS_NOW,
  CM_REDACTS_LATER,  /* its target is not known */
  CM_REDACTS_IN_VAIN /* it may not */
} CmRedacts;
gboolean cm_room_write_redactions (CmRoomWrite *write, const CmEvent *event,
                                   const CmStateMap *state, CmRedacts *does, GError **error);
gboolean cm_room_write_pending_redactions (CmRoomWrite *write, GError **error);
/* May a user of this server redact @target? CM_ERROR_FORBIDDEN, CM_ERROR_NOT_FOUND. */
gboolean cm_room_check_own_redaction (CmRooms *rooms, const CmEvent *redaction,
                                      const CmStateMap *state, GError **error);

/* append.c: a thread that tries failed appends again. */
GThreadPool *cm_append_retries_new (CmRooms *rooms);

G_END_DECLS
