#include "federation/event.h"

#include "crypto/base64.h"
#include "crypto/hash.h"

#include <string.h>

/* @object with a member put before its others: not canonical yet, but no key of @object passes
 * through a C string, which a U+0000 in it would cut. */
static CmJsonDoc *
with_member (GBytes *object, const char *key, const CmJsonDoc *value, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gsize length;
  const char *text = g_bytes_get_data (object, &length);

  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, key, cm_json_doc_root (value));
  cm_json_close (writer);
  g_autofree char *front = cm_json_writer_end_text (writer);
  g_autoptr (GString) whole = g_string_sized_new (length + strlen (front) + 1);
  g_string_append (whole, front);
  if (length > strlen ("{}")) {
    whole->str[whole->len - 1] = ',';
    g_string_append_len (whole, text + 1, (gssize) length - 1);
  }
  return cm_json_parse_object (whole->str, whole->len, error);
}

static CmJsonDoc *
make_hashes (GBytes *bytes)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  guint8 digest[CM_SHA256_SIZE];

  cm_sha256 (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), digest);
  g_autofree char *hash = cm_base64_encode (digest, sizeof digest);
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "sha256", hash);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

/* Writes the signatures that one server made already, then the new one in place of an older one
 * with the same key. */
static void
write_own_signatures (CmJsonWriter *writer, const char *server_name, const CmJson *present,
                      const CmSigningKey *key, const char *signature)
{
  const CmJson *other;
  const char *key_id;
  CmJsonIter iter;

  cm_json_open_object (writer, server_name);
  cm_json_iter_init (&iter, present);
  while (cm_json_iter_next (&iter, &key_id, &other))
    if (strcmp (key_id, cm_signing_key_id (key)) != 0)
      cm_json_put_node (writer, key_id, other);
  cm_json_put_text (writer, cm_signing_key_id (key), signature);
  cm_json_close (writer);
}

/* The signatures of @event (an object, with those it has already, nullable) and ours. */
static CmJsonDoc *
make_signatures (const CmRoomVersion *version, const CmJson *event, const char *server_name,
                 const CmSigningKey *key)
{
  g_autoptr (GBytes) payload = cm_redaction_apply (version->redaction, event, "signatures");
  g_autofree char *signature =
      cm_signing_key_sign (key, g_bytes_get_data (payload, NULL), g_bytes_get_size (payload));
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *present = cm_json_get (event, "signatures");
  const CmJson *by_key;
  const char *server;
  CmJsonIter iter;

  cm_json_open_object (writer, NULL);
  cm_json_iter_init (&iter, present);
  while (cm_json_iter_next (&iter, &server, &by_key))
    if (strcmp (server, server_name) != 0)
      cm_json_put_node (writer, server, by_key);
  write_own_signatures (writer, server_name, cm_json_get (present, server_name), key, signature);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

/* server-server, "Signing Events" */
CmEvent *
cm_event_build (const CmRoomVersion *version, const CmJson *object, const char *server_name,
                const CmSigningKey *key, GError **error)
{
  static const char *const unhashed[] = { "hashes", "signatures", "unsigned", NULL };

  g_autoptr (GBytes) bare = cm_json_canonical (object, unhashed, error);
  if (bare == NULL)
    return NULL;
  g_autoptr (CmJsonDoc) hashes = make_hashes (bare);
  g_autoptr (CmJsonDoc) hashed = with_member (bare, "hashes", hashes, error);
  if (hashed == NULL)
    return NULL;

  g_autoptr (CmJsonDoc) signatures =
      make_signatures (version, cm_json_doc_root (hashed), server_name, key);
  g_autoptr (GBytes) unsealed = cm_json_canonical (cm_json_doc_root (hashed), NULL, error);
  g_autoptr (CmJsonDoc) sealed =
      unsealed != NULL ? with_member (unsealed, "signatures", signatures, error) : NULL;
  if (sealed == NULL)
    return NULL;
  return cm_event_parse (version, cm_json_doc_root (sealed), error);
}

CmEvent *
cm_event_countersign (const CmEvent *event, const char *server_name, const CmSigningKey *key,
                      GError **error)
{
  static const char *const signatures_only[] = { "signatures", NULL };

  g_autoptr (CmJsonDoc) signatures =
      make_signatures (event->version, event->json, server_name, key);
  g_autoptr (GBytes) unsealed = cm_json_canonical (event->json, signatures_only, error);
  g_autoptr (CmJsonDoc) sealed =
      unsealed != NULL ? with_member (unsealed, "signatures", signatures, error) : NULL;
  if (sealed == NULL)
    return NULL;
  return cm_event_parse (event->version, cm_json_doc_root (sealed), error);
}
