/* What somebody may do in a room by his power, asked beforehand. */
#pragma once

#include "federation/rooms.h"

G_BEGIN_DECLS

/* Whether @user_id is in the room and may send the state event @type. */
gboolean cm_room_may_send_state (const CmRoomView *view, const char *user_id, const char *type);

G_END_DECLS
