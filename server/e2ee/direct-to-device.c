#include "server/e2ee/direct-to-device.h"

#include "crypto/hash.h"
#include "crypto/id.h"
#include "crypto/json-writer.h"
#include "federation/destinations.h"
#include "server/e2ee/to-device.h"

/* An EDU that has a message takes no other that would make it larger. */
#define EDU_BYTES 65536

/* How many servers one request may write to: clients send to some hundreds of devices at a time. */
#define MAX_SERVERS 1000

/* The EDU that is being written for one server. */
typedef struct {
  const char *server;
  CmJsonWriter *writer;
  const char *user_id; /* whose messages are being written; NULL: there is no EDU yet */
} Parcel;

struct _CmDirectToDevice {
  CmWrite *write;
  const char *sender;
  const char *type;
  GHashTable *parcels; /* server -> Parcel */
};

static void
parcel_free (gpointer data)
{
  Parcel *parcel = data;

  cm_json_writer_free (parcel->writer);
  g_free (parcel);
}

CmDirectToDevice *
cm_direct_to_device_new (CmWrite *write, const char *sender, const char *type)
{
  CmDirectToDevice *self = g_new0 (CmDirectToDevice, 1);

  self->write = write;
  self->sender = sender;
  self->type = type;
  self->parcels = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, parcel_free);
  return self;
}

void
cm_direct_to_device_free (CmDirectToDevice *self)
{
  g_hash_table_unref (self->parcels);
  g_free (self);
}

static gboolean
too_large (GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_TOO_LARGE, "Too many recipients");
  return FALSE;
}

static Parcel *
parcel_for (CmDirectToDevice *self, const char *server)
{
  Parcel *parcel = g_hash_table_lookup (self->parcels, server);

  if (parcel != NULL || g_hash_table_size (self->parcels) >= MAX_SERVERS)
    return parcel;
  parcel = g_new0 (Parcel, 1);
  parcel->server = server;
  parcel->writer = cm_json_writer_new ();
  g_hash_table_insert (self->parcels, (gpointer) server, parcel);
  return parcel;
}

static void
begin_edu (const CmDirectToDevice *self, CmJsonWriter *writer)
{
  g_autofree char *message_id = cm_random_token (24);

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "edu_type", "m.direct_to_device");
  cm_json_open_object (writer, "content");
  cm_json_put_text (writer, "sender", self->sender);
  cm_json_put_text (writer, "type", self->type);
  cm_json_put_text (writer, "message_id", message_id);
  cm_json_open_object (writer, "messages");
}

/* Its user, the messages, the content and itself are open. */
static void
end_edu (CmDirectToDevice *self, Parcel *parcel)
{
  g_autoptr (GBytes) edu = NULL;

  for (int i = 0; i < 4; i++)
    cm_json_close (parcel->writer);
  edu = cm_json_writer_end (parcel->writer);
  cm_destinations_queue (self->write, (const char *const[]){ parcel->server, NULL }, edu);
  parcel->user_id = NULL;
}

static void
put_message (CmDirectToDevice *self, Parcel *parcel, const char *user_id, const char *device_id,
             const CmJson *content, gsize size)
{
  if (parcel->user_id != NULL && cm_json_writer_length (parcel->writer) + size > EDU_BYTES)
    end_edu (self, parcel);
  if (parcel->user_id == NULL)
    begin_edu (self, parcel->writer);
  else if (parcel->user_id != user_id)
    cm_json_close (parcel->writer);
  if (parcel->user_id != user_id)
    cm_json_open_object (parcel->writer, user_id);
  parcel->user_id = user_id;
  cm_json_put_node (parcel->writer, device_id, content);
}

gboolean
cm_direct_to_device_put (CmDirectToDevice *self, const char *user_id, const CmJson *by_device,
                         GError **error)
{
  Parcel *parcel = NULL;
  const CmJson *content;
  CmJsonIter iter;

  cm_json_iter_init (&iter, by_device);
  while (cm_json_iter_next (&iter, NULL, &content)) {
    const char *device_id = cm_json_text (iter.key);
    g_autoptr (GBytes) message = NULL;

    if (parcel == NULL)
      parcel = parcel_for (self, cm_id_domain (user_id));
    if (parcel == NULL)
      return too_large (error);
    message = cm_to_device_message (self->sender, self->type, device_id, content, error);
    if (message == NULL)
      return FALSE;
    put_message (self, parcel, user_id, device_id, content, g_bytes_get_size (message));
  }
  return TRUE;
}

void
cm_direct_to_device_end (CmDirectToDevice *self)
{
  GHashTableIter iter;
  gpointer parcel;

  g_hash_table_iter_init (&iter, self->parcels);
  while (g_hash_table_iter_next (&iter, NULL, &parcel))
    end_edu (self, parcel);
}
