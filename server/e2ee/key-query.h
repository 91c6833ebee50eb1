/* POST /keys/query: whose keys are these, asked of this server, of what is kept of others, and of
 * the others themselves. */
#pragma once

#include "server/http/call.h"

G_BEGIN_DECLS

/* Answers @call for @wanted (checked with cm_key_answer_check). */
CmReply *cm_key_query (CmCall *call, const CmJson *wanted, guint timeout_ms, GError **error);

G_END_DECLS
