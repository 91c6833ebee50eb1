#include "crypto/hash.h"

#include "crypto/base64.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <sys/random.h>

void
cm_sha256 (const void *data, gsize length, guint8 digest[CM_SHA256_SIZE])
{
  if (EVP_Digest (data, length, digest, NULL, EVP_sha256 (), NULL) != 1)
    g_error ("OpenSSL cannot hash");
}

char *
cm_hex (const guint8 *data, gsize length)
{
  static const char digits[] = "0123456789abcdef";
  char *text = g_malloc (length * 2 + 1);

  for (gsize i = 0; i < length; i++) {
    text[2 * i] = digits[data[i] >> 4];
    text[2 * i + 1] = digits[data[i] & 15];
  }
  text[2 * length] = '\0';
  return text;
}

static void
hmac (const EVP_MD *hash, const void *key, gsize key_length, const void *data, gsize length,
      guint8 *digest)
{
  g_return_if_fail (key_length <= G_MAXINT);
  /* OpenSSL takes a NULL key for "the same as before". */
  if (HMAC (hash, key_length > 0 ? key : "", (int) key_length, data, length, digest, NULL) == NULL)
    g_error ("OpenSSL cannot hash");
}

void
cm_hmac_sha256 (const void *key, gsize key_length, const void *data, gsize length,
                guint8 digest[32])
{
  hmac (EVP_sha256 (), key, key_length, data, length, digest);
}

void
cm_hmac_sha1 (const void *key, gsize key_length, const void *data, gsize length, guint8 digest[20])
{
  hmac (EVP_sha1 (), key, key_length, data, length, digest);
}

gboolean
cm_secret_equal (const char *a, const char *b)
{
  /* Hashed, texts of different lengths are compared in a time that does not tell where they differ.
   */
  guint8 hash_a[CM_SHA256_SIZE], hash_b[CM_SHA256_SIZE];
  if (a == NULL || b == NULL)
    return FALSE;
  cm_sha256 (a, strlen (a), hash_a);
  cm_sha256 (b, strlen (b), hash_b);
  return CRYPTO_memcmp (hash_a, hash_b, sizeof hash_a) == 0;
}

void
cm_random_bytes (void *out, gsize length)
{
  guint8 *at = out;
  while (length > 0) {
    ssize_t n = getrandom (at, length, 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      g_error ("The kernel gives no random bytes: %s", g_strerror (errno));
    at += n;
    length -= (gsize) n;
  }
}

char *
cm_random_token (gsize length)
{
  static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const guint count = sizeof alphabet - 1;
  char *token = g_malloc (length + 1);
  guint8 random[64];
  gsize written = 0;

  while (written < length) {
    cm_random_bytes (random, sizeof random);
    for (gsize i = 0; i < sizeof random && written < length; i++) {
      /* The bytes past the last multiple of 62 would favour the first letters. */
      if (random[i] < 256 / count * count)
        token[written++] = alphabet[random[i] % count];
    }
  }
  token[length] = '\0';
  OPENSSL_cleanse (random, sizeof random);
  return token;
}

char *
cm_token_hash (const char *token)
{
  guint8 digest[CM_SHA256_SIZE];
  cm_sha256 (token, strlen (token), digest);
  return cm_base64url_encode (digest, sizeof digest);
}
