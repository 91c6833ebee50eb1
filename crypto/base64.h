/* Strict base64 (RFC 4648 alphabets, no padding on output; on input padding is optional, but
 * length, alphabet and the unused trailing bits must be right, so that one value has one spelling).
 */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

char *cm_base64_encode (const guint8 *data, gsize length);
char *cm_base64url_encode (const guint8 *data, gsize length);
/* (transfer full) the bytes, or NULL with CM_ERROR_INVALID_PARAM. */
GBytes *cm_base64_decode (const char *text, GError **error);
GBytes *cm_base64url_decode (const char *text, GError **error);
/* Decodes exactly @size bytes into @out; FALSE otherwise. */
gboolean cm_base64_decode_exact (const char *text, guint8 *out, gsize size);

G_END_DECLS
