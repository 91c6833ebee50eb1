/* The redaction algorithm ("Redactions" in rooms/v1 to v12): what of an event outlives its
 * redaction, and what signatures and event ids cover. One table serves all room versions. */
#pragma once

#include "crypto/json-writer.h"

G_BEGIN_DECLS

/* Each is named after the first room version that has it. */
typedef enum {
  CM_REDACTION_V1,
  CM_REDACTION_V6,  /* forgets m.room.aliases */
  CM_REDACTION_V8,  /* keeps allow of m.room.join_rules */
  CM_REDACTION_V9,  /* keeps join_authorised_via_users_server of m.room.member */
  CM_REDACTION_V11, /* MSC2174, MSC2175, MSC2176, MSC3820, MSC3821 */
} CmRedaction;

/**
 * cm_redaction_apply: the canonical bytes of the pruned form of @event, an object in canonical
 * order below its top level.
 * @without: (nullable) a top-level member to leave out as well: "signatures" for what is signed or
 * hashed.
 */
GBytes *cm_redaction_apply (CmRedaction redaction, const CmJson *event, const char *without);

G_END_DECLS
