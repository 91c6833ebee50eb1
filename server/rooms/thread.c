#include "server/rooms/thread.h"

#include <string.h>

/* "a maximum of 3 hops is recommended to cover indirect relationships" */
#define MAX_HOPS 3

CmEvent *
cm_thread_root (CmRooms *rooms, const CmEvent *event)
{
  g_autoptr (CmEvent) parent = NULL;

  for (guint hop = 0; hop < MAX_HOPS; hop++) {
    const CmEvent *child = parent != NULL ? parent : event;
    const CmJson *relation = cm_json_get_object (child->content, "m.relates_to");
    const char *parent_id = cm_json_get_text (relation, "event_id");
    const char *type = cm_json_get_text (relation, "rel_type");
    g_autoptr (CmEvent) next = parent_id != NULL && type != NULL
                                   ? cm_event_store_find (cm_rooms_events (rooms), parent_id, NULL)
                                   : NULL;
    if (next == NULL || next->room_sym != event->room_sym)
      return NULL;
    if (strcmp (type, "m.thread") == 0)
      return g_steal_pointer (&next);
    CmEvent *before = parent;
    parent = g_steal_pointer (&next);
    g_clear_pointer (&before, cm_event_unref);
  }
  return NULL;
}
