#include "server/e2ee/key-signatures.h"

#include "crypto/ed25519.h"
#include "crypto/id.h"
#include "schema/committer.h"
#include "schema/cross-signing.h"
#include "schema/device-key.h"
#include "schema/remote-device.h"
#include "server/config/config.h"
#include "server/e2ee/cross-signing.h"
#include "server/e2ee/device-lists.h"
#include "server/e2ee/remote-keys.h"
#include "server/e2ee/signed-key.h"

#include <string.h>

#define MAX_OBJECT_BYTES 65536
/* For all that are asked together: a body has room for thousands. */
#define FETCH_TIMEOUT_MS 10000

typedef struct {
  CmNode *node;
  const char *user_id;
  CmWrite *write;
  gint64 offset;
  GHashTable *keys;       /* "usage user" or "device <id>" (of the user's own) -> CmJsonDoc */
  CmRows *signatures;     /* what is on the user's own keys */
  CmJsonWriter *failures; /* in the object of @failing */
  const char *failing;    /* the user whose keys are looked at, once one of them has failed */
} Upload;

static const CmJson *
find (const Upload *upload, const char *what, const char *whose)
{
  g_autofree char *name = g_strdup_printf ("%s %s", what, whose);

  return cm_json_doc_root (g_hash_table_lookup (upload->keys, name));
}

static void
remember (Upload *upload, const char *what, const char *whose, const CmRows *rows, gsize row,
          int column)
{
  g_autoptr (GBytes) bytes = cm_rows_bytes (rows, row, column);
  CmJsonDoc *doc = cm_json_parse_bytes (bytes, NULL);

  if (doc != NULL)
    g_hash_table_replace (upload->keys, g_strdup_printf ("%s %s", what, whose), doc);
}

static gboolean
refuse (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return FALSE;
}

/* The signature by @signer ("ed25519:...") with @public_key that @object brings, verified; NULL. */
static const char *
verified (const Upload *upload, const CmJson *object, const char *signer, const char *public_key)
{
  const CmJson *own = cm_json_get (cm_json_get (object, "signatures"), upload->user_id);

  if (public_key == NULL || !cm_verify_json (object, upload->user_id, signer, public_key, NULL))
    return NULL;
  return cm_json_get_text (own, signer);
}

/* By a cross-signing key of the user's own. */
static const char *
verified_by (const Upload *upload, const CmJson *object, CmSigningUsage usage, char **signer)
{
  const char *public_key =
      cm_signed_key_public (find (upload, cm_signing_usage (usage), upload->user_id));

  *signer = g_strdup_printf ("ed25519:%s", public_key != NULL ? public_key : "");
  return verified (upload, object, *signer, public_key);
}

static void
put (const Upload *upload, const char *target_user, const char *target, const char *signer,
     const char *signature)
{
  cm_key_signature_put (upload->write, target_user, target, upload->user_id, signer, signature,
                        upload->offset);
}

/* (transfer full) @key as it is once @signature is stored. */
static CmJsonDoc *
with_signature (const Upload *upload, const CmJson *key, const char *target, const char *signer,
                const char *signature, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_signed_key_put (writer, NULL, key, upload->signatures, upload->user_id, target);
  g_autoptr (CmJsonDoc) signed_key = cm_json_writer_end_doc (writer);
  return cm_add_signature (cm_json_doc_root (signed_key), upload->user_id, signer, signature,
                           error);
}

static gboolean
sign_device (Upload *upload, const char *device_id, const CmJson *object, GError **error)
{
  const CmJson *keys = find (upload, "device", device_id);
  g_autofree char *signer = NULL;
  const char *signature = verified_by (upload, object, CM_SIGNING_SELF, &signer);

  if (!cm_signed_key_same (keys, object))
    return refuse (error, CM_ERROR_INVALID_PARAM, "These are not the keys of that device");
  if (signature == NULL)
    return refuse (error, CM_ERROR_INVALID_SIGNATURE, "The self-signing key has not signed this");
  g_autoptr (CmJsonDoc) now = with_signature (upload, keys, device_id, signer, signature, error);
  g_autoptr (GBytes) bytes =
      now != NULL ? cm_json_canonical (cm_json_doc_root (now), NULL, error) : NULL;
  if (bytes == NULL)
    return FALSE;
  put (upload, upload->user_id, device_id, signer, signature);
  return cm_device_lists_changed (upload->node, upload->write, upload->user_id, device_id, bytes,
                                  error);
}

/* Devices vouch for the master key: for each device that signed it and whose key is known. */
static gboolean
sign_own_master (Upload *upload, const char *public_key, const CmJson *object, GError **error)
{
  const CmJson *own = cm_json_get (cm_json_get (object, "signatures"), upload->user_id);
  g_autoptr (CmJsonDoc) now = NULL;
  CmJsonIter iter;

  cm_json_iter_init (&iter, own);
  while (cm_json_iter_next (&iter, NULL, NULL)) {
    const char *signer = cm_json_text (iter.key);
    if (signer == NULL || !g_str_has_prefix (signer, "ed25519:"))
      continue;
    const CmJson *device = find (upload, "device", signer + strlen ("ed25519:"));
    const char *signature =
        verified (upload, object, signer, cm_json_get_text (cm_json_get (device, "keys"), signer));
    if (signature == NULL)
      continue;
    const CmJson *before =
        now != NULL ? cm_json_doc_root (now) : find (upload, "master", upload->user_id);
    CmJsonDoc *after = with_signature (upload, before, public_key, signer, signature, error);
    if (after == NULL)
      return FALSE;
    g_clear_pointer (&now, cm_json_doc_unref);
    now = after;
    put (upload, upload->user_id, public_key, signer, signature);
  }
  if (now == NULL)
    return refuse (error, CM_ERROR_INVALID_SIGNATURE, "No device of yours has signed this");
  g_autoptr (GBytes) bytes = cm_json_canonical (cm_json_doc_root (now), NULL, error);
  return bytes != NULL && cm_device_lists_signing_keys_changed (
                              upload->node, upload->write, upload->user_id, bytes, NULL, error);
}

static gboolean
sign_other (Upload *upload, const char *user_id, const char *public_key, const CmJson *object,
            GError **error)
{
  g_autofree char *signer = NULL;
  const char *signature = verified_by (upload, object, CM_SIGNING_USER, &signer);

  if (signature == NULL)
    return refuse (error, CM_ERROR_INVALID_SIGNATURE, "The user-signing key has not signed this");
  put (upload, user_id, public_key, signer, signature);
  cm_write_topic (upload->write, CM_TOPIC_USER, upload->user_id);
  return TRUE;
}

static gboolean
sign (Upload *upload, const char *user_id, const char *target, const CmJson *object, GError **error)
{
  const CmJson *master = find (upload, "master", user_id);
  gboolean own = strcmp (user_id, upload->user_id) == 0;

  if (cm_json_type (object) != CM_JSON_OBJECT)
    return refuse (error, CM_ERROR_BAD_JSON, "A signed key must be an object");
  if (!cm_signed_key_check (object, MAX_OBJECT_BYTES, error))
    return FALSE;
  if (own && find (upload, "device", target) != NULL)
    return sign_device (upload, target, object, error);
  if (g_strcmp0 (cm_signed_key_public (master), target) != 0)
    return refuse (error, CM_ERROR_NOT_FOUND, "There is no such key");
  if (!cm_signed_key_same (master, object))
    return refuse (error, CM_ERROR_INVALID_PARAM, "This is not that user's master key");
  return own ? sign_own_master (upload, target, object, error)
             : sign_other (upload, user_id, target, object, error);
}

/* Under the name of @user_id, which stands there from the first failure on: a user without one is
 * not named. */
static void
put_failure (Upload *upload, const char *user_id, const char *target, const GError *failure)
{
  if (upload->failing != user_id)
    cm_json_open_object (upload->failures, user_id);
  upload->failing = user_id;
  cm_json_open_object (upload->failures, target);
  cm_json_put_text (upload->failures, "errcode", cm_error_errcode ((CmError) failure->code));
  cm_json_put_text (upload->failures, "error", failure->message);
  cm_json_close (upload->failures);
}

/* What is wrong with a signature is told; what is wrong with the node ends all. */
static gboolean
sign_all (Upload *upload, const char *user_id, const CmJson *objects, GError **error)
{
  const CmJson *object;
  CmJsonIter iter;

  cm_json_iter_init (&iter, objects);
  while (cm_json_iter_next (&iter, NULL, &object)) {
    const char *target = cm_json_text (iter.key);
    g_autoptr (GError) failure = NULL;
    if (target == NULL)
      continue;
    if (sign (upload, user_id, target, object, &failure))
      continue;
    if (cm_error_status ((CmError) failure->code) >= 500) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
    put_failure (upload, user_id, target, failure);
  }
  if (upload->failing == user_id)
    cm_json_close (upload->failures);
  return TRUE;
}

/* Other servers' users whose keys are not kept here, or not good: they are asked for. */
static gboolean
fetch_missing (CmNode *node, char **user_ids, GError **error)
{
  gint64 end = g_get_monotonic_time () + FETCH_TIMEOUT_MS * G_TIME_SPAN_MILLISECOND;

  for (gsize i = 0; user_ids[i] != NULL; i++) {
    gint64 left_ms = (end - g_get_monotonic_time ()) / G_TIME_SPAN_MILLISECOND;
    gboolean fresh = TRUE;
    gint64 stream_id;
    if (!cm_id_domain_is (user_ids[i], node->server_name)) {
      g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
      if (db == NULL || !cm_remote_list_find (db, user_ids[i], &fresh, &stream_id, error))
        return FALSE;
    }
    /* Without it the signatures on that user's key fail, which is told. */
    if (!fresh && left_ms > 0 && node->config->federation.enabled)
      cm_remote_keys_fetch (node->remote_keys, user_ids[i], (guint) left_ms, NULL);
  }
  return TRUE;
}

static gboolean
read_keys (Upload *upload, char **user_ids, GError **error)
{
  char *self[] = { (char *) upload->user_id, NULL };
  g_autoptr (CmDb) db = cm_pool_get (upload->node->pool, error);
  g_autoptr (CmRows) own = db != NULL ? cm_cross_signing_keys_find (db, self, error) : NULL;
  g_autoptr (CmRows) keys = own != NULL ? cm_cross_signing_keys_find (db, user_ids, error) : NULL;
  g_autoptr (CmRows) devices = keys != NULL ? cm_device_keys_find (db, self, error) : NULL;

  if (devices == NULL)
    return FALSE;
  upload->signatures = cm_key_signatures_find (db, self, NULL, error);
  for (gsize i = 0; i < cm_rows_count (own); i++)
    remember (upload, cm_rows_text (own, i, 1), upload->user_id, own, i, 2);
  for (gsize i = 0; i < cm_rows_count (keys); i++)
    remember (upload, cm_rows_text (keys, i, 1), cm_rows_text (keys, i, 0), keys, i, 2);
  for (gsize i = 0; i < cm_rows_count (devices); i++)
    remember (upload, "device", cm_rows_text (devices, i, 1), devices, i, 2);
  return upload->signatures != NULL;
}

/* (transfer container) the users of @body as a strv of borrowed ids; NULL with @error. */
static GPtrArray *
users_of (const CmJson *body, GError **error)
{
  g_autoptr (GPtrArray) users = g_ptr_array_new ();
  const CmJson *objects;
  CmJsonIter iter;

  cm_json_iter_init (&iter, body);
  while (cm_json_iter_next (&iter, NULL, &objects)) {
    if (!cm_id_is_user (cm_json_text (iter.key)) || cm_json_type (objects) != CM_JSON_OBJECT) {
      refuse (error, CM_ERROR_BAD_JSON, "The body must hold an object for each user id");
      return NULL;
    }
    g_ptr_array_add (users, (gpointer) cm_json_text (iter.key));
  }
  g_ptr_array_add (users, NULL);
  return g_steal_pointer (&users);
}

static CmJsonWriter *
run (Upload *upload, char **user_ids, const CmJson *body, GError **error)
{
  g_autoptr (CmJsonWriter) failures = cm_json_writer_new ();
  g_autoptr (CmWrite) write = cm_write_new ();

  upload->failures = failures;
  upload->write = write;
  upload->offset = cm_write_take_positions (write, 1);
  cm_json_open_object (failures, NULL);
  cm_json_open_object (failures, "failures");
  for (gsize i = 0; user_ids[i] != NULL; i++)
    if (!sign_all (upload, user_ids[i], cm_json_get (body, user_ids[i]), error))
      return NULL;
  cm_json_close (failures);
  cm_json_close (failures);
  if (cm_committer_commit (upload->node->committer, g_steal_pointer (&write), error) < 0)
    return NULL;
  return g_steal_pointer (&failures);
}

CmJsonWriter *
cm_key_signatures_add (CmNode *node, const char *user_id, const CmJson *body, GError **error)
{
  g_autoptr (GPtrArray) users = users_of (body, error);
  Upload upload = { .node = node, .user_id = user_id };
  CmJsonWriter *answer = NULL;

  if (users == NULL || !fetch_missing (node, (char **) users->pdata, error))
    return NULL;
  upload.keys =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) cm_json_doc_unref);
  if (read_keys (&upload, (char **) users->pdata, error))
    answer = run (&upload, (char **) users->pdata, body, error);
  g_hash_table_unref (upload.keys);
  g_clear_pointer (&upload.signatures, cm_rows_free);
  return answer;
}
