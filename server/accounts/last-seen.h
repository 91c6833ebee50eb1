/* When and where devices were last seen: noted in memory with each request, written now and then,
 * many at once. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

typedef struct _CmLastSeen CmLastSeen;

CmLastSeen *cm_last_seen_new (CmNode *node);
/* Writes what is noted, then ends. */
void cm_last_seen_free (CmLastSeen *seen);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmLastSeen, cm_last_seen_free)

/* Notes, and starts a write in the background when the last one is a while ago. @agent nullable. */
void cm_last_seen_note (CmLastSeen *seen, const char *user_id, const char *device_id,
                        const char *address, const char *agent);

G_END_DECLS
