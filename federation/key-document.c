#include "federation/key-document.h"

#include "crypto/base64.h"
#include "crypto/id.h"
#include "crypto/json-writer.h"

void
cm_server_key_free (CmServerKey *key)
{
  g_free (key->key_id);
  g_free (key->public_key);
  g_free (key);
}

gboolean
cm_server_key_is_good (const CmServerKey *key, gint64 when_ms, gint64 now_ms)
{
  if (when_ms == 0)
    return !key->expired && key->valid_until >= now_ms;
  return key->valid_until >= when_ms;
}

static gboolean
is_usable (const char *key_id, const char *public_key)
{
  guint8 bytes[CM_ED25519_PUBLIC_SIZE];

  return g_str_has_prefix (key_id, "ed25519:") && cm_id_is_key (key_id) && public_key != NULL &&
         cm_base64_decode_exact (public_key, bytes, sizeof bytes);
}

static void
add_key (GPtrArray *keys, const char *key_id, const CmJson *entry, gint64 valid_until,
         gboolean expired)
{
  const char *public_key = cm_json_get_text (entry, "key");
  CmServerKey *key;

  if (!is_usable (key_id, public_key) || keys->len >= CM_SERVER_KEYS_MAX)
    return;
  key = g_new0 (CmServerKey, 1);
  key->key_id = g_strdup (key_id);
  key->public_key = g_strdup (public_key);
  key->valid_until = valid_until;
  key->expired = expired;
  g_ptr_array_add (keys, key);
}

static gboolean
is_self_signed (const CmJson *document, const char *server, GPtrArray *keys)
{
  for (guint i = 0; i < keys->len; i++) {
    const CmServerKey *key = keys->pdata[i];

    if (!key->expired && cm_verify_json (document, server, key->key_id, key->public_key, NULL))
      return TRUE;
  }
  return FALSE;
}

GPtrArray *
cm_key_document_read (const CmJson *document, const char *server, gint64 now_ms, GError **error)
{
  g_autoptr (GPtrArray) keys = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_server_key_free);
  gint64 valid_until = cm_json_get_integer (document, "valid_until_ts", -1);
  const char *key_id;
  const CmJson *entry;
  CmJsonIter iter;

  if (g_strcmp0 (cm_json_get_text (document, "server_name"), server) != 0 || valid_until < 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_UNAUTHORIZED, "This is no key document of that server");
    return NULL;
  }
  valid_until = MIN (valid_until, now_ms + CM_KEY_TRUST_MS);
  cm_json_iter_init (&iter, cm_json_get_object (document, "verify_keys"));
  while (cm_json_iter_next (&iter, &key_id, &entry))
    add_key (keys, key_id, entry, valid_until, FALSE);
  cm_json_iter_init (&iter, cm_json_get_object (document, "old_verify_keys"));
  while (cm_json_iter_next (&iter, &key_id, &entry))
    add_key (keys, key_id, entry, MIN (cm_json_get_integer (entry, "expired_ts", -1), now_ms),
             TRUE);
  if (!is_self_signed (document, server, keys)) {
    g_set_error (error, CM_ERROR, CM_ERROR_UNAUTHORIZED, "The key document is not self-signed");
    return NULL;
  }
  return g_steal_pointer (&keys);
}

gboolean
cm_key_document_names (const CmJson *document, const char *key_id)
{
  return cm_json_get (cm_json_get_object (document, "verify_keys"), key_id) != NULL ||
         cm_json_get (cm_json_get_object (document, "old_verify_keys"), key_id) != NULL;
}

static void
put_key (CmJsonWriter *writer, const char *key_id, const char *public_key)
{
  cm_json_open_object (writer, key_id);
  cm_json_put_text (writer, "key", public_key);
}

CmJsonDoc *
cm_key_document_make (const char *server, const CmSigningKey *key, GPtrArray *old, gint64 now_ms,
                      GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_autoptr (CmJsonDoc) plain = NULL;

  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "old_verify_keys");
  for (guint i = 0; old != NULL && i < old->len; i++) {
    const CmServerKey *each = old->pdata[i];

    put_key (writer, each->key_id, each->public_key);
    cm_json_put_integer (writer, "expired_ts", each->valid_until);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_put_text (writer, "server_name", server);
  cm_json_put_integer (writer, "valid_until_ts", now_ms + CM_KEY_TRUST_MS);
  cm_json_open_object (writer, "verify_keys");
  put_key (writer, cm_signing_key_id (key), cm_signing_key_public (key));
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  plain = cm_json_writer_end_doc (writer);
  return cm_sign_json (cm_json_doc_root (plain), server, key, error);
}
