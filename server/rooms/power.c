#include "server/rooms/power.h"

#include "federation/auth-rules.h"

gboolean
cm_room_may_send_state (const CmRoomView *view, const char *user_id, const char *type)
{
  g_autoptr (CmEvent) power = cm_room_state_event (view, "m.room.power_levels", "", NULL);
  g_autoptr (CmEvent) create = cm_room_state_event (view, "m.room.create", "", NULL);

  return cm_room_membership (view, user_id) == CM_MEMBERSHIP_JOIN &&
         cm_power_of_user (power, create, user_id) >= cm_power_to_send (power, type, TRUE);
}
