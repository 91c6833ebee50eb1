/* Megolm in the participant's rooms (client-server, "m.megolm.v1.aes-sha2"). All of it under the
 * participant's crypto lock. */
#pragma once

#include "server/participant/participant-private.h"

G_BEGIN_DECLS

/**
 * cm_room_keys_encrypt: (transfer full) the content of the m.room.encrypted that carries (@type,
 * @content).
 * @settings: content of the room's m.room.encryption, which says how often keys are changed.
 *
 * The session is new when the old one is too old, was used too often, or was given to a device that
 * is no longer in the room; its key is given to all devices of the room's members that lack it,
 * before this returns. Stored before it is used.
 */
CmJsonDoc *
cm_room_keys_encrypt (CmParticipant *participant, const char *room_id, const CmJson *settings,
                      const char *type, const CmJson *content, GError **error);

/* Takes in the m.room_key that @sender's device of @sender_key sent over Olm. */
gboolean cm_room_keys_receive (CmParticipant *participant, const char *sender,
                               const char *sender_key, const CmJson *content, GError **error);

/* (transfer full) the payload of an m.room.encrypted event of @room_id: {type, content, room_id}.
 * CM_ERROR_NOT_FOUND when its key did not come yet; CM_ERROR_FORBIDDEN for a replay or for somebody
 * else's session. */
CmJsonDoc *cm_room_keys_decrypt (CmParticipant *participant, const char *room_id,
                                 const CmJson *event, GError **error);

G_END_DECLS
