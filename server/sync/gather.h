/* The answer as the database gives it: for a client that comes for the first time, that was away,
 * or whom more concerns than the newest messages of his rooms. */
#pragma once

#include "server/sync/answer.h"

G_BEGIN_DECLS

/* Everything from the request's since to the cut that @answer was made for. */
gboolean cm_sync_gather (CmSyncAnswer *answer, GError **error);

G_END_DECLS
