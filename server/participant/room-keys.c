#include "server/participant/room-keys.h"

#include "crypto/json-writer.h"
#include "crypto/megolm/inbound.h"
#include "crypto/megolm/outbound.h"
#include "federation/fed-client.h"
#include "schema/participant.h"
#include "server/participant/channel.h"

#include <string.h>

#define MEGOLM "m.megolm.v1.aes-sha2"

/* client-server, "m.room.encryption": what holds when the room does not say; and bounds for what it
 * may say. */
#define DEFAULT_PERIOD_MS   G_GINT64_CONSTANT (604800000)
#define SHORTEST_PERIOD_MS  G_GINT64_CONSTANT (60000)
#define DEFAULT_PERIOD_MSGS 100

typedef struct {
  CmMegolmOutbound *session;
  GHashTable *shared; /* a set of "user\ndevice": who has the key */
} Outbound;

static void
outbound_free (Outbound *outbound)
{
  g_clear_pointer (&outbound->session, cm_megolm_outbound_free);
  g_clear_pointer (&outbound->shared, g_hash_table_unref);
  g_free (outbound);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Outbound, outbound_free)

static char *
room_context (const CmParticipant *participant, const char *direction, const char *room_id,
              const char *session_id)
{
  g_autofree char *what = g_strdup_printf ("%s:%s:%s", direction, room_id, session_id);

  return cm_participant_context (participant, what);
}

static char *
shared_key (const char *user_id, const char *device_id)
{
  return g_strconcat (user_id, "\n", device_id, NULL);
}

static GBytes *
pack_shared (GHashTable *shared)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  GHashTableIter iter;
  const char *key;

  cm_json_open_array (writer, NULL);
  g_hash_table_iter_init (&iter, shared);
  while (g_hash_table_iter_next (&iter, (gpointer *) &key, NULL))
    cm_json_put_text (writer, NULL, key);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

static GHashTable *
unpack_shared (GBytes *bytes)
{
  GHashTable *shared = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (bytes, NULL);
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_doc_root (doc));
  while (cm_json_iter_next (&iter, NULL, &item))
    if (cm_json_text (item) != NULL)
      g_hash_table_add (shared, g_strdup (cm_json_text (item)));
  return shared;
}

static gboolean
store_outbound (CmParticipant *participant, CmDb *db, const char *room_id, const Outbound *outbound,
                GError **error)
{
  g_autofree char *context = room_context (participant, "outbound", room_id, "");
  g_autoptr (GBytes) sealed =
      cm_megolm_outbound_seal (outbound->session, participant->node->vault, context, error);
  g_autoptr (GBytes) shared = pack_shared (outbound->shared);

  return sealed != NULL && cm_participant_put_outbound_session (db, room_id, sealed, shared, error);
}

/* NULL without @error when there is none, or none that opens. */
static Outbound *
load_outbound (CmParticipant *participant, CmDb *db, const char *room_id, GError **error)
{
  g_autofree char *context = room_context (participant, "outbound", room_id, "");
  g_autoptr (CmRows) rows = cm_participant_outbound_session (db, room_id, error);

  if (rows == NULL || cm_rows_count (rows) == 0)
    return NULL;
  g_autoptr (GBytes) sealed = cm_rows_bytes (rows, 0, 0);
  g_autoptr (GBytes) shared = cm_rows_bytes (rows, 0, 1);
  CmMegolmOutbound *session =
      cm_megolm_outbound_open (participant->node->vault, context, sealed, NULL);
  if (session == NULL)
    return NULL;
  Outbound *outbound = g_new0 (Outbound, 1);
  outbound->session = session;
  outbound->shared = unpack_shared (shared);
  return outbound;
}

static gboolean
store_inbound (CmParticipant *participant, CmDb *db, const char *room_id, const char *sender,
               const char *sender_key, CmMegolmInbound *session, GError **error)
{
  g_autofree char *context =
      room_context (participant, "inbound", room_id, cm_megolm_inbound_id (session));
  g_autoptr (GBytes) sealed =
      cm_megolm_inbound_seal (session, participant->node->vault, context, error);

  return sealed != NULL &&
         cm_participant_put_inbound_session (db, room_id, cm_megolm_inbound_id (session), sender,
                                             sender_key, sealed, error);
}

/* A new session, of which the participant keeps the reading side too: it may want to read what it
 * said. */
static Outbound *
new_outbound (CmParticipant *participant, CmDb *db, const char *room_id, GError **error)
{
  g_autoptr (Outbound) outbound = g_new0 (Outbound, 1);

  outbound->session = cm_megolm_outbound_new (g_get_real_time (), error);
  outbound->shared = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (CmSecret) key =
      outbound->session != NULL ? cm_megolm_outbound_session_key (outbound->session, error) : NULL;
  if (key == NULL)
    return NULL;
  g_autoptr (CmMegolmInbound) own = cm_megolm_inbound_new (
      cm_megolm_outbound_id (outbound->session), cm_secret_text (key), error);
  if (own == NULL ||
      !store_inbound (participant, db, room_id, participant->user_id,
                      cm_olm_account_curve25519 (participant->account), own, error) ||
      !store_outbound (participant, db, room_id, outbound, error))
    return NULL;
  return g_steal_pointer (&outbound);
}

/* Whoever left, and every device that is gone, must not read on: the session that they know ends.
 */
static gboolean
was_given_to_others (const Outbound *outbound, GPtrArray *devices)
{
  g_autoptr (GHashTable) present = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GHashTableIter iter;
  const char *key;

  for (guint i = 0; i < devices->len; i++) {
    const CmPeerDevice *device = g_ptr_array_index (devices, i);
    g_hash_table_add (present, shared_key (device->user_id, device->device_id));
  }
  g_hash_table_iter_init (&iter, outbound->shared);
  while (g_hash_table_iter_next (&iter, (gpointer *) &key, NULL))
    if (!g_hash_table_contains (present, key))
      return TRUE;
  return FALSE;
}

static gboolean
must_rotate (const Outbound *outbound, const CmJson *settings, GPtrArray *devices)
{
  gint64 period_ms = MAX (cm_json_get_integer (settings, "rotation_period_ms", DEFAULT_PERIOD_MS),
                          SHORTEST_PERIOD_MS);
  gint64 messages = cm_json_get_integer (settings, "rotation_period_msgs", DEFAULT_PERIOD_MSGS);

  return cm_megolm_outbound_needs_rotation (outbound->session,
                                            MIN (period_ms, DEFAULT_PERIOD_MS * 10) * 1000,
                                            messages, g_get_real_time ()) ||
         was_given_to_others (outbound, devices);
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
room_key (const char *room_id, Outbound *outbound, GError **error)
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

static GPtrArray *
those_without_key (const Outbound *outbound, GPtrArray *devices)
{
  GPtrArray *without = g_ptr_array_new ();

  for (guint i = 0; i < devices->len; i++) {
    const CmPeerDevice *device = g_ptr_array_index (devices, i);
    g_autofree char *key = shared_key (device->user_id, device->device_id);
    if (!g_hash_table_contains (outbound->shared, key))
      g_ptr_array_add (without, (gpointer) device);
  }
  return without;
}

/* {user: {device: content}} for the devices of @devices that there is a session with; those are
 * added to @given. */
static CmJsonDoc *
encrypt_for (CmParticipant *participant, GPtrArray *devices, const CmJson *key, GHashTable *given,
             GError **error)
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
    g_hash_table_add (given, shared_key (device->user_id, device->device_id));
  }
  if (user_id != NULL)
    cm_json_close (writer);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

static gboolean
share (CmParticipant *participant, const char *room_id, Outbound *outbound, GPtrArray *devices,
       GError **error)
{
  g_autoptr (GPtrArray) without = those_without_key (outbound, devices);

  if (without->len == 0)
    return TRUE;
  g_autoptr (CmJsonDoc) key = room_key (room_id, outbound, error);
  if (key == NULL || !cm_channel_open (participant, without, error))
    return FALSE;
  g_autoptr (CmJsonDoc) messages =
      encrypt_for (participant, without, cm_json_doc_root (key), outbound->shared, error);
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
encrypted_content (const CmParticipant *participant, const Outbound *outbound,
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

static Outbound *
session_for (CmParticipant *participant, const char *room_id, const CmJson *settings,
             GPtrArray *devices, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (participant->node->pool, error);
  GError *local = NULL;

  if (db == NULL)
    return NULL;
  g_autoptr (Outbound) present = load_outbound (participant, db, room_id, &local);
  if (local != NULL) {
    g_propagate_error (error, local);
    return NULL;
  }
  if (present != NULL && !must_rotate (present, settings, devices))
    return g_steal_pointer (&present);
  return new_outbound (participant, db, room_id, error);
}

CmJsonDoc *
cm_room_keys_encrypt (CmParticipant *participant, const char *room_id, const CmJson *settings,
                      const char *type, const CmJson *content, GError **error)
{
  g_autoptr (GPtrArray) members = read_members (participant, room_id, error);
  g_autoptr (GPtrArray) devices =
      members != NULL ? cm_peers_devices (participant->peers, members, error) : NULL;
  g_autoptr (Outbound) outbound =
      devices != NULL ? session_for (participant, room_id, settings, devices, error) : NULL;

  if (outbound == NULL || !share (participant, room_id, outbound, devices, error))
    return NULL;
  g_autoptr (GBytes) payload = payload_of (room_id, type, content);
  gsize length;
  const void *text = g_bytes_get_data (payload, &length);
  g_autofree char *ciphertext = cm_megolm_outbound_encrypt (outbound->session, text, length, error);
  g_autoptr (CmDb) db = ciphertext != NULL ? cm_pool_get (participant->node->pool, error) : NULL;
  if (db == NULL || !store_outbound (participant, db, room_id, outbound, error))
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
  return db != NULL && store_inbound (participant, db, room_id, sender, sender_key, session, error);
}

static CmMegolmInbound *
load_inbound (CmParticipant *participant, CmDb *db, const char *room_id, const char *session_id,
              const char *sender, GError **error)
{
  g_autofree char *context = room_context (participant, "inbound", room_id, session_id);
  g_autoptr (CmRows) rows = cm_participant_inbound_session (db, room_id, session_id, error);

  if (rows == NULL)
    return NULL;
  if (cm_rows_count (rows) == 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "The key of this message has not come");
    return NULL;
  }
  if (g_strcmp0 (cm_rows_text (rows, 0, 1), sender) != 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "The message uses the key of somebody else");
    return NULL;
  }
  g_autoptr (GBytes) sealed = cm_rows_bytes (rows, 0, 0);
  return cm_megolm_inbound_open (participant->node->vault, context, sealed, error);
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
      db != NULL ? load_inbound (participant, db, room_id, session_id,
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
