/* What the server does with every event that becomes visible in a room, in the event's own write.
 */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

/* For CmRoomsParts: unread counters and push, the index of relations. */
CmRoomHooks cm_room_hooks (CmNode *node);

G_END_DECLS
