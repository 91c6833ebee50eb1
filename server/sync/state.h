/* The state that goes with a timeline: what changed between what the client knows and the start of
 * the timeline ("state"), or its end ("state_after"). */
#pragma once

#include "server/sync/answer.h"

G_BEGIN_DECLS

/* Fills in the state of every joined and left room of @answer. */
gboolean cm_sync_add_state (CmSyncAnswer *answer, GError **error);

G_END_DECLS
