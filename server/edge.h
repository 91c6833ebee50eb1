/* How calls come to a node: listeners, HTTP, the router and the threads that do the work, as steps
 * of node.c. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

gboolean cm_edge_start_lanes (CmNode *node, GError **error);
/* Waits for what runs; a thread that hangs makes the node an abandoned one. */
void cm_edge_stop_lanes (CmNode *node);

gboolean cm_edge_start_limits (CmNode *node, GError **error);
void cm_edge_stop_limits (CmNode *node);

gboolean cm_edge_start_router (CmNode *node, GError **error);
void cm_edge_stop_router (CmNode *node);

gboolean cm_edge_start_http (CmNode *node, GError **error);
void cm_edge_stop_http (CmNode *node);

/* Listeners. The last of these steps: whoever can connect finds the node ready. */
gboolean cm_edge_open (CmNode *node, GError **error);
/* The first to stop: what was accepted is answered while everything that answers is still there. */
void cm_edge_close (CmNode *node);

G_END_DECLS
