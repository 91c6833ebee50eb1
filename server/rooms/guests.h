/* Guests of this server in rooms (client-server, "Guest access"). */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

/* m.room.guest_access is can_join. */
gboolean cm_guests_may_join (const CmRoomView *view);

/* After that may have changed: has guests leave who may no longer be there. Blocking. */
void cm_guests_review (CmNode *node, CmRoom *room);

G_END_DECLS
