/* The newest events of rooms as they are shown: those that may be seen, and are wanted. */
#pragma once

#include "schema/db.h"
#include "server/sync/answer.h"

G_BEGIN_DECLS

/* How many rows of each of @rooms (of CmSyncRoom) are to be read. */
gint64 cm_sync_timeline_rows (const CmSyncAnswer *answer, const GPtrArray *rooms);

/* Fills in the timelines of @rooms (of CmSyncRoom) from @rows (see CmSyncRoomsRows), whose first
 * column counts them. end_state must be set. */
gboolean cm_sync_fill_timelines (const CmSyncAnswer *answer, GPtrArray *rooms, const CmRows *rows,
                                 GError **error);

/* Whether the filter and the list of ignored users let @event into a timeline. */
gboolean cm_sync_wants_event (const CmSyncAnswer *answer, const CmEvent *event);
/* Cuts @room's timeline, whose events are all there were in its window, down to the limit, and
 * works out start_state and linear. @position: of the event at the same place in the timeline, of
 * gint64. */
void cm_sync_trim_timeline (const CmSyncAnswer *answer, CmSyncRoom *room, GArray *positions);

G_END_DECLS
