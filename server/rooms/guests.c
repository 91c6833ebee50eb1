#include "server/rooms/guests.h"

#include "federation/append.h"
#include "schema/membership.h"

#include <string.h>

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

void
cm_guests_review (CmNode *node, CmRoom *room)
{
  static const char leave[] = "{\"membership\":\"leave\"}";
  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) guests = NULL;

  if (cm_guests_may_join (view))
    return;
  guests = find_guests (node, view, &error);
  g_autoptr (CmJsonDoc) content = cm_json_parse (leave, strlen (leave), NULL);
  for (gsize i = 0; error == NULL && guests[i] != NULL; i++) {
    CmDraft draft = { .type = "m.room.member",
                      .state_key = guests[i],
                      .sender = guests[i],
                      .content = cm_json_doc_root (content) };
    g_autoptr (CmEvent) event = cm_room_append_one (room, &draft, &error);
  }
  if (error != NULL)
    g_warning ("Could not have the guests leave %s: %s", view->room_id, error->message);
}
