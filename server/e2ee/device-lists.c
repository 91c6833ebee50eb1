#include "server/e2ee/device-lists.h"

#include "federation/destinations.h"
#include "schema/cross-signing.h"
#include "schema/device-key.h"
#include "schema/device-list.h"
#include "server/config/config.h"
#include "server/e2ee/signed-key.h"

#include <string.h>

static void
wake_all (CmWrite *write, char **user_ids)
{
  for (gsize i = 0; user_ids[i] != NULL; i++)
    cm_write_topic (write, CM_TOPIC_USER, user_ids[i]);
}

/* The position, and whoever here must wake: the user's own other devices too. */
static gboolean
add_change (CmWrite *write, CmDb *db, const char *user_id, GError **error)
{
  g_auto (GStrv) audience = cm_device_list_local_audience (db, user_id, error);

  if (audience == NULL)
    return FALSE;
  cm_device_list_change (write, user_id, cm_write_take_positions (write, 1));
  cm_write_topic (write, CM_TOPIC_USER, user_id);
  wake_all (write, audience);
  return TRUE;
}

static CmJsonWriter *
open_edu (const char *type, const char *user_id)
{
  CmJsonWriter *writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "edu_type", type);
  cm_json_open_object (writer, "content");
  cm_json_put_text (writer, "user_id", user_id);
  return writer;
}

static GBytes *
close_edu (CmJsonWriter *writer)
{
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

/* A device as its change leaves it. */
typedef struct {
  const char *device_id;
  gboolean deleted;
  GBytes *keys; /* NULL until they are read: those that are stored */
  char *display_name;
} Device;

static void
device_clear (Device *device)
{
  g_clear_pointer (&device->keys, g_bytes_unref);
  g_clear_pointer (&device->display_name, g_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Device, device_clear)

/* Fills in what the change does not touch: the keys with the signatures on them, and the name. */
static gboolean
read_device (CmDb *db, const char *user_id, Device *device, GError **error)
{
  char *users[] = { (char *) user_id, NULL };
  g_autoptr (CmRows) stored = cm_device_key_find (db, user_id, device->device_id, error);
  g_autoptr (CmRows) signatures =
      stored != NULL ? cm_key_signatures_find (db, users, NULL, error) : NULL;

  if (signatures == NULL)
    return FALSE;
  if (cm_rows_count (stored) == 0)
    return TRUE;
  if (device->display_name == NULL)
    device->display_name = g_strdup (cm_rows_text (stored, 0, 1));
  if (device->keys == NULL) {
    g_autoptr (GBytes) keys = cm_rows_bytes (stored, 0, 0);
    device->keys = cm_signed_key_merge (keys, signatures, user_id, device->device_id);
  }
  return TRUE;
}

/* server-server, "m.device_list_update". */
static GBytes *
device_list_update (const char *user_id, const Device *device, gint64 stream_id, gboolean named)
{
  g_autoptr (CmJsonWriter) writer = open_edu ("m.device_list_update", user_id);

  cm_json_put_text (writer, "device_id", device->device_id);
  cm_json_put_integer (writer, "stream_id", stream_id);
  cm_json_open_array (writer, "prev_id");
  if (stream_id > 1)
    cm_json_put_integer (writer, NULL, stream_id - 1);
  cm_json_close (writer);
  if (device->deleted)
    cm_json_put_boolean (writer, "deleted", TRUE);
  if (device->keys != NULL)
    cm_json_put_bytes (writer, "keys", device->keys);
  if (named)
    cm_json_put_text (writer, "device_display_name", device->display_name);
  return close_edu (writer);
}

/* The number counts on without an audience: whoever comes later starts from GET user/devices. */
static gboolean
tell_servers (CmNode *node, CmWrite *write, CmDb *db, const char *user_id, Device *device,
              GError **error)
{
  g_auto (GStrv) servers = cm_device_list_servers (db, user_id, node->server_name, error);
  gint64 stream_id = servers != NULL ? cm_device_list_take_stream_id (db, user_id, error) : 0;

  if (stream_id == 0)
    return FALSE;
  cm_device_list_use_stream_id (write, user_id, stream_id);
  if (servers[0] == NULL)
    return TRUE;
  if (!device->deleted && !read_device (db, user_id, device, error))
    return FALSE;
  g_autoptr (GBytes) edu =
      device_list_update (user_id, device, stream_id, node->config->federation.device_names);
  cm_destinations_queue (write, (const char *const *) servers, edu);
  return TRUE;
}

static gboolean
change (CmNode *node, CmWrite *write, const char *user_id, Device *device, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  return db != NULL && add_change (write, db, user_id, error) &&
         tell_servers (node, write, db, user_id, device, error);
}

gboolean
cm_device_lists_changed (CmNode *node, CmWrite *write, const char *user_id, const char *device_id,
                         GBytes *keys, GError **error)
{
  g_auto (Device) device = { .device_id = device_id };

  device.keys = keys != NULL ? g_bytes_ref (keys) : NULL;
  return change (node, write, user_id, &device, error);
}

gboolean
cm_device_lists_renamed (CmNode *node, CmWrite *write, const char *user_id, const char *device_id,
                         const char *display_name, GError **error)
{
  g_auto (Device) device = { .device_id = device_id };

  device.display_name = g_strdup (display_name);
  return change (node, write, user_id, &device, error);
}

gboolean
cm_device_lists_device_deleted (CmNode *node, CmWrite *write, const char *user_id,
                                const char *device_id, GError **error)
{
  g_auto (Device) device = { .device_id = device_id, .deleted = TRUE };

  cm_device_keys_delete (write, user_id, device_id);
  cm_key_signatures_forget (write, user_id, device_id);
  return change (node, write, user_id, &device, error);
}

/* server-server, "m.signing_key_update". */
gboolean
cm_device_lists_signing_keys_changed (CmNode *node, CmWrite *write, const char *user_id,
                                      GBytes *master, GBytes *self_signing, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_auto (GStrv) servers =
      db != NULL ? cm_device_list_servers (db, user_id, node->server_name, error) : NULL;

  if (servers == NULL || !add_change (write, db, user_id, error))
    return FALSE;
  g_autoptr (CmJsonWriter) writer = open_edu ("m.signing_key_update", user_id);
  if (master != NULL)
    cm_json_put_bytes (writer, "master_key", master);
  if (self_signing != NULL)
    cm_json_put_bytes (writer, "self_signing_key", self_signing);
  g_autoptr (GBytes) edu = close_edu (writer);
  if (servers[0] != NULL)
    cm_destinations_queue (write, (const char *const *) servers, edu);
  return TRUE;
}

gboolean
cm_device_lists_remote_changed (CmNode *node, CmWrite *write, const char *user_id, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  return db != NULL && add_change (write, db, user_id, error);
}

gboolean
cm_device_lists_between (CmNode *node, const char *user_id, gint64 from, gint64 to, char ***changed,
                         char ***left, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_auto (GStrv) found = db != NULL ? cm_device_list_changed (db, user_id, from, to, error) : NULL;

  if (found == NULL)
    return FALSE;
  *left = cm_device_list_left (db, user_id, from, to, error);
  if (*left == NULL)
    return FALSE;
  *changed = g_steal_pointer (&found);
  return TRUE;
}

/* Clients take a missing count for "unknown" and upload nothing: the algorithm that all use is
 * always there. */
void
cm_device_key_counts_write (CmJsonWriter *writer, const CmRows *counts)
{
  gboolean usual = FALSE;

  for (gsize i = 0; i < cm_rows_count (counts); i++) {
    usual = usual || strcmp (cm_rows_text (counts, i, 0), "signed_curve25519") == 0;
    cm_json_put_integer (writer, cm_rows_text (counts, i, 0), cm_rows_integer (counts, i, 1));
  }
  if (!usual)
    cm_json_put_integer (writer, "signed_curve25519", 0);
}

gboolean
cm_device_key_counts_put (CmNode *node, CmJsonWriter *writer, const char *user_id,
                          const char *device_id, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (CmRows) counts =
      db != NULL ? cm_one_time_keys_count (db, user_id, device_id, error) : NULL;
  g_autoptr (CmRows) unused =
      counts != NULL ? cm_fallback_keys_unused (db, user_id, device_id, error) : NULL;

  if (unused == NULL)
    return FALSE;
  cm_json_open_object (writer, "device_one_time_keys_count");
  cm_device_key_counts_write (writer, counts);
  cm_json_close (writer);
  cm_json_open_array (writer, "device_unused_fallback_key_types");
  for (gsize i = 0; i < cm_rows_count (unused); i++)
    cm_json_put_text (writer, NULL, cm_rows_text (unused, i, 0));
  cm_json_close (writer);
  return TRUE;
}
