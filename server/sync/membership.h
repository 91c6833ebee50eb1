/* Which rooms stand in an answer, and where in them the user's view begins and ends: by every
 * membership he ever had. Pure. */
#pragma once

#include "schema/db.h"
#include "server/sync/answer.h"

G_BEGIN_DECLS

/* Adds to @answer the rooms of @memberships (see CmSyncUserRows), with their windows. All
 * that he is joined to are there: only their events can tell whether anything happened. */
void cm_sync_plan_rooms (CmSyncAnswer *answer, const CmRows *memberships);

G_END_DECLS
