/* This node's own events: made on top of all forward extremities, judged by the room's current
 * state, hashed, signed, committed. */
#pragma once

#include "federation/rooms.h"

G_BEGIN_DECLS

typedef struct {
  const char *type;
  const char *state_key; /* NULL: not a state event */
  const char *sender;    /* a user of this server */
  const CmJson *content;
  const char *redacts;     /* m.room.redaction only; goes where the room version wants it */
  gint64 origin_server_ts; /* 0: now */
  /* Idempotence (client-server, "Transaction identifiers"); all NULL or all set. For single events
   * only: cm_room_append looks past them. */
  const char *txn_device;
  const char *txn_scope;
  const char *txn_id;
} CmDraft;

/* @event is NULL when @error is set (both borrowed). Runs on the committer's thread, on the
 * caller's when there was nothing to wait for, or on that of retries: be short. */
typedef void (*CmAppended) (CmEvent *event, const GError *error, gpointer data);

/* Queues one event; the callback comes when it is committed. A state event that changes nothing
 * (same content by the same sender) gives the present one. */
void cm_room_append_async (CmRoom *room, const CmDraft *draft, CmAppended callback, gpointer data);
/* Appends @count events as one write, each on top of the one before; all or none. (transfer full)
 * the events. @extra: (nullable, transfer full) statements to commit with them; with such, a write
 * that failed because an earlier one did is not tried again (CM_ERROR_UNAVAILABLE). Blocking. */
GPtrArray *
cm_room_append (CmRoom *room, const CmDraft *drafts, gsize count, CmWrite *extra, GError **error);
/* One event, blocking. */
CmEvent *cm_room_append_one (CmRoom *room, const CmDraft *draft, GError **error);

/* What an event of @draft would be, unsigned and unstored: for make_join, make_leave, make_knock
 * (sender is another server's user). Checked against the rules. (transfer full) an object with
 * auth_events, prev_events, depth. */
CmJsonDoc *cm_room_template (CmRoom *room, const CmDraft *draft, GError **error);

/**
 * cm_rooms_create: makes a room: m.room.create of @draft (its state_key "", content with what the
 * client wants), then @drafts, as one write. The room id is made here (of the create's hash in
 * version 12). @extra_func (nullable) adds statements of its own, to run after those that make the
 * room. Returns: (transfer full) the room.
 */
typedef void (*CmCreateExtra) (CmWrite *write, const char *room_id, gint64 room, gpointer data);
CmRoom *cm_rooms_create (CmRooms *rooms, const CmRoomVersion *version, const CmDraft *create,
                         const CmDraft *drafts, gsize count, CmCreateExtra extra_func,
                         gpointer data, GError **error);

/* Signs and builds (unstored) an invite of this server's for a user elsewhere; store it with
 * cm_intake_own once the other server has countersigned. */
CmEvent *cm_room_build (CmRoom *room, const CmDraft *draft, GError **error);

G_END_DECLS
