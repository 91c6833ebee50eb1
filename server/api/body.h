/* Members of a request's body, strictly read: absent is one thing, of the wrong type another. */
#pragma once

#include "crypto/json.h"

G_BEGIN_DECLS

/* @text gets a text of at most @max bytes without U+0000 (borrowed), NULL when it is absent or
 * null. FALSE with CM_ERROR_BAD_JSON for another type, CM_ERROR_INVALID_PARAM for another text. */
gboolean
cm_body_text (const CmJson *body, const char *key, gsize max, const char **text, GError **error);
/* As cm_body_text, and CM_ERROR_MISSING_PARAM when it is absent. */
gboolean cm_body_need_text (const CmJson *body, const char *key, gsize max, const char **text,
                            GError **error);
/* @value gets @fallback when it is absent or null. */
gboolean cm_body_boolean (const CmJson *body, const char *key, gboolean fallback, gboolean *value,
                          GError **error);

G_END_DECLS
