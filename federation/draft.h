/* From a draft to an event: what stands before it, what authorises it, whether it is allowed.
 * Inside the room engine only. */
#pragma once

#include "federation/append.h"
#include "federation/room-write.h"

G_BEGIN_DECLS

/* Makes the event of @draft on top of all that @write has, and adds it. (transfer full) the event,
 * or the present state event when @draft changes nothing. CM_ERROR_CONFLICT when an earlier write
 * failed meanwhile; after CM_ERROR_FORBIDDEN @write is as it was. */
CmEvent *
cm_draft_add (CmRoomWrite *write, const CmDraft *draft, CmStoreFlags flags, GError **error);
/* As cm_room_template, but judges nothing. */
CmJsonDoc *cm_draft_compose (CmRoom *room, const CmDraft *draft, GError **error);

G_END_DECLS
