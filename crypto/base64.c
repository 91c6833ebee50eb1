#include "crypto/base64.h"

#include <sodium.h>
#include <string.h>

/* libsodium's codec takes the same time for all data (keys pass through here), and refuses what
 * this header refuses; but version 1.0.18 reads bytes from 0x80 on as the last letter of the
 * alphabet, where char is signed. */

static char *
encode (const guint8 *data, gsize length, int variant)
{
  gsize size = sodium_base64_encoded_len (length, variant);
  char *text = g_malloc (size);
  return sodium_bin2base64 (text, size, data, length, variant);
}

static gboolean
decode (const char *text, int padded, int unpadded, guint8 *out, gsize size, gsize *written)
{
  gsize length = strlen (text);
  int variant = length > 0 && text[length - 1] == '=' ? padded : unpadded;
  return g_str_is_ascii (text) &&
         sodium_base642bin (out, size, text, length, NULL, written, NULL, variant) == 0;
}

static GBytes *
decode_bytes (const char *text, int padded, int unpadded, GError **error)
{
  gsize size = strlen (text) / 4 * 3 + 3;
  g_autofree guint8 *out = g_malloc (size);
  gsize written;

  if (!decode (text, padded, unpadded, out, size, &written)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "Not valid base64");
    return NULL;
  }
  return g_bytes_new_take (g_steal_pointer (&out), written);
}

char *
cm_base64_encode (const guint8 *data, gsize length)
{
  return encode (data, length, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
}

char *
cm_base64url_encode (const guint8 *data, gsize length)
{
  return encode (data, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

GBytes *
cm_base64_decode (const char *text, GError **error)
{
  return decode_bytes (text, sodium_base64_VARIANT_ORIGINAL,
                       sodium_base64_VARIANT_ORIGINAL_NO_PADDING, error);
}

GBytes *
cm_base64url_decode (const char *text, GError **error)
{
  return decode_bytes (text, sodium_base64_VARIANT_URLSAFE,
                       sodium_base64_VARIANT_URLSAFE_NO_PADDING, error);
}

gboolean
cm_base64_decode_exact (const char *text, guint8 *out, gsize size)
{
  gsize written;
  return text != NULL &&
         decode (text, sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
                 out, size, &written) &&
         written == size;
}
