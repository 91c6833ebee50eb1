/* The Megolm sessions of the participant's rooms, sealed in the database: the one that it writes
 * with in a room, and those that it reads with. Under the participant's crypto lock. */
#pragma once

#include "crypto/megolm/inbound.h"
#include "crypto/megolm/outbound.h"
#include "server/participant/participant-private.h"
#include "server/participant/peers.h"

G_BEGIN_DECLS

typedef struct {
  CmMegolmOutbound *session;
  GHashTable *shared; /* a set of "user\ndevice": who has the key */
} CmRoomOutbound;

void cm_room_outbound_free (CmRoomOutbound *outbound);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmRoomOutbound, cm_room_outbound_free)

/* A new session, of which the participant keeps the reading side too: it may want to read what it
 * said. Stored. */
CmRoomOutbound *
cm_room_outbound_new (CmParticipant *participant, CmDb *db, const char *room_id, GError **error);
/* NULL without @error when there is none, or none that opens. */
CmRoomOutbound *
cm_room_outbound_load (CmParticipant *participant, CmDb *db, const char *room_id, GError **error);
gboolean cm_room_outbound_store (CmParticipant *participant, CmDb *db, const char *room_id,
                                 const CmRoomOutbound *outbound, GError **error);

/* Whoever left, and every device that is gone, must not read on: TRUE when one that is not among
 * @devices (of CmPeerDevice) has the key. */
gboolean cm_room_outbound_is_with_others (const CmRoomOutbound *outbound, GPtrArray *devices);
/* (transfer container) those of @devices that do not have it. */
GPtrArray *cm_room_outbound_lacking (const CmRoomOutbound *outbound, GPtrArray *devices);
/* @device has the key now; to be stored. */
void cm_room_outbound_give (CmRoomOutbound *outbound, const CmPeerDevice *device);

gboolean cm_room_inbound_store (CmParticipant *participant, CmDb *db, const char *room_id,
                                const char *sender, const char *sender_key,
                                CmMegolmInbound *session, GError **error);
/* CM_ERROR_NOT_FOUND when there is none yet; CM_ERROR_FORBIDDEN when it is not @sender's. */
CmMegolmInbound *cm_room_inbound_load (CmParticipant *participant, CmDb *db, const char *room_id,
                                       const char *session_id, const char *sender, GError **error);

G_END_DECLS
