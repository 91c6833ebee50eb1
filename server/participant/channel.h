/* Olm between the participant's device and others' (client-server, "m.olm.v1.curve25519-aes-sha2").
 * All of it under the participant's crypto lock. */
#pragma once

#include "server/participant/peers.h"

G_BEGIN_DECLS

/* Starts sessions with those of @devices (of CmPeerDevice) that there is none with: claims their
 * one-time keys. Devices that have none to give stay without. */
gboolean cm_channel_open (CmParticipant *participant, GPtrArray *devices, GError **error);
/* Starts a session with a device whatever there is, and from then on uses that. */
gboolean cm_channel_renew (CmParticipant *participant, const CmPeerDevice *device, GError **error);

/* (transfer full) the content of the m.room.encrypted that carries (@type, @content) to @device;
 * NULL without @error when there is no session. The session is stored before this returns. */
CmJsonDoc *cm_channel_encrypt (CmParticipant *participant, const CmPeerDevice *device,
                               const char *type, const CmJson *content, GError **error);

/* (transfer full) the payload of an m.room.encrypted to-device event: decrypted, and addressed by
 * and to whom it should be. @sender_key gets the identity key that it came from (borrowed from
 * @event). *@wedged: it is for this device, and no session opens it. */
CmJsonDoc *cm_channel_decrypt (CmParticipant *participant, const CmJson *event,
                               const char **sender_key, gboolean *wedged, GError **error);

G_END_DECLS
