/* Which thread of a room an event belongs to (client-server, "Threaded read receipts"). */
#pragma once

#include "federation/rooms.h"

G_BEGIN_DECLS

/* (transfer full) the root of the thread that @event is in; NULL: it is in the main timeline, as
 * roots are. */
CmEvent *cm_thread_root (CmRooms *rooms, const CmEvent *event);

G_END_DECLS
