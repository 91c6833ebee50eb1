#include "server/participant/mending.h"

#include "crypto/json-writer.h"
#include "server/participant/channel.h"

#include <string.h>

#define INTERVAL_US (G_TIME_SPAN_HOUR)
/* Whoever has more devices than that waits until some have had their hour. */
#define MAX_NOTED 1000

static gboolean
is_over (gpointer key, gpointer value, gpointer now)
{
  return *(gint64 *) now - *(gint64 *) value >= INTERVAL_US;
}

/* Whether the device's turn has come; notes that it has. */
static gboolean
is_due (CmParticipant *participant, const char *key)
{
  gint64 now = g_get_monotonic_time ();

  g_hash_table_foreach_remove (participant->mended, is_over, &now);
  if (g_hash_table_contains (participant->mended, key) ||
      g_hash_table_size (participant->mended) >= MAX_NOTED)
    return FALSE;
  g_hash_table_insert (participant->mended, g_strdup (key), g_memdup2 (&now, sizeof now));
  return TRUE;
}

static const CmPeerDevice *
device_with (GPtrArray *devices, const char *key)
{
  for (guint i = 0; i < devices->len; i++) {
    const CmPeerDevice *device = g_ptr_array_index (devices, i);
    if (strcmp (device->curve25519, key) == 0)
      return device;
  }
  return NULL;
}

/* client-server, "m.dummy": it carries nothing but the session. */
static gboolean
send_dummy (CmParticipant *participant, const CmPeerDevice *device, GError **error)
{
  g_autoptr (CmJsonDoc) nothing = cm_json_parse_object ("{}", 2, error);
  g_autoptr (CmJsonDoc) content =
      cm_channel_encrypt (participant, device, "m.dummy", cm_json_doc_root (nothing), error);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (content == NULL)
    return FALSE;
  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, device->user_id);
  cm_json_put_node (writer, device->device_id, cm_json_doc_root (content));
  cm_json_close (writer);
  cm_json_close (writer);
  g_autoptr (CmJsonDoc) messages = cm_json_writer_end_doc (writer);
  return cm_participant_send_to_devices (participant, "m.room.encrypted",
                                         cm_json_doc_root (messages), error);
}

void
cm_mending_begin (CmParticipant *participant, const char *sender, const char *sender_key)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) users = g_ptr_array_new ();

  g_ptr_array_add (users, (gpointer) sender);
  g_autoptr (GPtrArray) devices = cm_peers_devices (participant->peers, users, &error);
  const CmPeerDevice *device = devices != NULL ? device_with (devices, sender_key) : NULL;
  if (device == NULL || !is_due (participant, sender_key))
    return;
  if (cm_channel_renew (participant, device, &error) && send_dummy (participant, device, &error))
    g_message ("%s started another session with device %s of %s", participant->user_id,
               device->device_id, device->user_id);
  else
    g_message ("%s could not start another session with device %s of %s: %s", participant->user_id,
               device->device_id, device->user_id,
               error != NULL ? error->message : "it could not be used");
}
