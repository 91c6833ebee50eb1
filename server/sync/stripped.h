/* Rooms that the user is asked into, or asks into: shown by their stripped state. */
#pragma once

#include "schema/db.h"
#include "server/sync/answer.h"

G_BEGIN_DECLS

/* Adds to @answer the rooms of @outside (see CmSyncUserRows), which this node is not in. */
void cm_sync_plan_outside (CmSyncAnswer *answer, const CmRows *outside);

/* Fills in the stripped state of the invites and knocks of rooms that are here; takes away those of
 * ignored users. */
gboolean cm_sync_add_stripped (CmSyncAnswer *answer, GError **error);

G_END_DECLS
