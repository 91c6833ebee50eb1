#include "server/participant/room-keys.h"

#include "crypto/json-writer.h"
#include "federation/fed-client.h"
#include "schema/participant.h"
#include "server/participant/channel.h"
#include "server/participant/room-sessions.h"

#include <string.h>

#define MEGOLM "m.megolm.v1.aes-sha2"

/* client-server, "m.room.encryption": what holds when the room does not say; and bounds for what it
 * may say. */
#define DEFAULT_PERIOD_MS   G_GINT64_CONSTANT (604800000)
#define SHORTEST_PERIOD_MS  G_GINT64_CONSTANT (60000)
#define DEFAULT_PERIOD_MSGS 100

static gboolean
must_rotate (const CmRoomOutbound *outbound, const CmJson *settings, GPtrArray *devices)
{
  gint64 period_ms = MAX (cm_json_get_integer (settings, "rotation_period_ms", DEFAULT_PERIOD_MS),
                          SHORTEST_PERIOD_MS);
  gint64 messages = cm_json_get_integer (settings, "rotation_period_msgs", DEFAULT_PERIOD_MSGS);

  return cm_megolm_outbound_needs_rotation (outbound->session,
                                            MIN (period_ms, DEFAULT_PERIOD_MS * 10) * 1000,
                                            messages, g_get_real_time ()) ||
         cm_room_outbound_is_with_others (outbound, devices);
}

/* (transfer full) of char*: who is in the room or invited to it. */
static GPtrArray *
read_members (CmParticipant *participant, const char *room_id, GError **error)
{
  g_autofree char *path = cm_fed_path ("/_matrix/client/v3/rooms/%s/members", room_id);
  g_autoptr (CmJsonDoc) answer = cm_ask (&participant->asker, "GET", path, NULL, error);
  const CmJson *event;
  CmJsonIter iter;

  if (answer == NULL)
    return NULL;
  GPtrArray *members = g_ptr_array_new_with_free_func (g_free);
  cm_json_iter_init (&iter, cm_json_get_array (cm_json_doc_root (answer), "chunk"));
  while (cm_json_iter_next (&iter, NULL, &event)) {
    const char *membership = cm_json_get_text (cm_json_get (event, "content"), "membership");
    const char *user_id = cm_json_get_text (event, "state_key");
    if (user_id != NULL &&
        (g_strcmp0 (membership, "join") == 0 || g_strcmp0 (membership, "invite") == 0))
      g_ptr_array_add (members, g_strdup (user_id));
  }
  return members;
}

static CmJsonDoc *
room_key (const char *room_id, CmRoomOutbound *outbound, GError **error)
{
  g_autoptr (CmSecret) key = cm_megolm_outbound_session_key (outbound->session, error);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (key == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "algorithm", MEGOLM);
  cm_json_put_text (writer, "room_id", room_id);
  cm_json_put_text (writer, "session_id", cm_megolm_outbound_id (outbound->session));
  cm_json_put_text (writer, "session_key", cm_secret_text (key));
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

/* {user: {device: content}} for the devices of @devices that there is a session with; to those it
 * is given. */
static CmJsonDoc *
encrypt_for (CmParticipant *participant, GPtrArray *devices, const CmJson *key,
             CmRoomOutbound *outbound, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const char *user_id = NULL;

  cm_json_open_object (writer, NULL);
  for (guint i = 0; i < devices->len; i++) {
    const CmPeerDevice *device = g_ptr_array_index (devices, i);
    GError *local = NULL;
    g_autoptr (CmJsonDoc) content =
        cm_channel_encrypt (participant, device, "m.room_key", key, &local);
    if (local != NULL) {
      g_propagate_error (error, local);
      return NULL;
    }
    if (content == NULL)
      continue;
    if (g_strcmp0 (user_id, device->user_id) != 0) {
      if (user_id != NULL)
        cm_json_close (writer);
      user_id = device->user_id;
      cm_json_open_object (writer, user_id);
    }
    cm_json_put_node (writer, device->device_id, cm_json_doc_root (content));
    cm_room_outbound_give (outbound, device);
  }
  if (user_id != NULL)
    cm_json_close (writer);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

static gboolean
share (CmParticipant *participant, const char *room_id, CmRoomOutbound *outbound,
       GPtrArray *devices, GError **error)
{
  g_autoptr (GPtrArray) without = cm_room_outbound_lacking (outbound, devices);

  if (without->len == 0)
    return TRUE;
  g_autoptr (CmJsonDoc) key = room_key (room_id, outbound, error);
  if (key == NULL || !cm_channel_open (participant, without, error))
    return FALSE;
  g_autoptr (CmJsonDoc) messages =
      encrypt_for (participant, without, cm_json_doc_root (key), outbound, error);
  return messages != NULL && cm_participant_send_to_devices (participant, "m.room.encrypted",
                                                             cm_json_doc_root (messages), error);
}

static GBytes *
payload_of (const char *room_id, const char *type, const CmJson *content)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "type", type);
  cm_json_put_node (writer, "content", content);
  cm_json_put_text (writer, "room_id", room_id);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

static CmJsonDoc *
encrypted_content (const CmParticipant *participant, const CmRoomOutbound *outbound,
                   const char *ciphertext)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "algorithm", MEGOLM);
  cm_json_put_text (writer, "ciphertext", ciphertext);
  cm_json_put_text (writer, "sender_key", cm_olm_account_curve25519 (participant->account));
  cm_json_put_text (writer, "device_id", participant->device_id);
  cm_json_put_text (writer, "session_id", cm_megolm_outbound_id (outbound->session));
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

static CmRoomOutbound *
session_for (CmParticipant *participant, const char *room_id, const CmJson *settings,
             GPtrArray *devices, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (participant->node->pool, error);
  GError *local = NULL;

  if (db == NULL)
    return NULL;
  g_autoptr (CmRoomOutbound) present = cm_room_outbound_load (participant, db, room_id, &local);
  if (local != NULL) {
    g_propagate_error (error, local);
    return NULL;
  }
  if (present != NULL && !must_rotate (present, settings, devices))
    return g_steal_pointer (&present);
  return cm_room_outbound_new (participant, db, room_id, error);
}

CmJsonDoc *
cm_room_keys_encrypt (CmParticipant *participant, const char *room_id, const CmJson *settings,
                      const char *type, const CmJson *content, GError **error)
{
  g_autoptr (GPtrArray) members = read_members (participant, room_id, error);
  g_autoptr (GPtrArray) devices =
      members != NULL ? cm_peers_devices (participant->peers, members, error) : NULL;
  g_autoptr (CmRoomOutbound) outbound =
      devices != NULL ? session_for (participant, room_id, settings, devices, error) : NULL;

  if (outbound == NULL || !share (participant, room_id, outbound, devices, error))
    return NULL;
  g_autoptr (GBytes) payload = payload_of (room_id, type, content);
  gsize length;
  const void *text = g_bytes_get_data (payload, &length);
  g_autofree char *ciphertext = cm_megolm_outbound_encrypt (outbound->session, text, length, error);
  g_autoptr (CmDb) db = ciphertext != NULL ? cm_pool_get (participant->node->pool, error) : NULL;
  if (db == NULL || !cm_room_outbound_store (participant, db, room_id, outbound, error))
    return NULL;
  return encrypted_content (participant, outbound, ciphertext);
}

gboolean
cm_room_keys_receive (CmParticipant *participant, const char *sender, const char *sender_key,
                      const CmJson *content, GError **error)
{
  const char *room_id = cm_json_get_text (content, "room_id");
  const char *session_id = cm_json_get_text (content, "session_id");
  const char *session_key = cm_json_get_text (content, "session_key");

  if (g_strcmp0 (cm_json_get_text (content, "algorithm"), MEGOLM) != 0 || room_id == NULL ||
      session_id == NULL || session_key == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "The room key is malformed");
    return FALSE;
  }
  g_autoptr (CmMegolmInbound) session = cm_megolm_inbound_new (session_id, session_key, error);
  g_autoptr (CmDb) db = session != NULL ? cm_pool_get (participant->node->pool, error) : NULL;
  return db != NULL &&
         cm_room_inbound_store (participant, db, room_id, sender, sender_key, session, error);
}

static gboolean
is_no_replay (CmDb *db, const char *session_id, guint32 index, const char *event_id, GError **error)
{
  gboolean fresh;

  if (!cm_participant_use_index (db, session_id, index, event_id, &fresh, error))
    return FALSE;
  if (!fresh)
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "The message is a repetition of another");
  return fresh;
}

CmJsonDoc *
cm_room_keys_decrypt (CmParticipant *participant, const char *room_id, const CmJson *event,
                      GError **error)
{
  const CmJson *content = cm_json_get (event, "content");
  const char *session_id = cm_json_get_text (content, "session_id");
  const char *ciphertext = cm_json_get_text (content, "ciphertext");
  const char *event_id = cm_json_get_text (event, "event_id");
  guint32 index;

  if (g_strcmp0 (cm_json_get_text (content, "algorithm"), MEGOLM) != 0 || session_id == NULL ||
      ciphertext == NULL || event_id == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "The message is malformed");
    return NULL;
  }
  g_autoptr (CmDb) db = cm_pool_get (participant->node->pool, error);
  g_autoptr (CmMegolmInbound) session =
      db != NULL ? cm_room_inbound_load (participant, db, room_id, session_id,
                                         cm_json_get_text (event, "sender"), error)
                 : NULL;
  g_autoptr (GBytes) plaintext =
      session != NULL ? cm_megolm_inbound_decrypt (session, ciphertext, &index, error) : NULL;
  if (plaintext == NULL || !is_no_replay (db, session_id, index, event_id, error))
    return NULL;
  gsize length;
  const char *text = g_bytes_get_data (plaintext, &length);
  g_autoptr (CmJsonDoc) payload = cm_json_parse_object (text, length, error);
  if (payload != NULL &&
      g_strcmp0 (cm_json_get_text (cm_json_doc_root (payload), "room_id"), room_id) != 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "The message was written for another room");
    return NULL;
  }
  return g_steal_pointer (&payload);
}
