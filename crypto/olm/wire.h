/* The shape of encrypted messages, checked before libolm sees them: it follows a null pointer when
 * a pre-key message names no identity key, so that anybody could stop the node. Only what all
 * implementations write is let through: each field once, in order of its number, with nothing
 * between them and nothing behind. */
#pragma once

#include "crypto/secret.h"

G_BEGIN_DECLS

#define CM_OLM_KEY_SIZE 32

/* The keys in a pre-key message, pointing into it. */
typedef struct {
  const guint8 *one_time_key;
  const guint8 *base_key;
  const guint8 *identity_key;
} CmOlmPreKey;

gboolean cm_olm_wire_is_pre_key (const CmSecret *message, CmOlmPreKey *keys);
gboolean cm_olm_wire_is_message (const CmSecret *message);
gboolean cm_olm_wire_is_group_message (const CmSecret *message);

G_END_DECLS
