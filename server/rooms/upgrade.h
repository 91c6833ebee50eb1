/* Room upgrades (client-server, "Room upgrades"): a new room that takes over what matters of an old
 * one, and the old one's tombstone. */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef struct {
  const char *user_id;               /* who upgrades */
  const CmRoomVersion *version;      /* of the new room */
  const CmJson *additional_creators; /* nullable: an array of user ids */
} CmUpgrade;

/* (transfer full) the id of the new room. CM_ERROR_FORBIDDEN for who may not send the tombstone.
 * Blocking. */
char *cm_room_upgrade (CmNode *node, CmRoom *room, const CmUpgrade *upgrade, GError **error);

G_END_DECLS
