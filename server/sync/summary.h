/* How many are in a room, and whom a client may name it after. */
#pragma once

#include "server/sync/answer.h"

G_BEGIN_DECLS

/* For the joined rooms of @answer that are new to the client or whose members changed. */
gboolean cm_sync_add_summaries (CmSyncAnswer *answer, GError **error);

G_END_DECLS
