/* Steps of node.c: the queues of inbound transactions. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

gboolean cm_federation_start_inbox (CmNode *node, GError **error);
void cm_federation_stop_inbox (CmNode *node);

G_END_DECLS
