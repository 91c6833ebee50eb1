#include "crypto/ed25519.h"

#include "crypto/base64.h"
#include "crypto/hash.h"
#include "crypto/json-writer.h"
#include "crypto/key-file.h"

#include <string.h>

#define SEED_SIZE 32
#define ALGORITHM "ed25519"

struct _CmSigningKey {
  gatomicrefcount refs;
  char *id;
  char *public_key;
  guint8 *secret; /* libsodium's form, in its guarded memory */
};

static void
init_sodium (void)
{
  static gsize done;
  if (g_once_init_enter (&done)) {
    if (sodium_init () < 0)
      g_error ("libsodium does not start");
    g_once_init_leave (&done, 1);
  }
}

/* Server-server, "Publishing Keys": the version of a server's key is [a-zA-Z0-9_]+. */
static gboolean
is_version (const char *text)
{
  for (const char *c = text; *c != '\0'; c++)
    if (!g_ascii_isalnum (*c) && *c != '_')
      return FALSE;
  return text[0] != '\0';
}

static char *
new_version (void)
{
  g_autofree char *random = cm_random_token (4);
  return g_strconcat ("a_", random, NULL);
}

static CmSigningKey *
key_new (char *id, const guint8 *seed)
{
  guint8 public_key[CM_ED25519_PUBLIC_SIZE];
  CmSigningKey *key = g_new0 (CmSigningKey, 1);

  init_sodium ();
  g_atomic_ref_count_init (&key->refs);
  key->id = id;
  key->secret = sodium_malloc (crypto_sign_SECRETKEYBYTES);
  if (key->secret == NULL || crypto_sign_seed_keypair (public_key, key->secret, seed) != 0)
    g_error ("No guarded memory for the signing key");
  sodium_mprotect_readonly (key->secret);
  key->public_key = cm_base64_encode (public_key, sizeof public_key);
  return key;
}

CmSigningKey *
cm_signing_key_generate (void)
{
  guint8 seed[SEED_SIZE];
  g_autofree char *version = new_version ();

  cm_random_bytes (seed, sizeof seed);
  CmSigningKey *key = key_new (g_strconcat (ALGORITHM ":", version, NULL), seed);
  sodium_memzero (seed, sizeof seed);
  return key;
}

CmSigningKey *
cm_signing_key_new (const char *key_id, const guint8 seed[32], GError **error)
{
  if (!g_str_has_prefix (key_id, ALGORITHM ":") || !is_version (key_id + strlen (ALGORITHM ":"))) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "Not the id of an Ed25519 key");
    return NULL;
  }
  return key_new (g_strdup (key_id), seed);
}

/* The text of a new key file. */
static CmKeyText *
make_key_text (void)
{
  const gsize encoded =
      sodium_base64_ENCODED_LEN (SEED_SIZE, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
  g_autofree char *version = new_version ();
  g_autofree char *prefix = g_strconcat (ALGORITHM " ", version, " ", NULL);
  gsize start = strlen (prefix);
  CmKeyText *text = cm_key_text_new (start + encoded + 1);
  guint8 seed[SEED_SIZE];

  cm_random_bytes (seed, sizeof seed);
  memcpy (text, prefix, start);
  sodium_bin2base64 (text + start, encoded, seed, sizeof seed,
                     sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
  memcpy (text + start + encoded - 1, "\n", 2);
  sodium_memzero (seed, sizeof seed);
  return text;
}

/* Cuts "ed25519 VERSION BASE64" and white space behind it apart in place; NULL when @text is
 * anything else. */
static CmSigningKey *
parse_key_text (CmKeyText *text)
{
  char *rest = g_strchomp (text);
  const char *algorithm = strsep (&rest, " ");
  const char *version = strsep (&rest, " ");
  guint8 seed[SEED_SIZE];

  if (version == NULL || rest == NULL || strcmp (algorithm, ALGORITHM) != 0 ||
      !is_version (version) || !cm_base64_decode_exact (rest, seed, sizeof seed))
    return NULL;
  CmSigningKey *key = key_new (g_strconcat (ALGORITHM ":", version, NULL), seed);
  sodium_memzero (seed, sizeof seed);
  return key;
}

CmSigningKey *
cm_signing_key_load_or_create (const char *path, GError **error)
{
  g_autoptr (CmKeyText) text = cm_key_file_load_or_create (path, make_key_text, error);
  if (text == NULL)
    return NULL;

  CmSigningKey *key = parse_key_text (text);
  if (key == NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_CONFIG,
                 "Key file %s: must be one line \"ed25519 VERSION BASE64\"", path);
  return key;
}

CmSigningKey *
cm_signing_key_ref (CmSigningKey *key)
{
  g_atomic_ref_count_inc (&key->refs);
  return key;
}

void
cm_signing_key_unref (CmSigningKey *key)
{
  if (key == NULL || !g_atomic_ref_count_dec (&key->refs))
    return;
  sodium_free (key->secret);
  g_free (key->id);
  g_free (key->public_key);
  g_free (key);
}

const char *
cm_signing_key_id (const CmSigningKey *key)
{
  return key->id;
}

const char *
cm_signing_key_public (const CmSigningKey *key)
{
  return key->public_key;
}

char *
cm_signing_key_sign (const CmSigningKey *key, const void *data, gsize length)
{
  guint8 signature[CM_ED25519_SIGNATURE_SIZE];
  crypto_sign_detached (signature, NULL, data, length, key->secret);
  return cm_base64_encode (signature, sizeof signature);
}

gboolean
cm_ed25519_verify (const char *public_key, const char *signature, const void *data, gsize length)
{
  guint8 key[CM_ED25519_PUBLIC_SIZE], bytes[CM_ED25519_SIGNATURE_SIZE];

  init_sodium ();
  /* libsodium refuses keys and points of small order, and an S that is not below the order of the
   * group. */
  return cm_base64_decode_exact (public_key, key, sizeof key) &&
         cm_base64_decode_exact (signature, bytes, sizeof bytes) &&
         crypto_sign_verify_detached (bytes, data, length, key) == 0;
}

GBytes *
cm_sign_json_payload (const CmJson *object, GError **error)
{
  static const char *const unsigned_members[] = { "signatures", "unsigned", NULL };
  if (cm_json_type (object) != CM_JSON_OBJECT) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "Only a JSON object can be signed");
    return NULL;
  }
  return cm_json_canonical (object, unsigned_members, error);
}

/* Copies the members of @object (nullable), except the one called @without. */
static void
put_members (CmJsonWriter *writer, const CmJson *object, const char *without)
{
  CmJsonIter iter;
  const CmJson *value;

  cm_json_iter_init (&iter, object);
  while (cm_json_iter_next (&iter, NULL, &value)) {
    if (g_strcmp0 (cm_json_text (iter.key), without) != 0)
      cm_json_put_member (writer, iter.key, value);
  }
}

static gboolean
is_object_or_absent (const CmJson *node)
{
  return node == NULL || cm_json_type (node) == CM_JSON_OBJECT;
}

CmJsonDoc *
cm_add_signature (const CmJson *object, const char *entity, const char *key_id,
                  const char *signature, GError **error)
{
  const CmJson *signatures = cm_json_get (object, "signatures");
  if (!is_object_or_absent (signatures) ||
      !is_object_or_absent (cm_json_get (signatures, entity))) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "The signatures must be objects");
    return NULL;
  }

  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  put_members (writer, object, "signatures");
  cm_json_open_object (writer, "signatures");
  put_members (writer, signatures, entity);
  cm_json_open_object (writer, entity);
  put_members (writer, cm_json_get (signatures, entity), key_id);
  cm_json_put_text (writer, key_id, signature);
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);

  g_autoptr (CmJsonDoc) in_text_order = cm_json_writer_end_doc (writer);
  /* What is not covered by the signature may hold any number. */
  g_autoptr (GBytes) bytes = cm_json_canonical_lenient (cm_json_doc_root (in_text_order), NULL);
  return cm_json_parse_bytes (bytes, error);
}

CmJsonDoc *
cm_sign_json (const CmJson *object, const char *server_name, const CmSigningKey *key,
              GError **error)
{
  g_autoptr (GBytes) payload = cm_sign_json_payload (object, error);
  if (payload == NULL)
    return NULL;

  gsize length;
  const void *data = g_bytes_get_data (payload, &length);
  g_autofree char *signature = cm_signing_key_sign (key, data, length);
  return cm_add_signature (object, server_name, key->id, signature, error);
}

static gboolean
forbid (GError **error, const char *entity, const char *what)
{
  g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "The signature of %s %s", entity, what);
  return FALSE;
}

gboolean
cm_verify_json (const CmJson *object, const char *entity, const char *key_id,
                const char *public_key, GError **error)
{
  const CmJson *signatures = cm_json_get (object, "signatures");
  const char *signature = cm_json_get_text (cm_json_get (signatures, entity), key_id);
  if (signature == NULL)
    return forbid (error, entity, "is missing");

  g_autoptr (GBytes) payload = cm_sign_json_payload (object, error);
  if (payload == NULL)
    return FALSE;
  gsize length;
  const void *data = g_bytes_get_data (payload, &length);
  return cm_ed25519_verify (public_key, signature, data, length) ||
         forbid (error, entity, "is wrong");
}
