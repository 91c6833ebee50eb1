#include "server/e2ee/key-upload.h"

#include "crypto/base64.h"
#include "crypto/ed25519.h"
#include "crypto/id.h"
#include "crypto/json-writer.h"
#include "schema/cross-signing.h"
#include "schema/device-key.h"
#include "server/e2ee/device-lists.h"
#include "server/e2ee/signed-key.h"

#include <string.h>

#define MAX_KEYS_PER_UPLOAD 1000
#define MAX_ONE_TIME_KEYS   5000
#define MAX_KEY_BYTES       4096
#define MAX_IDENTITY_BYTES  16384

static gboolean
bad (GError **error, const char *message)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, message);
  return FALSE;
}

static gboolean
invalid (GError **error, const char *message)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, message);
  return FALSE;
}

/* The device's own Ed25519 key, which signs all the rest; NULL when the identity keys name none. */
static const char *
signing_key (const CmJson *device_keys, const char *device_id)
{
  g_autofree char *key_id = g_strdup_printf ("ed25519:%s", device_id);

  return cm_json_get_text (cm_json_get (device_keys, "keys"), key_id);
}

/* Without such a key there is nothing that a signature could be checked with. */
static gboolean
is_ed25519 (const char *public_key)
{
  guint8 bytes[CM_ED25519_PUBLIC_SIZE];

  return cm_base64_decode_exact (public_key, bytes, sizeof bytes);
}

/* A signature of the device's that is there must be right; one that is missing, or by a key that is
 * none, is for other clients to judge: it lets nobody be impersonated. */
static gboolean
check_signature (const CmKeyUpload *upload, const CmJson *object, const char *public_key,
                 GError **error)
{
  g_autofree char *key_id = g_strdup_printf ("ed25519:%s", upload->device_id);
  const CmJson *signatures = cm_json_get (object, "signatures");

  if (cm_json_get (cm_json_get (signatures, upload->user_id), key_id) == NULL)
    return TRUE;
  if (public_key != NULL && (!is_ed25519 (public_key) ||
                             cm_verify_json (object, upload->user_id, key_id, public_key, NULL)))
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_SIGNATURE, "A key's signature is wrong");
  return FALSE;
}

static gboolean
check_device_keys (const CmKeyUpload *upload, GError **error)
{
  const CmJson *keys = upload->device_keys;
  const CmJson *algorithms = cm_json_get (keys, "algorithms");

  if (g_strcmp0 (cm_json_get_text (keys, "user_id"), upload->user_id) != 0 ||
      g_strcmp0 (cm_json_get_text (keys, "device_id"), upload->device_id) != 0)
    return invalid (error, "device_keys must be of the device that uploads them");
  if (cm_json_get_object (keys, "keys") == NULL || cm_json_type (algorithms) != CM_JSON_ARRAY ||
      cm_json_get_object (keys, "signatures") == NULL)
    return bad (error, "device_keys must hold algorithms (an array), keys and signatures");
  if (!cm_signed_key_check_texts (cm_json_get (keys, "keys"), error) ||
      !cm_signed_key_check_texts (algorithms, error) ||
      !cm_signed_key_check (keys, MAX_IDENTITY_BYTES, error))
    return FALSE;
  return check_signature (upload, keys, signing_key (keys, upload->device_id), error);
}

/* "algorithm:id" -> the key, as text (unsigned algorithms) or as an object that holds it. */
static gboolean
check_key_shape (const char *name, const CmJson *key, GError **error)
{
  const char *colon = name != NULL ? strchr (name, ':') : NULL;

  if (colon == NULL || colon == name || colon[1] == '\0' || strlen (name) > CM_ID_MAX_BYTES)
    return bad (error, "Keys must be named algorithm:id");
  if (cm_json_text (key) == NULL && cm_json_get_text (key, "key") == NULL)
    return bad (error, "A key must be a string, or an object that holds one");
  return cm_signed_key_check (key, MAX_KEY_BYTES, error);
}

static gboolean
check_keys (const CmJson *keys, GError **error)
{
  const CmJson *key;
  CmJsonIter iter;

  if (cm_json_length (keys) > MAX_KEYS_PER_UPLOAD)
    return invalid (error, "Too many keys at once");
  cm_json_iter_init (&iter, keys);
  while (cm_json_iter_next (&iter, NULL, &key))
    if (!check_key_shape (cm_json_text (iter.key), key, error))
      return FALSE;
  return TRUE;
}

static gboolean
take_object (const CmJson *body, const char *key, const CmJson **object, GError **error)
{
  const CmJson *node = cm_json_get (body, key);
  CmJsonType type = cm_json_type (node);

  *object = type == CM_JSON_OBJECT ? node : NULL;
  return type == CM_JSON_OBJECT || type == CM_JSON_ABSENT ||
         bad (error, "Keys must be uploaded as objects");
}

gboolean
cm_key_upload_read (CmKeyUpload *upload, const char *user_id, const char *device_id,
                    const CmJson *body, GError **error)
{
  *upload = (CmKeyUpload){ .user_id = user_id, .device_id = device_id };
  if (!take_object (body, "device_keys", &upload->device_keys, error) ||
      !take_object (body, "one_time_keys", &upload->one_time_keys, error) ||
      !take_object (body, "fallback_keys", &upload->fallback_keys, error))
    return FALSE;
  return (upload->device_keys == NULL || check_device_keys (upload, error)) &&
         check_keys (upload->one_time_keys, error) && check_keys (upload->fallback_keys, error);
}

gboolean
cm_key_upload_is_empty (const CmKeyUpload *upload)
{
  return upload->device_keys == NULL && cm_json_length (upload->one_time_keys) == 0 &&
         cm_json_length (upload->fallback_keys) == 0;
}

/* The identity keys that are stored: NULL without @error when there are none. */
static CmJsonDoc *
stored_device_keys (const CmKeyUpload *upload, CmDb *db, GError **error)
{
  g_autoptr (CmRows) rows = cm_device_key_find (db, upload->user_id, upload->device_id, error);

  if (rows == NULL || cm_rows_count (rows) == 0)
    return NULL;
  g_autoptr (GBytes) bytes = cm_rows_bytes (rows, 0, 0);
  return cm_json_parse_bytes (bytes, error);
}

/* Who signs keys of a batch must be the device: by the identity keys of this upload, or those that
 * are stored. */
static gboolean
check_batch (const CmKeyUpload *upload, const CmJson *keys, const CmJson *identity, GError **error)
{
  const char *public_key = signing_key (identity, upload->device_id);
  const CmJson *key;
  CmJsonIter iter;

  cm_json_iter_init (&iter, keys);
  while (cm_json_iter_next (&iter, NULL, &key))
    if (!check_signature (upload, key, public_key, error))
      return FALSE;
  return TRUE;
}

static const char *
id_of (const char *name)
{
  return strchr (name, ':') + 1;
}

/* "algorithm:id" (owned) -> GBytes of the one-time keys stored under the ids of this upload. */
static GHashTable *
stored_one_time_keys (const CmKeyUpload *upload, CmDb *db, GError **error)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  CmJsonIter iter;

  cm_json_iter_init (&iter, upload->one_time_keys);
  while (cm_json_iter_next (&iter, NULL, NULL))
    g_strv_builder_add (builder, id_of (cm_json_text (iter.key)));
  g_auto (GStrv) ids = g_strv_builder_end (builder);
  g_autoptr (CmRows) rows =
      cm_one_time_keys_find (db, upload->user_id, upload->device_id, ids, error);
  if (rows == NULL)
    return NULL;
  GHashTable *stored =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_bytes_unref);
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_hash_table_insert (
        stored, g_strdup_printf ("%s:%s", cm_rows_text (rows, i, 0), cm_rows_text (rows, i, 1)),
        cm_rows_bytes (rows, i, 2));
  return stored;
}

/* A device that hoards keys would fill the database. */
static gboolean
check_room_for_more (const CmKeyUpload *upload, CmDb *db, GError **error)
{
  g_autoptr (CmRows) counts =
      cm_one_time_keys_count (db, upload->user_id, upload->device_id, error);
  gint64 total = (gint64) cm_json_length (upload->one_time_keys);

  if (counts == NULL)
    return FALSE;
  for (gsize i = 0; i < cm_rows_count (counts); i++)
    total += cm_rows_integer (counts, i, 1);
  return total <= MAX_ONE_TIME_KEYS || invalid (error, "The device has too many one-time keys");
}

typedef void (*PutKey) (CmWrite *write, const char *user_id, const char *device_id,
                        const char *algorithm, const char *key_id, GBytes *key);

static gboolean
put_key (const CmKeyUpload *upload, CmWrite *write, const char *name, const CmJson *key,
         GHashTable *stored, PutKey put, GError **error)
{
  g_autofree char *algorithm = g_strndup (name, (gsize) (id_of (name) - 1 - name));
  g_autoptr (GBytes) bytes = cm_json_canonical (key, NULL, error);
  GBytes *present = stored != NULL ? g_hash_table_lookup (stored, name) : NULL;

  if (bytes == NULL)
    return FALSE;
  if (present != NULL && !g_bytes_equal (present, bytes))
    return invalid (error, "Another one-time key has this id");
  put (write, upload->user_id, upload->device_id, algorithm, id_of (name), bytes);
  return TRUE;
}

static gboolean
put_keys (const CmKeyUpload *upload, CmWrite *write, const CmJson *keys, GHashTable *stored,
          PutKey put, GError **error)
{
  const CmJson *key;
  CmJsonIter iter;

  cm_json_iter_init (&iter, keys);
  while (cm_json_iter_next (&iter, NULL, &key))
    if (!put_key (upload, write, cm_json_text (iter.key), key, stored, put, error))
      return FALSE;
  return TRUE;
}

static gboolean
put_device_keys (const CmKeyUpload *upload, CmNode *node, CmWrite *write, const CmJson *present,
                 GError **error)
{
  if (upload->device_keys == NULL ||
      (present != NULL && cm_json_equal (present, upload->device_keys)))
    return TRUE;
  g_autoptr (GBytes) bytes = cm_json_canonical (upload->device_keys, NULL, error);
  if (bytes == NULL)
    return FALSE;
  if (present != NULL &&
      !cm_json_equal (cm_json_get (present, "keys"), cm_json_get (upload->device_keys, "keys")))
    cm_key_signatures_forget (write, upload->user_id, upload->device_id);
  cm_device_keys_put (write, upload->user_id, upload->device_id, bytes,
                      cm_write_take_positions (write, 1));
  return cm_device_lists_changed (node, write, upload->user_id, upload->device_id, bytes, error);
}

gboolean
cm_key_upload_store (const CmKeyUpload *upload, CmNode *node, CmWrite *write, GError **error)
{
  g_autoptr (CmJsonDoc) present = NULL;
  g_autoptr (GHashTable) stored = NULL;
  GError *local = NULL;

  {
    g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
    if (db == NULL)
      return FALSE;
    present = stored_device_keys (upload, db, &local);
    if (local != NULL) {
      g_propagate_error (error, local);
      return FALSE;
    }
    stored = stored_one_time_keys (upload, db, error);
    if (stored == NULL || !check_room_for_more (upload, db, error))
      return FALSE;
  }
  const CmJson *known = cm_json_doc_root (present);
  const CmJson *identity = upload->device_keys != NULL ? upload->device_keys : known;
  return check_batch (upload, upload->one_time_keys, identity, error) &&
         check_batch (upload, upload->fallback_keys, identity, error) &&
         put_device_keys (upload, node, write, known, error) &&
         put_keys (upload, write, upload->one_time_keys, stored, cm_one_time_key_put, error) &&
         put_keys (upload, write, upload->fallback_keys, NULL, cm_fallback_key_put, error);
}
