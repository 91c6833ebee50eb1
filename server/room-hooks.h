/* What the server does with every event that becomes visible in a room, in the event's own write.
 */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

/* For CmRoomsParts: the index of relations. (What is unread the sync hub counts, once the write is
 * committed.) */
CmRoomHooks cm_room_hooks (CmNode *node);

G_END_DECLS
