/* The control socket, "control.sock" in the data directory: how commands on this machine reach the
 * running node. Whoever may open the file may command; it is the node's user's alone. One
 * connection carries one command, an object on a line; the answers are objects, a line each. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

typedef struct _CmControl CmControl;

CmControl *cm_control_new (CmNode *node, const char *path, GError **error);
/* Ends connections that are still open. */
void cm_control_free (CmControl *control);

G_END_DECLS
