/* What other servers tell about encryption: messages to devices, changed devices, changed
 * cross-signing keys. */
#pragma once

#include "crypto/json.h"
#include "server/node.h"

G_BEGIN_DECLS

/**
 * cm_e2ee_receive_edu: takes in one EDU of @origin, whose signature was checked.
 *
 * @type: m.direct_to_device, m.device_list_update or m.signing_key_update; others are passed over.
 * @content: its "content", of any shape; nullable. What is malformed, or tells of a user who is not
 * @origin's, is dropped and TRUE returned: it would be no better the next time.
 * Returns: FALSE with @error when it could not be stored: the transaction must fail, to be sent
 * again. Waits for the committer: no room lock and no connection may be held.
 */
gboolean cm_e2ee_receive_edu (CmNode *node, const char *origin, const char *type,
                              const CmJson *content, GError **error);

G_END_DECLS
