/* What of an event can be searched for. */
#pragma once

#include "federation/event.h"
#include "schema/write.h"

G_BEGIN_DECLS

/* Adds the words of @event to @write, if it has any (CmRoomHooks.event_added, through
 * room-hooks.c). */
void cm_search_index_event_added (CmWrite *write, const CmEvent *event);

G_END_DECLS
