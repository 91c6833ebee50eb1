#include "server/participant/participant-private.h"

#include "crypto/hash.h"
#include "crypto/json-writer.h"
#include "federation/fed-client.h"
#include "schema/participant.h"

#include <string.h>

char *
cm_participant_context (const CmParticipant *participant, const char *what)
{
  return g_strdup_printf ("participant:%s:%s", participant->user_id, what);
}

gboolean
cm_participant_store_account (CmParticipant *participant, CmDb *db, GError **error)
{
  g_autofree char *context = cm_participant_context (participant, "account");
  g_autoptr (GBytes) sealed =
      cm_olm_account_seal (participant->account, participant->node->vault, context, error);

  return sealed != NULL &&
         cm_participant_put (db, participant->user_id, participant->device_id, sealed, error);
}

static gboolean
store (CmParticipant *participant, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (participant->node->pool, error);

  return db != NULL && cm_participant_store_account (participant, db, error);
}

/* client-server, "Device keys", signed by the device itself. */
static CmJsonDoc *
device_keys (CmParticipant *participant, GError **error)
{
  g_autofree char *curve_id = g_strdup_printf ("curve25519:%s", participant->device_id);
  g_autofree char *ed_id = g_strdup_printf ("ed25519:%s", participant->device_id);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "user_id", participant->user_id);
  cm_json_put_text (writer, "device_id", participant->device_id);
  cm_json_open_array (writer, "algorithms");
  cm_json_put_text (writer, NULL, "m.olm.v1.curve25519-aes-sha2");
  cm_json_put_text (writer, NULL, "m.megolm.v1.aes-sha2");
  cm_json_close (writer);
  cm_json_open_object (writer, "keys");
  cm_json_put_text (writer, curve_id, cm_olm_account_curve25519 (participant->account));
  cm_json_put_text (writer, ed_id, cm_olm_account_ed25519 (participant->account));
  cm_json_close (writer);
  cm_json_close (writer);
  g_autoptr (CmJsonDoc) plain = cm_json_writer_end_doc (writer);
  return cm_olm_account_sign_json (participant->account, cm_json_doc_root (plain),
                                   participant->user_id, participant->device_id, error);
}

static CmJsonDoc *
signed_key (CmParticipant *participant, const CmOlmPublicKey *key, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "key", key->key);
  if (key->fallback)
    cm_json_put_boolean (writer, "fallback", TRUE);
  cm_json_close (writer);
  g_autoptr (CmJsonDoc) plain = cm_json_writer_end_doc (writer);
  return cm_olm_account_sign_json (participant->account, cm_json_doc_root (plain),
                                   participant->user_id, participant->device_id, error);
}

static gboolean
put_keys (CmParticipant *participant, CmJsonWriter *writer, const char *member, GPtrArray *keys,
          gboolean fallback, GError **error)
{
  cm_json_open_object (writer, member);
  for (guint i = 0; i < keys->len; i++) {
    const CmOlmPublicKey *key = g_ptr_array_index (keys, i);
    if (key->fallback != fallback)
      continue;
    g_autofree char *name = g_strdup_printf ("signed_curve25519:%s", key->id);
    g_autoptr (CmJsonDoc) object = signed_key (participant, key, error);
    if (object == NULL)
      return FALSE;
    cm_json_put_node (writer, name, cm_json_doc_root (object));
  }
  cm_json_close (writer);
  return TRUE;
}

static gboolean
upload (CmParticipant *participant, GPtrArray *keys, GError **error)
{
  g_autoptr (CmJsonDoc) identity = device_keys (participant, error);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (identity == NULL)
    return FALSE;
  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, "device_keys", cm_json_doc_root (identity));
  if (!put_keys (participant, writer, "one_time_keys", keys, FALSE, error) ||
      !put_keys (participant, writer, "fallback_keys", keys, TRUE, error))
    return FALSE;
  cm_json_close (writer);
  g_autoptr (GBytes) body = cm_json_writer_end (writer);
  g_autoptr (CmJsonDoc) answer =
      cm_ask (&participant->asker, "POST", "/_matrix/client/v3/keys/upload", body, error);
  return answer != NULL;
}

gboolean
cm_participant_upload_keys (CmParticipant *participant, gint64 count, gboolean fallback_used,
                            GError **error)
{
  gint64 wanted = (gint64) cm_olm_account_max_one_time_keys (participant->account) / 2;
  g_autoptr (GPtrArray) unpublished = cm_olm_account_unpublished_keys (participant->account, error);

  if (unpublished == NULL)
    return FALSE;
  gint64 held = count + unpublished->len;
  if (held < wanted &&
      !cm_olm_account_generate_one_time_keys (participant->account, (gsize) (wanted - held), error))
    return FALSE;
  if (fallback_used && !cm_olm_account_generate_fallback_key (participant->account, error))
    return FALSE;
  g_ptr_array_unref (unpublished);
  unpublished = cm_olm_account_unpublished_keys (participant->account, error);
  if (unpublished == NULL || !store (participant, error) ||
      !upload (participant, unpublished, error))
    return FALSE;
  cm_olm_account_mark_published (participant->account);
  return store (participant, error);
}

gboolean
cm_participant_send_to_devices (CmParticipant *participant, const char *type,
                                const CmJson *messages, GError **error)
{
  g_autofree char *transaction = cm_random_token (24);
  g_autofree char *path = cm_fed_path ("/_matrix/client/v3/sendToDevice/%s/%s", type, transaction);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (cm_json_length (messages) == 0)
    return TRUE;
  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, "messages", messages);
  cm_json_close (writer);
  g_autoptr (GBytes) body = cm_json_writer_end (writer);
  g_autoptr (CmJsonDoc) answer = cm_ask (&participant->asker, "PUT", path, body, error);
  return answer != NULL;
}
