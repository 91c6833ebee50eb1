/* Hashes and MACs (OpenSSL), and what compares and makes secrets. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

#define CM_SHA256_SIZE 32

void cm_sha256 (const void *data, gsize length, guint8 digest[CM_SHA256_SIZE]);
/* (transfer full) lower-case hex. */
char *cm_hex (const guint8 *data, gsize length);
void cm_hmac_sha256 (const void *key, gsize key_length, const void *data, gsize length,
                     guint8 digest[32]);
void
cm_hmac_sha1 (const void *key, gsize key_length, const void *data, gsize length, guint8 digest[20]);

/* Constant-time comparison of texts of any length. */
gboolean cm_secret_equal (const char *a, const char *b);

/* Cryptographically random bytes; aborts when the kernel has none. */
void cm_random_bytes (void *out, gsize length);
/* (transfer full) @length random characters of [A-Za-z0-9]. */
char *cm_random_token (gsize length);
/* (transfer full) the SHA-256 of @token as unpadded base64url: what is stored in place of a token.
 */
char *cm_token_hash (const char *token);

G_END_DECLS
