#include "server/e2ee/cross-signing.h"

#include "crypto/base64.h"
#include "crypto/ed25519.h"
#include "crypto/json-writer.h"
#include "schema/cross-signing.h"
#include "schema/device-key.h"
#include "schema/device.h"
#include "server/e2ee/device-lists.h"
#include "server/e2ee/signed-key.h"

#include <string.h>

#define MAX_KEY_BYTES 16384

static const struct {
  const char *member;
  const char *usage;
} usages[CM_SIGNING_LAST] = {
  [CM_SIGNING_MASTER] = { "master_key", "master" },
  [CM_SIGNING_SELF] = { "self_signing_key", "self_signing" },
  [CM_SIGNING_USER] = { "user_signing_key", "user_signing" },
};

const char *
cm_signing_usage (CmSigningUsage usage)
{
  return usages[usage].usage;
}

void
cm_signing_upload_clear (CmSigningUpload *upload)
{
  for (gsize i = 0; i < CM_SIGNING_LAST; i++)
    g_clear_pointer (&upload->stored[i], cm_json_doc_unref);
}

static gboolean
fail (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return FALSE;
}

static gboolean
has_usage (const CmJson *key, const char *usage)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_array (key, "usage"));
  while (cm_json_iter_next (&iter, NULL, &item))
    if (g_strcmp0 (cm_json_text (item), usage) == 0)
      return TRUE;
  return FALSE;
}

/* "keys" holds one key, named by its public part. */
static gboolean
check_public (const CmJson *key, GError **error)
{
  const CmJson *keys = cm_json_get_object (key, "keys");
  const char *public_key = cm_signed_key_public (key);
  g_autofree char *key_id = g_strdup_printf ("ed25519:%s", public_key != NULL ? public_key : "");
  guint8 bytes[CM_ED25519_PUBLIC_SIZE];

  return (cm_json_length (keys) == 1 && cm_json_get_text (keys, key_id) != NULL &&
          cm_base64_decode_exact (public_key, bytes, sizeof bytes)) ||
         fail (error, CM_ERROR_INVALID_PARAM,
               "keys must hold one Ed25519 key, named by its public part");
}

static gboolean
check_key (const CmJson *key, CmSigningUsage usage, const char *user_id, GError **error)
{
  if (cm_json_type (key) != CM_JSON_OBJECT)
    return fail (error, CM_ERROR_BAD_JSON, "A cross-signing key must be an object");
  if (g_strcmp0 (cm_json_get_text (key, "user_id"), user_id) != 0)
    return fail (error, CM_ERROR_INVALID_PARAM, "A cross-signing key must be its uploader's");
  if (!has_usage (key, usages[usage].usage))
    return fail (error, CM_ERROR_INVALID_PARAM, "A cross-signing key must tell its usage");
  return check_public (key, error) && cm_signed_key_check (key, MAX_KEY_BYTES, error);
}

static gboolean
read_keys (CmSigningUpload *upload, const CmJson *body, GError **error)
{
  for (gsize i = 0; i < CM_SIGNING_LAST; i++) {
    upload->keys[i] = cm_json_get (body, usages[i].member);
    if (upload->keys[i] != NULL && !check_key (upload->keys[i], i, upload->user_id, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_stored (CmSigningUpload *upload, CmDb *db, GError **error)
{
  char *users[] = { (char *) upload->user_id, NULL };
  g_autoptr (CmRows) rows = cm_cross_signing_keys_find (db, users, error);

  if (rows == NULL)
    return FALSE;
  for (gsize row = 0; row < cm_rows_count (rows); row++) {
    g_autoptr (GBytes) bytes = cm_rows_bytes (rows, row, 2);
    for (gsize i = 0; i < CM_SIGNING_LAST; i++)
      if (strcmp (cm_rows_text (rows, row, 1), usages[i].usage) == 0)
        upload->stored[i] = cm_json_parse_bytes (bytes, NULL);
  }
  return TRUE;
}

static gboolean
verify (const CmJson *object, const char *user_id, const char *public_key, GError **error)
{
  g_autofree char *key_id = g_strdup_printf ("ed25519:%s", public_key);

  return cm_verify_json (object, user_id, key_id, public_key, NULL) ||
         fail (error, CM_ERROR_INVALID_SIGNATURE,
               "A cross-signing key is not signed by the master key");
}

/* What the user's devices are said to have signed of the master key, they have. */
static gboolean
check_device_signatures (const CmSigningUpload *upload, CmDb *db, GError **error)
{
  char *users[] = { (char *) upload->user_id, NULL };
  const CmJson *master = upload->keys[CM_SIGNING_MASTER];
  const CmJson *own = cm_json_get (cm_json_get (master, "signatures"), upload->user_id);

  if (cm_json_length (own) == 0)
    return TRUE;
  g_autoptr (CmRows) rows = cm_device_keys_find (db, users, error);
  for (gsize i = 0; rows != NULL && i < cm_rows_count (rows); i++) {
    g_autofree char *key_id = g_strdup_printf ("ed25519:%s", cm_rows_text (rows, i, 1));
    g_autoptr (GBytes) bytes = cm_rows_bytes (rows, i, 2);
    g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (bytes, NULL);
    const char *public_key =
        cm_json_get_text (cm_json_get (cm_json_doc_root (doc), "keys"), key_id);
    if (cm_json_get (own, key_id) != NULL && public_key != NULL &&
        !cm_verify_json (master, upload->user_id, key_id, public_key, NULL))
      return fail (error, CM_ERROR_INVALID_SIGNATURE,
                   "A device's signature of the master key is wrong");
  }
  return rows != NULL;
}

/* Signatures are filed by device id or public key: one must not pass for the other. */
static gboolean
check_names (const CmSigningUpload *upload, CmDb *db, GError **error)
{
  for (gsize i = 0; i < CM_SIGNING_LAST; i++) {
    GError *failure = NULL;
    if (upload->keys[i] == NULL)
      continue;
    g_autoptr (CmDevice) device =
        cm_device_get (db, upload->user_id, cm_signed_key_public (upload->keys[i]), &failure);
    if (failure != NULL) {
      g_propagate_error (error, failure);
      return FALSE;
    }
    if (device != NULL)
      return fail (error, CM_ERROR_FORBIDDEN, "Key ID in use");
  }
  return TRUE;
}

static gboolean
check_signatures (const CmSigningUpload *upload, CmDb *db, GError **error)
{
  const CmJson *master = upload->keys[CM_SIGNING_MASTER];

  if (master == NULL)
    master = cm_json_doc_root (upload->stored[CM_SIGNING_MASTER]);
  if (master == NULL)
    return fail (error, CM_ERROR_MISSING_PARAM, "There is no master key");
  for (gsize i = CM_SIGNING_SELF; i < CM_SIGNING_LAST; i++)
    if (upload->keys[i] != NULL &&
        !verify (upload->keys[i], upload->user_id, cm_signed_key_public (master), error))
      return FALSE;
  return check_device_signatures (upload, db, error);
}

static gboolean
is_new (const CmSigningUpload *upload, CmSigningUsage usage)
{
  const CmJson *key = upload->keys[usage];

  return key != NULL && !cm_signed_key_same (key, cm_json_doc_root (upload->stored[usage]));
}

static CmSigningChange
find_change (const CmSigningUpload *upload)
{
  if (upload->stored[CM_SIGNING_MASTER] == NULL)
    return CM_SIGNING_FIRST;
  for (gsize i = 0; i < CM_SIGNING_LAST; i++)
    if (is_new (upload, i))
      return CM_SIGNING_REPLACES;
  return CM_SIGNING_NOTHING_NEW;
}

gboolean
cm_signing_upload_read (CmSigningUpload *upload, CmNode *node, const char *user_id,
                        const CmJson *body, GError **error)
{
  cm_signing_upload_clear (upload);
  upload->user_id = user_id;
  if (!read_keys (upload, body, error))
    return FALSE;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (db == NULL || !read_stored (upload, db, error) || !check_signatures (upload, db, error) ||
      !check_names (upload, db, error))
    return FALSE;
  upload->change = find_change (upload);
  return TRUE;
}

static void
put_key (const CmSigningUpload *upload, CmWrite *write, CmSigningUsage usage, GBytes *bytes)
{
  const CmJson *old = cm_json_doc_root (upload->stored[usage]);
  gint64 offset = cm_write_take_positions (write, 1);

  if (old != NULL)
    cm_key_signatures_forget (write, upload->user_id, cm_signed_key_public (old));
  if (usage == CM_SIGNING_MASTER && upload->change == CM_SIGNING_FIRST)
    cm_cross_signing_put_first_master (write, upload->user_id, bytes, offset);
  else
    cm_cross_signing_key_put (write, upload->user_id, usages[usage].usage, bytes, offset);
}

/* What other servers may know: the two keys, as they are when this is stored. */
static gboolean
tell (const CmSigningUpload *upload, CmNode *node, CmWrite *write, GBytes *const *bytes,
      GError **error)
{
  if (bytes[CM_SIGNING_MASTER] != NULL || bytes[CM_SIGNING_SELF] != NULL)
    return cm_device_lists_signing_keys_changed (
        node, write, upload->user_id, bytes[CM_SIGNING_MASTER], bytes[CM_SIGNING_SELF], error);
  cm_write_topic (write, CM_TOPIC_USER, upload->user_id);
  return TRUE;
}

gboolean
cm_signing_upload_store (CmSigningUpload *upload, CmNode *node, CmWrite *write, GError **error)
{
  gboolean new_master = is_new (upload, CM_SIGNING_MASTER);
  GBytes *bytes[CM_SIGNING_LAST] = { NULL };
  gboolean good;

  /* Keys that the old master key signed go with it, unless they are signed anew. */
  if (new_master && upload->change == CM_SIGNING_REPLACES)
    cm_cross_signing_keys_forget (write, upload->user_id);
  for (gsize i = 0; i < CM_SIGNING_LAST; i++) {
    if (!is_new (upload, i) && !(new_master && upload->keys[i] != NULL))
      continue;
    bytes[i] = cm_json_canonical (upload->keys[i], NULL, NULL);
    put_key (upload, write, i, bytes[i]);
  }
  good = tell (upload, node, write, bytes, error);
  for (gsize i = 0; i < CM_SIGNING_LAST; i++)
    g_clear_pointer (&bytes[i], g_bytes_unref);
  return good;
}
