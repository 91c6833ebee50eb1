/* Guests of this server in rooms (client-server, "Guest access"): where they may come in, and that
 * they leave when they may no longer be there. */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"
#include "server/router/lanes.h"

G_BEGIN_DECLS

/* m.room.guest_access is can_join. */
gboolean cm_guests_may_join (const CmRoomView *view);

/* Sees every m.room.guest_access that is committed, whoever sent it, and then looks through the
 * room's guests on the background lane. Made before the node's first write. */
CmGuestWatch *cm_guest_watch_new (CmNode *node);
void cm_guest_watch_free (CmGuestWatch *watch);
/* It sleeps while it has no lanes. */
void cm_guest_watch_set_lanes (CmGuestWatch *watch, CmLanes *lanes);

G_END_DECLS
