/* A sealed blob:
 *
 *   0x01 | key number (2 bytes, big endian) | nonce (12) | ciphertext | tag (16)
 *
 * The first three bytes and the caller's context are the associated data. Nonces are random: a key
 * is good for 2^32 blobs (NIST SP 800-38D, 8.3), then add a line to the key file.
 *
 * The key file has one line "vNUMBER BASE64" for each key; the last one seals, all of them open. */
#include "crypto/vault.h"

#include "crypto/base64.h"
#include "crypto/hash.h"
#include "crypto/key-file.h"
#include "crypto/secret.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#define KEY_SIZE    32
#define NONCE_SIZE  12
#define TAG_SIZE    16
#define HEADER_SIZE 3
#define OVERHEAD    (HEADER_SIZE + NONCE_SIZE + TAG_SIZE)
#define FORMAT      1
#define MAX_KEYS    256
/* OpenSSL counts in int. */
#define MAX_DATA_SIZE (1u << 30)

typedef struct {
  guint16 number;
  guint8 bytes[KEY_SIZE];
} Key;

struct _CmVault {
  gatomicrefcount refs;
  EVP_CIPHER *cipher;
  guint n_keys;
  Key *keys; /* guarded memory, which stays out of core dumps */
};

typedef EVP_CIPHER_CTX CipherContext;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CipherContext, EVP_CIPHER_CTX_free)

static const Key *
find_key (const CmVault *vault, guint16 number)
{
  for (guint i = 0; i < vault->n_keys; i++)
    if (vault->keys[i].number == number)
      return &vault->keys[i];
  return NULL;
}

/* Cuts @line apart in place. */
static gboolean
parse_key (char *line, Key *key)
{
  const char *name = strsep (&line, " ");
  guint64 number;

  if (line == NULL || name[0] != 'v' ||
      !g_ascii_string_to_unsigned (name + 1, 10, 1, G_MAXUINT16, &number, NULL))
    return FALSE;
  key->number = number;
  return cm_base64_decode_exact (line, key->bytes, KEY_SIZE) &&
         !sodium_is_zero (key->bytes, KEY_SIZE);
}

/* In place, so that no copy of a key is left behind. */
static gboolean
parse_keys (CmVault *vault, CmKeyText *text)
{
  char *rest = text;
  char *line;

  while ((line = strsep (&rest, "\n")) != NULL) {
    Key key;
    gboolean fine;

    g_strchomp (line);
    if (line[0] == '\0' || line[0] == '#')
      continue;
    fine =
        vault->n_keys < MAX_KEYS && parse_key (line, &key) && find_key (vault, key.number) == NULL;
    if (fine)
      vault->keys[vault->n_keys++] = key;
    sodium_memzero (&key, sizeof key);
    if (!fine)
      return FALSE;
  }
  return vault->n_keys > 0;
}

/* The text of a new key file. */
static CmKeyText *
make_key_text (void)
{
  const gsize encoded = sodium_base64_ENCODED_LEN (KEY_SIZE, sodium_base64_VARIANT_ORIGINAL);
  CmKeyText *text = cm_key_text_new (strlen ("v1 ") + encoded + 1);
  guint8 key[KEY_SIZE];

  cm_random_bytes (key, sizeof key);
  memcpy (text, "v1 ", 3);
  sodium_bin2base64 (text + 3, encoded, key, sizeof key, sodium_base64_VARIANT_ORIGINAL);
  memcpy (text + 3 + encoded - 1, "\n", 2);
  sodium_memzero (key, sizeof key);
  return text;
}

static CmVault *
vault_new (void)
{
  CmVault *vault = g_new0 (CmVault, 1);

  g_atomic_ref_count_init (&vault->refs);
  vault->cipher = EVP_CIPHER_fetch (NULL, "AES-256-GCM", NULL);
  vault->keys = sodium_init () < 0 ? NULL : sodium_allocarray (MAX_KEYS, sizeof (Key));
  if (vault->cipher == NULL || vault->keys == NULL)
    g_error ("No AES-256-GCM, or no guarded memory for its keys");
  return vault;
}

CmVault *
cm_vault_load_or_create (const char *path, GError **error)
{
  g_autoptr (CmKeyText) text = cm_key_file_load_or_create (path, make_key_text, error);
  g_autoptr (CmVault) vault = NULL;

  if (text == NULL)
    return NULL;
  vault = vault_new ();
  if (!parse_keys (vault, text)) {
    g_set_error (error, CM_ERROR, CM_ERROR_CONFIG,
                 "Key file %s: must have lines of the form \"v1 BASE64\" with 32 bytes each", path);
    return NULL;
  }
  sodium_mprotect_readonly (vault->keys);
  return g_steal_pointer (&vault);
}

CmVault *
cm_vault_ref (CmVault *vault)
{
  g_atomic_ref_count_inc (&vault->refs);
  return vault;
}

void
cm_vault_unref (CmVault *vault)
{
  if (!g_atomic_ref_count_dec (&vault->refs))
    return;
  sodium_free (vault->keys);
  EVP_CIPHER_free (vault->cipher);
  g_free (vault);
}

/* Starts GCM with @nonce and feeds the associated data. */
static CipherContext *
cipher_start (CmVault *vault, const Key *key, const guint8 *header, const char *context,
              gboolean sealing)
{
  g_autoptr (CipherContext) cipher = EVP_CIPHER_CTX_new ();
  int written;

  if (cipher == NULL ||
      EVP_CipherInit_ex2 (cipher, vault->cipher, key->bytes, header + HEADER_SIZE, sealing, NULL) !=
          1 ||
      EVP_CipherUpdate (cipher, NULL, &written, header, HEADER_SIZE) != 1 ||
      EVP_CipherUpdate (cipher, NULL, &written, (const guint8 *) context, strlen (context)) != 1)
    return NULL;
  return g_steal_pointer (&cipher);
}

GBytes *
cm_vault_seal (CmVault *vault, const char *context, const void *data, gsize length, GError **error)
{
  const Key *key = &vault->keys[vault->n_keys - 1];
  g_autoptr (CipherContext) cipher = NULL;
  g_autofree guint8 *sealed = NULL;
  guint8 *body;
  int written = 0;
  int last = 0;

  if (length > MAX_DATA_SIZE || strlen (context) > MAX_DATA_SIZE) {
    g_set_error (error, CM_ERROR, CM_ERROR_TOO_LARGE, "Too large to be sealed");
    return NULL;
  }
  sealed = g_malloc (length + OVERHEAD);
  sealed[0] = FORMAT;
  sealed[1] = key->number >> 8;
  sealed[2] = key->number & 0xff;
  cm_random_bytes (sealed + HEADER_SIZE, NONCE_SIZE);
  body = sealed + HEADER_SIZE + NONCE_SIZE;

  cipher = cipher_start (vault, key, sealed, context, TRUE);
  if (cipher == NULL ||
      (length > 0 && EVP_CipherUpdate (cipher, body, &written, data, length) != 1) ||
      EVP_CipherFinal_ex (cipher, body + written, &last) != 1 ||
      EVP_CIPHER_CTX_ctrl (cipher, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, body + length) != 1) {
    g_set_error (error, CM_ERROR, CM_ERROR_UNKNOWN, "Sealing failed");
    return NULL;
  }
  return g_bytes_new_take (g_steal_pointer (&sealed), length + OVERHEAD);
}

static GBytes *
forged (GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "Sealed data does not belong here");
  return NULL;
}

GBytes *
cm_vault_open (CmVault *vault, const char *context, GBytes *sealed, GError **error)
{
  gsize length;
  const guint8 *header = g_bytes_get_data (sealed, &length);
  g_autoptr (CipherContext) cipher = NULL;
  g_autoptr (CmSecret) text = NULL;
  const guint8 *body;
  const Key *key;
  int written = 0;
  int last = 0;

  if (length < OVERHEAD || length - OVERHEAD > MAX_DATA_SIZE || strlen (context) > MAX_DATA_SIZE ||
      header[0] != FORMAT)
    return forged (error);
  key = find_key (vault, header[1] << 8 | header[2]);
  if (key == NULL)
    return forged (error);

  length -= OVERHEAD;
  body = header + HEADER_SIZE + NONCE_SIZE;
  text = cm_secret_new (length);
  cipher = cipher_start (vault, key, header, context, FALSE);
  if (cipher == NULL ||
      (length > 0 && EVP_CipherUpdate (cipher, text->data, &written, body, length) != 1) ||
      EVP_CIPHER_CTX_ctrl (cipher, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, (void *) (body + length)) !=
          1 ||
      EVP_CipherFinal_ex (cipher, text->data + written, &last) != 1)
    return forged (error);
  return cm_secret_to_bytes (g_steal_pointer (&text), length);
}
