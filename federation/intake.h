/* Events of other servers: one verification for all of them, wherever they came from
 * (server-server, "Checks performed on receipt of a PDU"), then the graph: missing ancestors are
 * fetched within bounds before the room's lock is taken. Everything here is for worker threads. */
#pragma once

#include "federation/fed-client.h"
#include "federation/key-ring.h"
#include "federation/rooms.h"

G_BEGIN_DECLS

typedef struct _CmIntake CmIntake;

typedef struct {
  CmRooms *rooms;
  CmKeyRing *keys;
  CmFedClient *client;
} CmIntakeParts;

/* Begins at once with what the last run left waiting. @parts: the parts stay the caller's. */
CmIntake *cm_intake_new (const CmIntakeParts *parts, GError **error);
/* Waits for what is under way: see cm_outbound_stop. What waits goes on after the next start. */
void cm_intake_free (CmIntake *intake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmIntake, cm_intake_free)

/**
 * cm_intake_verify: format, signatures (of the sender's server, and whoever else must sign),
 * content hash (a mismatch prunes the event).
 *
 * @room_version: of the room it claims to be in. Returns: (transfer full) the event, not stored.
 * Errors: CM_ERROR_FORBIDDEN for a signature, CM_ERROR_BAD_JSON, CM_ERROR_TOO_LARGE.
 */
CmEvent *cm_intake_verify (CmIntake *intake, const CmRoomVersion *version, const CmJson *pdu,
                           GError **error);

/* As cm_intake_verify; but @countersigner, who will sign after this check, need not have signed. */
CmEvent *cm_intake_verify_but (CmIntake *intake, const CmRoomVersion *version, const CmJson *pdu,
                               const char *countersigner, GError **error);

/* One event of a transaction. */
typedef struct {
  const CmJson *json; /* as it came */
  char *event_id;     /* NULL when it could not be worked out */
  GError *error;      /* NULL: taken in, or known, or judged and put aside */
} CmInbound;

void cm_inbound_clear (CmInbound *inbound);

/**
 * cm_intake_receive_all: takes in the events of a transaction of @origin, each on its own.
 *
 * What stands on known events is judged and stored when this returns. What lacks ancestors is kept
 * in the database, and they are fetched afterwards. FALSE when the database failed: then nothing
 * may be acknowledged.
 * @finish: (nullable) adds statements of its own to the last write, when all of @items have their
 * results; more than once when that write must be made anew.
 */
typedef void (*CmInboundFinish) (CmWrite *write, gpointer data);
gboolean cm_intake_receive_all (CmIntake *intake, const char *origin, CmInbound *items, gsize count,
                                CmInboundFinish finish, gpointer data, GError **error);

/**
 * cm_intake_receive: takes in one event that @origin sent, with whatever of its past must be
 * fetched from there, and waits for that.
 *
 * An event that is known already, rejected or soft-failed is no error. CM_ERROR_FORBIDDEN for one
 * that the room's ACL or a bad signature refuses.
 */
gboolean
cm_intake_receive (CmIntake *intake, const char *origin, const CmJson *pdu, GError **error);

/**
 * cm_intake_admit: this server lets another's membership event into @room (send_join, send_leave,
 * send_knock): judged, stored, told to the other servers.
 * @event: verified and not shared yet, all its ancestors known. Returns: (transfer full) the event
 * that stands in the store. CM_ERROR_FORBIDDEN when the rules refuse it.
 */
CmEvent *cm_intake_admit (CmIntake *intake, CmRoom *room, CmEvent *event, GError **error);

/* Goes on with what had to be left waiting in the database, which may be back. Waits for nothing
 * else. */
gboolean cm_intake_look_again (CmIntake *intake, GError **error);

/* Backwards: asks the servers in the room for @limit events before what is known at @position, that
 * of an event; TRUE when something new came. */
gboolean cm_intake_backfill (CmIntake *intake, const char *room_id, gint64 position, guint limit,
                             GError **error);

/* server-server, "Server Access Control Lists": CM_ERROR_FORBIDDEN when the room shuts @server out.
 */
gboolean cm_room_check_acl (const CmRoomView *view, const char *server, GError **error);

/* Whether a room is being joined, so that users may turn up of whom this server has never heard. */
gboolean cm_intake_is_entering (CmIntake *intake);

G_END_DECLS
