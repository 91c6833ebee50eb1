/* Events of other servers: one verification for all of them, wherever they came from (server-server, "Checks performed on receipt of a PDU"), then the
 * graph: missing ancestors are fetched within bounds before the room's lock is taken. */
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

CmIntake *cm_intake_new (const CmIntakeParts *parts, GError **error);
void cm_intake_free (CmIntake *intake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmIntake, cm_intake_free)

/**
 * cm_intake_verify: format, signatures (of the sender's server, and whoever else must sign), content hash (a mismatch prunes the event).
 * @room_version: of the room it claims to be in. Returns: (transfer full) the event, not stored. Errors: CM_ERROR_FORBIDDEN, CM_ERROR_BAD_JSON.
 */
CmEvent *cm_intake_verify (CmIntake *intake, const CmRoomVersion *version, const CmJson *pdu, GError **error);

/**
 * cm_intake_receive: takes in one event that @origin sent, with whatever of its past must be fetched from there.
 * An event that is known already, rejected or soft-failed is no error. CM_ERROR_FORBIDDEN for one that the room's ACL or a bad signature refuses.
 */
gboolean cm_intake_receive (CmIntake *intake, const char *origin, const CmJson *pdu, GError **error);

/* Backwards: asks the servers in the room for @limit events before what is known at @position; TRUE when something new came. */
gboolean cm_intake_backfill (CmIntake *intake, const char *room_id, gint64 position, guint limit, GError **error);

G_END_DECLS
