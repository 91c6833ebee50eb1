/* Signatures that a user adds to keys (client-server, POST /keys/signatures/upload): of the
 * self-signing key on the user's own devices, of those devices on the user's own master key, of the
 * user-signing key on other users' master keys. Each is verified; nothing else is kept. */
#pragma once

#include "crypto/json-writer.h"
#include "server/node.h"

G_BEGIN_DECLS

/**
 * cm_key_signatures_add: stores what is good in @body (user id -> device id or public key -> signed
 * object). Waits for other servers when a user's keys are not kept here.
 * Returns: (transfer full) {"failures": {...}}, or NULL with @error.
 */
CmJsonWriter *
cm_key_signatures_add (CmNode *node, const char *user_id, const CmJson *body, GError **error);

G_END_DECLS
