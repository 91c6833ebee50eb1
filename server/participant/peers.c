#include "server/participant/peers.h"

#include "crypto/ed25519.h"
#include "crypto/json-writer.h"
#include "schema/participant.h"

#include <string.h>

struct _CmPeers {
  CmParticipant *participant;
  GMutex lock;
  GHashTable *devices; /* user id -> GPtrArray of CmPeerDevice, reference-counted; a user who is
                          absent must be asked for */
};

static void
peer_device_free (gpointer data)
{
  CmPeerDevice *device = data;

  g_free (device->user_id);
  g_free (device->device_id);
  g_free (device->curve25519);
  g_free (device->ed25519);
  g_free (device);
}

CmPeers *
cm_peers_new (CmParticipant *participant)
{
  CmPeers *peers = g_new0 (CmPeers, 1);

  peers->participant = participant;
  g_mutex_init (&peers->lock);
  peers->devices =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
  return peers;
}

void
cm_peers_free (CmPeers *peers)
{
  g_hash_table_unref (peers->devices);
  g_mutex_clear (&peers->lock);
  g_free (peers);
}

void
cm_peers_forget (CmPeers *peers, const char *user_id)
{
  g_mutex_lock (&peers->lock);
  if (user_id != NULL)
    g_hash_table_remove (peers->devices, user_id);
  else
    g_hash_table_remove_all (peers->devices);
  g_mutex_unlock (&peers->lock);
}

/* client-server, "Device keys": a device is what it signed itself to be. */
static CmPeerDevice *
read_device (const CmJson *json, const char *user_id, const char *device_id)
{
  g_autofree char *curve_id = g_strdup_printf ("curve25519:%s", device_id);
  g_autofree char *ed_id = g_strdup_printf ("ed25519:%s", device_id);
  const char *curve25519 = cm_json_get_text (cm_json_get (json, "keys"), curve_id);
  const char *ed25519 = cm_json_get_text (cm_json_get (json, "keys"), ed_id);

  if (curve25519 == NULL || ed25519 == NULL ||
      g_strcmp0 (cm_json_get_text (json, "user_id"), user_id) != 0 ||
      g_strcmp0 (cm_json_get_text (json, "device_id"), device_id) != 0 ||
      !cm_verify_json (json, user_id, ed_id, ed25519, NULL))
    return NULL;
  CmPeerDevice *device = g_new0 (CmPeerDevice, 1);
  device->user_id = g_strdup (user_id);
  device->device_id = g_strdup (device_id);
  device->curve25519 = g_strdup (curve25519);
  device->ed25519 = g_strdup (ed25519);
  return device;
}

/* A device id that comes back with other keys is somebody else. */
static gboolean
is_as_first_seen (CmDb *db, const CmPeerDevice *device, GError **error)
{
  gboolean same;

  if (!cm_participant_meet_device (db, device->user_id, device->device_id, device->curve25519,
                                   device->ed25519, &same, error))
    return FALSE;
  if (!same)
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "Device %s of %s has changed its keys",
                 device->device_id, device->user_id);
  return same;
}

static gboolean
is_own (const CmPeers *peers, const char *user_id, const char *device_id)
{
  return strcmp (user_id, peers->participant->user_id) == 0 &&
         strcmp (device_id, peers->participant->device_id) == 0;
}

/* The user's devices in an answer of keys/query. Those that cannot be believed are left out, and
 * said in the log. */
static GPtrArray *
read_devices (CmPeers *peers, CmDb *db, const char *user_id, const CmJson *by_device)
{
  GPtrArray *devices = g_ptr_array_new_with_free_func (peer_device_free);
  const CmJson *json;
  CmJsonIter iter;

  cm_json_iter_init (&iter, by_device);
  while (cm_json_iter_next (&iter, NULL, &json)) {
    const char *device_id = cm_json_text (iter.key);
    g_autoptr (GError) error = NULL;
    if (device_id == NULL || is_own (peers, user_id, device_id))
      continue;
    CmPeerDevice *device = read_device (json, user_id, device_id);
    if (device == NULL) {
      g_message ("Device %s of %s did not sign its own keys and gets no messages", device_id,
                 user_id);
    } else if (!is_as_first_seen (db, device, &error)) {
      g_message ("%s", error->message);
      peer_device_free (device);
    } else {
      g_ptr_array_add (devices, device);
    }
  }
  return devices;
}

static CmJsonDoc *
query_keys (CmPeers *peers, GPtrArray *user_ids, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "device_keys");
  for (guint i = 0; i < user_ids->len; i++) {
    cm_json_open_array (writer, g_ptr_array_index (user_ids, i));
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_close (writer);
  g_autoptr (GBytes) body = cm_json_writer_end (writer);
  return cm_ask (&peers->participant->asker, "POST", "/_matrix/client/v3/keys/query", body, error);
}

/* Asks for those who are not known. A user whose server did not answer is asked for again next
 * time. */
static gboolean
learn (CmPeers *peers, GPtrArray *unknown, GError **error)
{
  if (unknown->len == 0)
    return TRUE;
  g_autoptr (CmJsonDoc) answer = query_keys (peers, unknown, error);
  if (answer == NULL)
    return FALSE;
  const CmJson *by_user = cm_json_get (cm_json_doc_root (answer), "device_keys");
  g_autoptr (CmDb) db = cm_pool_get (peers->participant->node->pool, error);
  if (db == NULL)
    return FALSE;
  for (guint i = 0; i < unknown->len; i++) {
    const char *user_id = g_ptr_array_index (unknown, i);
    const CmJson *by_device = cm_json_get_object (by_user, user_id);
    if (by_device == NULL)
      continue;
    GPtrArray *devices = read_devices (peers, db, user_id, by_device);
    g_mutex_lock (&peers->lock);
    g_hash_table_replace (peers->devices, g_strdup (user_id), devices);
    g_mutex_unlock (&peers->lock);
  }
  return TRUE;
}

static GPtrArray *
find_unknown (CmPeers *peers, GPtrArray *user_ids)
{
  GPtrArray *unknown = g_ptr_array_new ();

  g_mutex_lock (&peers->lock);
  for (guint i = 0; i < user_ids->len; i++)
    if (!g_hash_table_contains (peers->devices, g_ptr_array_index (user_ids, i)))
      g_ptr_array_add (unknown, g_ptr_array_index (user_ids, i));
  g_mutex_unlock (&peers->lock);
  return unknown;
}

static CmPeerDevice *
peer_device_copy (const CmPeerDevice *device)
{
  CmPeerDevice *copy = g_new0 (CmPeerDevice, 1);

  copy->user_id = g_strdup (device->user_id);
  copy->device_id = g_strdup (device->device_id);
  copy->curve25519 = g_strdup (device->curve25519);
  copy->ed25519 = g_strdup (device->ed25519);
  return copy;
}

GPtrArray *
cm_peers_devices (CmPeers *peers, GPtrArray *user_ids, GError **error)
{
  g_autoptr (GPtrArray) unknown = find_unknown (peers, user_ids);

  if (!learn (peers, unknown, error))
    return NULL;
  GPtrArray *all = g_ptr_array_new_with_free_func (peer_device_free);
  g_mutex_lock (&peers->lock);
  for (guint i = 0; i < user_ids->len; i++) {
    GPtrArray *devices = g_hash_table_lookup (peers->devices, g_ptr_array_index (user_ids, i));
    for (guint j = 0; devices != NULL && j < devices->len; j++)
      g_ptr_array_add (all, peer_device_copy (g_ptr_array_index (devices, j)));
  }
  g_mutex_unlock (&peers->lock);
  return all;
}
