/* The devices of those the participant talks with: asked for when they may have changed, and
 * believed only when they signed themselves and are those that were first seen under their ids. */
#pragma once

#include "server/participant/participant-private.h"

G_BEGIN_DECLS

typedef struct {
  char *user_id;
  char *device_id;
  char *curve25519;
  char *ed25519;
} CmPeerDevice;

CmPeers *cm_peers_new (CmParticipant *participant);
void cm_peers_free (CmPeers *peers);

/* The user's devices may have changed: they are asked for again before they are used next. NULL:
 * everybody's. */
void cm_peers_forget (CmPeers *peers, const char *user_id);

/* (transfer full) the devices of all of @user_ids (of char*), of type CmPeerDevice, without the
 * participant's own. */
GPtrArray *cm_peers_devices (CmPeers *peers, GPtrArray *user_ids, GError **error);

G_END_DECLS
