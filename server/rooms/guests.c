#include "server/rooms/guests.h"

#include "schema/membership.h"
#include "server/rooms/member-content.h"

gboolean
cm_guests_may_join (const CmRoomView *view)
{
  g_autoptr (CmEvent) access = cm_room_state_event (view, "m.room.guest_access", "", NULL);

  return access != NULL &&
         g_strcmp0 (cm_json_get_text (access->content, "guest_access"), "can_join") == 0;
}

static char **
find_guests (CmNode *node, const CmRoomView *view, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  return db != NULL ? cm_membership_guests (db, view->room, error) : NULL;
}

gboolean
cm_guests_review (CmNode *node, const CmEvent *event, GError **error)
{
  g_autoptr (CmRoom) room = cm_rooms_get (node->rooms, event->room_id, error);
  g_autoptr (CmRoomView) view = room != NULL ? cm_room_view (room) : NULL;

  if (view == NULL || cm_guests_may_join (view))
    return view != NULL;
  g_auto (GStrv) guests = find_guests (node, view, error);
  for (gsize i = 0; guests != NULL && guests[i] != NULL; i++)
    if (!cm_member_append_own (node, room, guests[i], "leave", error))
      return FALSE;
  return guests != NULL;
}
