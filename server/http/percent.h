/* Percent decoding (RFC 3986, 2.1), strict: what does not decode to UTF-8 without NUL is refused.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * cm_percent_decode: decode @length bytes of @text into @out, which needs @length + 1 bytes.
 * @plus: whether '+' means a space, as it does in a query.
 * Returns: the bytes written before the final NUL, or -1 for a broken escape, invalid UTF-8 or NUL.
 */
gssize cm_percent_decode (const char *text, gsize length, gboolean plus, char *out);

G_END_DECLS
