/* Guests of this server in rooms (client-server, "Guest access"): where they may come in, and that
 * they leave when they may no longer be there. */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

/* m.room.guest_access is can_join. */
gboolean cm_guests_may_join (const CmRoomView *view);

/* After @event, an m.room.guest_access: has guests leave who may no longer be there. Blocking. */
gboolean cm_guests_review (CmNode *node, const CmEvent *event, GError **error);

G_END_DECLS
