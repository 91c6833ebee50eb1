/* Ephemeral data units (server-server, "EDUs"). */
#pragma once

#include "crypto/json.h"
#include "server/node.h"

G_BEGIN_DECLS

/* Takes in one EDU of @origin: whatever of it concerns users that are not @origin's, or a room that
 * shuts @origin out, is dropped, entry by entry (CVE-2024-6301). A bad one costs a line in the log.
 * FALSE when what must not be lost could not be stored: the transaction is to be sent again. */
gboolean
cm_federation_receive_edu (CmNode *node, const char *origin, const CmJson *edu, GError **error);

G_END_DECLS
