#include "server/participant/room-sessions.h"

#include "crypto/json-writer.h"
#include "schema/participant.h"

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

void
cm_room_outbound_free (CmRoomOutbound *outbound)
{
  g_clear_pointer (&outbound->session, cm_megolm_outbound_free);
  g_clear_pointer (&outbound->shared, g_hash_table_unref);
  g_free (outbound);
}

gboolean
cm_room_outbound_store (CmParticipant *participant, CmDb *db, const char *room_id,
                        const CmRoomOutbound *outbound, GError **error)
{
  g_autofree char *context = room_context (participant, "outbound", room_id, "");
  g_autoptr (GBytes) sealed =
      cm_megolm_outbound_seal (outbound->session, participant->node->vault, context, error);
  g_autoptr (GBytes) shared = pack_shared (outbound->shared);

  return sealed != NULL && cm_participant_put_outbound_session (db, room_id, sealed, shared, error);
}

CmRoomOutbound *
cm_room_outbound_load (CmParticipant *participant, CmDb *db, const char *room_id, GError **error)
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
  CmRoomOutbound *outbound = g_new0 (CmRoomOutbound, 1);
  outbound->session = session;
  outbound->shared = unpack_shared (shared);
  return outbound;
}

gboolean
cm_room_inbound_store (CmParticipant *participant, CmDb *db, const char *room_id,
                       const char *sender, const char *sender_key, CmMegolmInbound *session,
                       GError **error)
{
  g_autofree char *context =
      room_context (participant, "inbound", room_id, cm_megolm_inbound_id (session));
  g_autoptr (GBytes) sealed =
      cm_megolm_inbound_seal (session, participant->node->vault, context, error);

  return sealed != NULL &&
         cm_participant_put_inbound_session (db, room_id, cm_megolm_inbound_id (session), sender,
                                             sender_key, sealed, error);
}

CmMegolmInbound *
cm_room_inbound_load (CmParticipant *participant, CmDb *db, const char *room_id,
                      const char *session_id, const char *sender, GError **error)
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

CmRoomOutbound *
cm_room_outbound_new (CmParticipant *participant, CmDb *db, const char *room_id, GError **error)
{
  g_autoptr (CmRoomOutbound) outbound = g_new0 (CmRoomOutbound, 1);

  outbound->session = cm_megolm_outbound_new (g_get_real_time (), error);
  outbound->shared = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (CmSecret) key =
      outbound->session != NULL ? cm_megolm_outbound_session_key (outbound->session, error) : NULL;
  if (key == NULL)
    return NULL;
  g_autoptr (CmMegolmInbound) own = cm_megolm_inbound_new (
      cm_megolm_outbound_id (outbound->session), cm_secret_text (key), error);
  if (own == NULL ||
      !cm_room_inbound_store (participant, db, room_id, participant->user_id,
                              cm_olm_account_curve25519 (participant->account), own, error) ||
      !cm_room_outbound_store (participant, db, room_id, outbound, error))
    return NULL;
  return g_steal_pointer (&outbound);
}

gboolean
cm_room_outbound_is_with_others (const CmRoomOutbound *outbound, GPtrArray *devices)
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

GPtrArray *
cm_room_outbound_lacking (const CmRoomOutbound *outbound, GPtrArray *devices)
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

void
cm_room_outbound_give (CmRoomOutbound *outbound, const CmPeerDevice *device)
{
  g_hash_table_add (outbound->shared, shared_key (device->user_id, device->device_id));
}
