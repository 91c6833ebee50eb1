#include "server/participant/channel.h"

#include "crypto/ed25519.h"
#include "crypto/json-writer.h"
#include "crypto/olm/session.h"
#include "schema/participant.h"

#include <string.h>

#define OLM "m.olm.v1.curve25519-aes-sha2"

static gboolean
refuse (GError **error, const char *message)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, message);
  return FALSE;
}

static char *
session_context (const CmParticipant *participant, const char *peer_key)
{
  g_autofree char *what = g_strdup_printf ("olm:%s", peer_key);

  return cm_participant_context (participant, what);
}

static gboolean
store_session (CmParticipant *participant, CmDb *db, const char *peer_key, CmOlmSession *session,
               GError **error)
{
  g_autofree char *context = session_context (participant, peer_key);
  g_autoptr (GBytes) sealed =
      cm_olm_session_seal (session, participant->node->vault, context, error);

  return sealed != NULL &&
         cm_participant_put_olm_session (db, peer_key, cm_olm_session_id (session), sealed, error);
}

/* (transfer full) the sessions with a device, the one used last first; those that do not open are
 * left out. */
static GPtrArray *
load_sessions (CmParticipant *participant, CmDb *db, const char *peer_key, GError **error)
{
  g_autofree char *context = session_context (participant, peer_key);
  g_autoptr (CmRows) rows = cm_participant_olm_sessions (db, peer_key, error);

  if (rows == NULL)
    return NULL;
  GPtrArray *sessions = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_olm_session_free);
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    g_autoptr (GBytes) sealed = cm_rows_bytes (rows, i, 0);
    CmOlmSession *session = cm_olm_session_open (participant->node->vault, context, sealed, NULL);
    if (session != NULL)
      g_ptr_array_add (sessions, session);
  }
  return sessions;
}

static CmJsonDoc *
claim_keys (CmParticipant *participant, GPtrArray *devices, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const char *user_id = NULL;

  /* Devices of one user stand together. */
  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "one_time_keys");
  for (guint i = 0; i < devices->len; i++) {
    const CmPeerDevice *device = g_ptr_array_index (devices, i);
    if (g_strcmp0 (user_id, device->user_id) != 0) {
      if (user_id != NULL)
        cm_json_close (writer);
      user_id = device->user_id;
      cm_json_open_object (writer, user_id);
    }
    cm_json_put_text (writer, device->device_id, "signed_curve25519");
  }
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  g_autoptr (GBytes) body = cm_json_writer_end (writer);
  return cm_ask (&participant->asker, "POST", "/_matrix/client/v3/keys/claim", body, error);
}

/* The claimed key of a device, when the device signed it. */
static const char *
claimed_key (const CmPeerDevice *device, const CmJson *answer)
{
  const CmJson *by_user = cm_json_get (cm_json_get (answer, "one_time_keys"), device->user_id);
  g_autofree char *key_id = g_strdup_printf ("ed25519:%s", device->device_id);
  const CmJson *key = NULL;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_object (by_user, device->device_id));
  if (!cm_json_iter_next (&iter, NULL, &key) ||
      !cm_verify_json (key, device->user_id, key_id, device->ed25519, NULL))
    return NULL;
  return cm_json_get_text (key, "key");
}

static gboolean
start_session (CmParticipant *participant, CmDb *db, const CmPeerDevice *device, const char *key,
               GError **error)
{
  g_autoptr (CmOlmSession) session =
      cm_olm_session_new_outbound (participant->account, device->curve25519, key, error);

  return session != NULL && store_session (participant, db, device->curve25519, session, error);
}

static GPtrArray *
without_session (CmParticipant *participant, GPtrArray *devices, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (participant->node->pool, error);
  g_autoptr (GPtrArray) found = g_ptr_array_new ();

  for (guint i = 0; db != NULL && i < devices->len; i++) {
    const CmPeerDevice *device = g_ptr_array_index (devices, i);
    g_autoptr (CmRows) rows = cm_participant_olm_sessions (db, device->curve25519, error);
    if (rows == NULL)
      return NULL;
    if (cm_rows_count (rows) == 0)
      g_ptr_array_add (found, (gpointer) device);
  }
  return db != NULL ? g_steal_pointer (&found) : NULL;
}

/* *@started: how many of @devices there is a new session with. */
static gboolean
start_sessions (CmParticipant *participant, GPtrArray *devices, guint *started, GError **error)
{
  g_autoptr (CmJsonDoc) answer = claim_keys (participant, devices, error);
  g_autoptr (CmDb) db = answer != NULL ? cm_pool_get (participant->node->pool, error) : NULL;

  *started = 0;
  if (db == NULL)
    return FALSE;
  for (guint i = 0; i < devices->len; i++) {
    const CmPeerDevice *device = g_ptr_array_index (devices, i);
    const char *key = claimed_key (device, cm_json_doc_root (answer));
    g_autoptr (GError) local = NULL;
    if (key != NULL && start_session (participant, db, device, key, &local))
      (*started)++;
    else
      g_message ("No Olm session with device %s of %s: %s", device->device_id, device->user_id,
                 local != NULL ? local->message : "it has no signed one-time key to give");
  }
  return TRUE;
}

gboolean
cm_channel_open (CmParticipant *participant, GPtrArray *devices, GError **error)
{
  g_autoptr (GPtrArray) missing = without_session (participant, devices, error);
  guint started;

  if (missing == NULL || missing->len == 0)
    return missing != NULL;
  return start_sessions (participant, missing, &started, error);
}

gboolean
cm_channel_renew (CmParticipant *participant, const CmPeerDevice *device, GError **error)
{
  g_autoptr (GPtrArray) devices = g_ptr_array_new ();
  guint started;

  g_ptr_array_add (devices, (gpointer) device);
  if (!start_sessions (participant, devices, &started, error))
    return FALSE;
  return started > 0 || refuse (error, "The device has no signed one-time key to give");
}

/* The plaintext names both ends with their keys, so that neither can be put in the other's place.
 */
static GBytes *
payload_for (const CmParticipant *participant, const CmPeerDevice *device, const char *type,
             const CmJson *content)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "type", type);
  cm_json_put_node (writer, "content", content);
  cm_json_put_text (writer, "sender", participant->user_id);
  cm_json_put_text (writer, "sender_device", participant->device_id);
  cm_json_put_text (writer, "recipient", device->user_id);
  cm_json_open_object (writer, "recipient_keys");
  cm_json_put_text (writer, "ed25519", device->ed25519);
  cm_json_close (writer);
  cm_json_open_object (writer, "keys");
  cm_json_put_text (writer, "ed25519", cm_olm_account_ed25519 (participant->account));
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

static CmJsonDoc *
encrypted_content (const CmParticipant *participant, const CmPeerDevice *device,
                   CmOlmMessageType type, const char *body)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "algorithm", OLM);
  cm_json_put_text (writer, "sender_key", cm_olm_account_curve25519 (participant->account));
  cm_json_open_object (writer, "ciphertext");
  cm_json_open_object (writer, device->curve25519);
  cm_json_put_integer (writer, "type", type);
  cm_json_put_text (writer, "body", body);
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

CmJsonDoc *
cm_channel_encrypt (CmParticipant *participant, const CmPeerDevice *device, const char *type,
                    const CmJson *content, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (participant->node->pool, error);
  g_autoptr (GPtrArray) sessions =
      db != NULL ? load_sessions (participant, db, device->curve25519, error) : NULL;
  CmOlmMessageType message_type;

  if (sessions == NULL || sessions->len == 0)
    return NULL;
  CmOlmSession *session = g_ptr_array_index (sessions, 0);
  g_autoptr (GBytes) payload = payload_for (participant, device, type, content);
  gsize length;
  const void *text = g_bytes_get_data (payload, &length);
  g_autofree char *body = cm_olm_session_encrypt (session, text, length, &message_type, error);
  if (body == NULL || !store_session (participant, db, device->curve25519, session, error))
    return NULL;
  return encrypted_content (participant, device, message_type, body);
}

static GBytes *
decrypt_with_present (CmParticipant *participant, CmDb *db, const char *sender_key, gint64 type,
                      const char *body, GError **error)
{
  g_autoptr (GPtrArray) sessions = load_sessions (participant, db, sender_key, error);

  for (guint i = 0; sessions != NULL && i < sessions->len; i++) {
    CmOlmSession *session = g_ptr_array_index (sessions, i);
    if (type == CM_OLM_PRE_KEY && !cm_olm_session_matches (session, sender_key, body))
      continue;
    g_autoptr (GBytes) plaintext = cm_olm_session_decrypt (session, type, body, NULL);
    if (plaintext != NULL)
      return store_session (participant, db, sender_key, session, error)
                 ? g_steal_pointer (&plaintext)
                 : NULL;
    if (type == CM_OLM_PRE_KEY)
      break;
  }
  return NULL;
}

/* A new session takes a one-time key from the account: both are stored in one transaction, or the
 * key could be used twice. */
static GBytes *
decrypt_with_new (CmParticipant *participant, CmDb *db, const char *sender_key, const char *body,
                  GError **error)
{
  g_autoptr (GBytes) plaintext = NULL;
  g_autoptr (CmOlmSession) session =
      cm_olm_session_new_inbound (participant->account, sender_key, body, &plaintext, error);
  g_autoptr (CmTransaction) transaction = session != NULL ? cm_transaction_begin (db, error) : NULL;

  if (transaction == NULL || !store_session (participant, db, sender_key, session, error) ||
      !cm_participant_store_account (participant, db, error) ||
      !cm_transaction_commit (transaction, error))
    return NULL;
  return g_steal_pointer (&plaintext);
}

static GBytes *
decrypt (CmParticipant *participant, const char *sender_key, gint64 type, const char *body,
         GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (participant->node->pool, error);
  GError *local = NULL;

  if (db == NULL)
    return NULL;
  g_autoptr (GBytes) plaintext =
      decrypt_with_present (participant, db, sender_key, type, body, &local);
  if (local != NULL) {
    g_propagate_error (error, local);
    return NULL;
  }
  if (plaintext == NULL && type == CM_OLM_PRE_KEY)
    return decrypt_with_new (participant, db, sender_key, body, error);
  if (plaintext == NULL)
    refuse (error, "No Olm session opens this message");
  return g_steal_pointer (&plaintext);
}

/* The Ed25519 key that the payload claims must be that of the device whose identity key it came
 * from, and the device the sender's. */
static gboolean
check_sender (CmParticipant *participant, const CmJson *payload, const char *sender,
              const char *sender_key, GError **error)
{
  const char *claimed = cm_json_get_text (cm_json_get (payload, "keys"), "ed25519");
  g_autoptr (GPtrArray) users = g_ptr_array_new ();

  g_ptr_array_add (users, (gpointer) sender);
  g_autoptr (GPtrArray) devices = cm_peers_devices (participant->peers, users, error);
  if (devices == NULL)
    return FALSE;
  for (guint i = 0; i < devices->len; i++) {
    const CmPeerDevice *device = g_ptr_array_index (devices, i);
    if (strcmp (device->curve25519, sender_key) == 0)
      return g_strcmp0 (device->ed25519, claimed) == 0 ||
             refuse (error, "The message claims another device's key");
  }
  return refuse (error, "The message comes from no known device of its sender");
}

static gboolean
check_payload (CmParticipant *participant, const CmJson *payload, const char *sender,
               GError **error)
{
  const char *recipient_key = cm_json_get_text (cm_json_get (payload, "recipient_keys"), "ed25519");

  if (g_strcmp0 (cm_json_get_text (payload, "sender"), sender) != 0)
    return refuse (error, "The message was written by somebody else");
  if (g_strcmp0 (cm_json_get_text (payload, "recipient"), participant->user_id) != 0 ||
      g_strcmp0 (recipient_key, cm_olm_account_ed25519 (participant->account)) != 0)
    return refuse (error, "The message was written to somebody else");
  return TRUE;
}

CmJsonDoc *
cm_channel_decrypt (CmParticipant *participant, const CmJson *event, const char **sender_key,
                    gboolean *wedged, GError **error)
{
  GError *local = NULL;
  const CmJson *content = cm_json_get (event, "content");
  const char *sender = cm_json_get_text (event, "sender");
  const CmJson *message = cm_json_get_object (cm_json_get (content, "ciphertext"),
                                              cm_olm_account_curve25519 (participant->account));
  const char *body = cm_json_get_text (message, "body");

  *wedged = FALSE;
  *sender_key = cm_json_get_text (content, "sender_key");
  if (g_strcmp0 (cm_json_get_text (content, "algorithm"), OLM) != 0 || *sender_key == NULL ||
      body == NULL || sender == NULL) {
    refuse (error, "The message is not for this device");
    return NULL;
  }
  g_autoptr (GBytes) plaintext =
      decrypt (participant, *sender_key, cm_json_get_integer (message, "type", -1), body, &local);
  if (plaintext == NULL) {
    *wedged = g_error_matches (local, CM_ERROR, CM_ERROR_FORBIDDEN) ||
              g_error_matches (local, CM_ERROR, CM_ERROR_INVALID_PARAM);
    g_propagate_error (error, local);
    return NULL;
  }
  gsize length;
  const char *text = g_bytes_get_data (plaintext, &length);
  g_autoptr (CmJsonDoc) payload = cm_json_parse_object (text, length, error);
  if (payload == NULL || !check_payload (participant, cm_json_doc_root (payload), sender, error) ||
      !check_sender (participant, cm_json_doc_root (payload), sender, *sender_key, error))
    return NULL;
  return g_steal_pointer (&payload);
}
