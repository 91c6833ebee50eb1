#include "server/room-hooks.h"

#include "server/aggregations.h"
#include "server/search-index.h"

static void
event_added (CmWrite *write, gint64 position_offset, const CmEvent *event, const CmRoomView *view,
             gpointer data)
{
  cm_aggregations_event_added (write, event);
  cm_search_index_event_added (write, event);
}

CmRoomHooks
cm_room_hooks (CmNode *node)
{
  return (CmRoomHooks){ .event_added = event_added, .data = node };
}
