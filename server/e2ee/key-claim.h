/* One-time keys are given out, each at most once: to this server's clients (POST /keys/claim, also
 * those of other servers) and to other servers (POST /user/keys/claim). */
#pragma once

#include "server/http/call.h"

G_BEGIN_DECLS

/* Whether @wanted is {user id: {device id: algorithm}}. CM_ERROR_BAD_JSON. */
gboolean cm_key_claim_check (const CmJson *wanted, GError **error);
/* Answers a client's @call for @wanted. */
CmReply *cm_key_claim (CmCall *call, const CmJson *wanted, guint timeout_ms, GError **error);
/* Answers another server's, for the users of this one. */
CmReply *cm_key_claim_here (CmNode *node, const CmJson *wanted, GError **error);

G_END_DECLS
