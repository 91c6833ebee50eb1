/* The parts of a node by which it talks to other servers: steps of node.c. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

/* Outbound HTTP, for users and for servers, discovery, and the client that signs requests. */
gboolean cm_federation_start_client (CmNode *node, GError **error);
void cm_federation_stop_client (CmNode *node);
/* Ends the requests under way, so that whoever waits for one can stop. */
void cm_federation_stop_calls (CmNode *node);

gboolean cm_federation_start_keys (CmNode *node, GError **error);
void cm_federation_stop_keys (CmNode *node);

/* The outbound queues; none when [federation] is not enabled. They see the last writes of the
 * committer and are freed with it. */
gboolean cm_federation_start_queues (CmNode *node, GError **error);
void cm_federation_stop_queues (CmNode *node);
void cm_federation_free_queues (CmNode *node);

/* The intake; none when [federation] is not enabled. */
gboolean cm_federation_start_intake (CmNode *node, GError **error);
void cm_federation_stop_intake (CmNode *node);

G_END_DECLS
