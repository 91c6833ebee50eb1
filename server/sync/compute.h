/* From a request to the text of its answer. */
#pragma once

#include "server/sync/answer.h"

G_BEGIN_DECLS

/* (transfer full) the answer as it is now. Blocking. */
CmSyncAnswer *cm_sync_compute (const CmSyncRequest *request, GError **error);
/* (transfer full) its text. May use the database. */
CmReply *cm_sync_write (const CmSyncAnswer *answer, GError **error);

G_END_DECLS
