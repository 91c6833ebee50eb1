/* What the files of the intake and the handshakes share. Nobody else includes it. */
#pragma once

#include "federation/intake.h"
#include "federation/room-write.h"

G_BEGIN_DECLS

typedef struct _CmParking CmParking;

struct _CmIntake {
  CmIntakeParts parts;
  const char *server_name;
  CmParking *parking;
  GMutex mutex;        /* guards what follows */
  GCond entered;       /* a room is no longer being joined */
  GHashTable *joining; /* room id -> CmRoomVersion: their events wait */
  GHashTable *budgets; /* server -> what it may still make this node ask */
  gboolean reads_much; /* somebody has the turn to read large answers */
  GCond read;          /* nobody has any longer */
};

/* intake-verify.c */
/* Whether one of @server's good keys signed @event. */
gboolean cm_intake_is_signed_by (CmIntake *intake, const CmEvent *event, const char *server);
/* As cm_event_parse, and of @room_id. */
CmEvent *cm_event_parse_of_room (const CmRoomVersion *version, const char *room_id,
                                 const CmJson *pdu, GError **error);
/* Puts the verified form of each of @events (parsed, some NULL) in its place, NULL where it is not
 * to be believed; @errors: (nullable) room for as many. The keys are fetched in one go, the work is
 * shared by threads. */
void cm_intake_prove_all (CmIntake *intake, GPtrArray *events, GError **errors);
/* (transfer full) the same event, fresh: an event that was handed to a write cannot be handed to
 * another. */
CmEvent *cm_event_renew (const CmEvent *event, GError **error);

/* intake-sort.c: events by id, before they are stored. */
typedef enum { CM_EDGE_AUTH = 1, CM_EDGE_PREV = 2 } CmEdges;

/* (transfer full) @events (of CmEvent) so that each stands behind those it names; each id once. */
GPtrArray *cm_events_sort (GPtrArray *events, CmEdges edges);

/* intake-ask.c: questions about a room's graph; each counts against what @server may make this node
 * ask. Events come verified, those that are not are left out. */

/* The turn to read large answers, one for all who ask: begun by the first such answer, and held as
 * long as the events that came with it are. All zero before. */
typedef struct {
  CmIntake *intake;
  gsize left; /* bytes of memory that may still be taken */
} CmLargeTurn;

void cm_large_turn_end (CmLargeTurn *turn);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CmLargeTurn, cm_large_turn_end)

typedef struct {
  CmIntake *intake;
  const char *server;
  const char *room_id;
  const CmRoomVersion *version;
  gint64 deadline; /* monotonic */
  CmLargeTurn *turn;
} CmAsk;

GPtrArray *cm_ask_missing (const CmAsk *ask, const char *const *earliest, const char *const *latest,
                           guint limit, GError **error);
GPtrArray *cm_ask_backfill (const CmAsk *ask, const char *const *from, guint limit, GError **error);
/* The ids of the state before @event_id, and of its auth chain. */
gboolean cm_ask_state_ids (const CmAsk *ask, const char *event_id, GPtrArray **state,
                           GPtrArray **auth_chain, GError **error);
/* The state before @event_id and its auth chain together. */
GPtrArray *cm_ask_state (const CmAsk *ask, const char *event_id, GError **error);
GPtrArray *cm_ask_auth_chain (const CmAsk *ask, const char *event_id, GError **error);
CmEvent *cm_ask_event (const CmAsk *ask, const char *event_id, GError **error);

/* missing.c: what must be stored so that an event can be. */
typedef struct {
  GPtrArray *outliers; /* of CmEvent: auth events and state, those named first */
  GPtrArray *events;   /* of CmEvent: the newest ancestors and the event, oldest first */
  GHashTable *states;  /* event id -> GPtrArray of GPtrArray of ids: before those whose prev events
                          stay unknown, the states to be resolved */
  GArray *positions; /* NULL: they are the newest of the room; else they are history, and these its
                        places (gint64) */
} CmGap;

void cm_gap_free (CmGap *gap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmGap, cm_gap_free)

/* Asks for the ancestors of @event, within bounds. */
CmGap *cm_gap_fetch (const CmAsk *ask, CmEvent *event, GError **error);
/* Asks for the state before @event alone. */
CmGap *cm_gap_fetch_state (const CmAsk *ask, CmEvent *event, GError **error);
/* Makes a gap of @events, history that the server gave: asks for the state before the oldest. */
CmGap *cm_gap_of_history (const CmAsk *ask, GPtrArray *events, GError **error);
/* Asks for the auth events that @events lack; adds them to @outliers. */
gboolean
cm_ask_auth_events (const CmAsk *ask, GPtrArray *events, GPtrArray *outliers, GError **error);

/* (transfer full) their ids, borrowed. */
GHashTable *cm_event_ids (GPtrArray *events);

/* missing-state.c */
/* So few are asked one by one; more are had more cheaply with the whole state. */
#define CM_ASK_SINGLE 10

/* Adds the events of @wanted (ids) to @outliers; of those that cannot be had the log tells. */
void cm_ask_each (const CmAsk *ask, GHashTable *wanted, GPtrArray *outliers);
/* Puts the state before @event into @gap's states, and what of it is unknown among its outliers.
 * @fetched: the event is an ancestor that the server gave when asked. Some servers then cannot tell
 * the state before it, but that after the events before it; who sends an event can tell. */
gboolean cm_ask_state_before (const CmAsk *ask, CmGap *gap, CmEvent *event, gboolean fetched,
                              GError **error);

/* intake-place.c */
/* The state that the events of @ids make (transfer full): those that are stored, of the room, and
 * were not rejected. Another server names what it likes, also events of rooms that are none of its
 * business (class event-auth-cross-room). */
CmStateMap *cm_place_state (CmRooms *rooms, const char *room_id, GPtrArray *ids, GError **error);
/* Stores a gap of @room_id, as one write. */
gboolean cm_gap_store (CmIntake *intake, const char *room_id, CmGap *gap, GError **error);
/* Fetches what @event lacks from @server and stores it all, as one write. */
gboolean cm_intake_place (CmIntake *intake, const char *server, CmRoom *room, CmEvent *event,
                          GError **error);
/* Stores an event of which all ancestors are known; CM_ERROR_FORBIDDEN when it is not accepted.
 * Returns: (transfer full) what stands in the store. */
CmEvent *cm_intake_store (CmIntake *intake, const char *room_id, CmEvent *event, CmStoreFlags flags,
                          GError **error);
/* Whether an event is in the graph. */
gboolean
cm_intake_is_known (CmIntake *intake, const char *event_id, gboolean *known, GError **error);

/* outside.c: an invite or knock of a user of this server in a room that it is not in ends. FALSE
 * with @error when @pdu does not do that. */
gboolean cm_intake_receive_outside (CmIntake *intake, const CmJson *pdu, GError **error);

/* parking.c: events that wait for their ancestors, server by server. */
CmParking *cm_parking_new (CmIntake *intake, GError **error);
void cm_parking_free (CmParking *parking);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmParking, cm_parking_free)
/* Some that @origin sent wait: see to them. */
void cm_parking_wake (CmParking *parking, const char *origin);
/* See to all that wait. */
gboolean cm_parking_wake_all (CmParking *parking, GError **error);

/* handshake.c: rooms that are being joined. */
gboolean
cm_intake_is_joining (CmIntake *intake, const char *room_id, const CmRoomVersion **version);
/* Whether @server may make this node ask once more. */
gboolean cm_intake_spend (CmIntake *intake, const char *server, GError **error);

G_END_DECLS
