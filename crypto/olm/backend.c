#include "crypto/olm/backend.h"

#include "crypto/hash.h"

#include <sodium.h>
#include <string.h>

/* Codes that are not listed are faults of ours: buffers too small, too little randomness. */
static const struct {
  CmError code;
  const char *message;
} failures[] = {
  [OLM_BAD_MESSAGE_VERSION] = { CM_ERROR_INVALID_PARAM, "Unknown version of encrypted message" },
  [OLM_BAD_MESSAGE_FORMAT] = { CM_ERROR_INVALID_PARAM, "Malformed encrypted message" },
  [OLM_BAD_MESSAGE_MAC] = { CM_ERROR_FORBIDDEN, "Message was not encrypted for this session" },
  [OLM_BAD_MESSAGE_KEY_ID] = { CM_ERROR_FORBIDDEN, "Message names keys that are not here" },
  [OLM_INVALID_BASE64] = { CM_ERROR_INVALID_PARAM, "Malformed base64" },
  [OLM_BAD_ACCOUNT_KEY] = { CM_ERROR_FORBIDDEN, "Stored keys cannot be read" },
  [OLM_UNKNOWN_PICKLE_VERSION] = { CM_ERROR_FORBIDDEN, "Stored keys are of an unknown version" },
  [OLM_CORRUPTED_PICKLE] = { CM_ERROR_FORBIDDEN, "Stored keys cannot be read" },
  [OLM_BAD_SESSION_KEY] = { CM_ERROR_INVALID_PARAM, "Malformed session key" },
  [OLM_UNKNOWN_MESSAGE_INDEX] = { CM_ERROR_NOT_FOUND, "Message is older than the session key" },
  [OLM_BAD_LEGACY_ACCOUNT_PICKLE] = { CM_ERROR_FORBIDDEN, "Stored keys cannot be read" },
  [OLM_BAD_SIGNATURE] = { CM_ERROR_FORBIDDEN, "Bad signature of an encrypted message" },
  [OLM_PICKLE_EXTRA_DATA] = { CM_ERROR_FORBIDDEN, "Stored keys cannot be read" },
};

gboolean
cm_olm_fail (enum OlmErrorCode code, GError **error)
{
  if ((gsize) code < G_N_ELEMENTS (failures) && failures[code].message != NULL)
    g_set_error_literal (error, CM_ERROR, failures[code].code, failures[code].message);
  else
    g_set_error (error, CM_ERROR, CM_ERROR_UNKNOWN, "Encryption failed (%d)", code);
  return FALSE;
}

gboolean
cm_olm_invalid (GError **error, const char *message)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, message);
  return FALSE;
}

CmSecret *
cm_olm_random (gsize length)
{
  CmSecret *random = cm_secret_new (length);

  cm_random_bytes (random->data, length);
  return random;
}

/* The length of @text without the padding, which has to be whole where there is any. */
static gsize
unpadded_length (const char *text)
{
  gsize length = strlen (text);

  if (length % 4 != 0)
    return length;
  for (int i = 0; i < 2 && length > 0 && text[length - 1] == '='; i++)
    length--;
  return length;
}

CmSecret *
cm_olm_read_base64 (const char *text, CmSecret **bytes, GError **error)
{
  gsize length = unpadded_length (text);
  g_autoptr (CmSecret) found = NULL;
  gsize size;

  if (length == 0 || length / 4 * 3 > CM_OLM_MAX_BYTES) {
    cm_olm_invalid (error, "Encrypted data is empty or too long");
    return NULL;
  }
  found = cm_secret_new (length / 4 * 3 + 3);
  /* libsodium 1.0.18 takes bytes that are not ASCII for letters of the alphabet. */
  if (!g_str_is_ascii (text) ||
      sodium_base642bin (found->data, found->size, text, length, NULL, &size, NULL,
                         sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0) {
    cm_olm_invalid (error, "Malformed base64");
    return NULL;
  }
  found->size = size;
  *bytes = g_steal_pointer (&found);
  return cm_secret_new_copy (text, length);
}

gboolean
cm_olm_is_sound_point (const guint8 point[32])
{
  static const guint8 any_scalar[crypto_scalarmult_SCALARBYTES];
  guint8 product[crypto_scalarmult_BYTES];

  /* X25519 ignores the highest bit: with it, a key would have two spellings. */
  return (point[31] & 0x80) == 0 && crypto_scalarmult (product, any_scalar, point) == 0;
}

CmSecret *
cm_olm_read_curve25519 (const char *key, GError **error)
{
  g_autoptr (CmSecret) point = cm_secret_new (CM_OLM_KEY_SIZE);
  gsize size;

  if (!g_str_is_ascii (key) ||
      sodium_base642bin (point->data, point->size, key, strlen (key), NULL, &size, NULL,
                         sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0 ||
      size != point->size || !cm_olm_is_sound_point (point->data)) {
    cm_olm_invalid (error, "Malformed Curve25519 key");
    return NULL;
  }
  return g_steal_pointer (&point);
}

static char *
whole_context (const char *kind, const char *context)
{
  return g_strdup_printf ("%s/%s", kind, context);
}

GBytes *
cm_olm_seal (CmVault *vault, const char *kind, const char *context, const CmSecret *pickle,
             GError **error)
{
  g_autofree char *whole = whole_context (kind, context);

  return cm_vault_seal (vault, whole, pickle->data, pickle->size, error);
}

CmSecret *
cm_olm_unseal (CmVault *vault, const char *kind, const char *context, GBytes *sealed,
               GError **error)
{
  g_autofree char *whole = whole_context (kind, context);
  g_autoptr (GBytes) pickle = cm_vault_open (vault, whole, sealed, error);

  if (pickle == NULL)
    return NULL;
  return cm_secret_new_copy (g_bytes_get_data (pickle, NULL), g_bytes_get_size (pickle));
}
