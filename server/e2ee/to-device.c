#include "server/e2ee/to-device.h"

#include "crypto/json-writer.h"
#include "schema/to-device.h"

GBytes *
cm_to_device_message (const char *sender, const char *type, const char *device_id,
                      const CmJson *content, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_autoptr (GBytes) message = NULL;

  if (device_id == NULL || cm_json_type (content) != CM_JSON_OBJECT) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON,
                         "messages must hold an object for each device");
    return NULL;
  }
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "type", type);
  cm_json_put_text (writer, "sender", sender);
  cm_json_put_node (writer, "content", content);
  cm_json_close (writer);
  message = cm_json_writer_end (writer);
  if (g_bytes_get_size (message) > CM_TO_DEVICE_MAX_BYTES) {
    g_set_error (error, CM_ERROR, CM_ERROR_TOO_LARGE,
                 "A message to a device is larger than an event may be");
    return NULL;
  }
  return g_steal_pointer (&message);
}

gboolean
cm_to_device_put (CmNode *node, CmWrite *write, const char *sender, const char *type,
                  const char *user_id, const char *device_id, const CmJson *content, GError **error)
{
  g_autoptr (GBytes) message = cm_to_device_message (sender, type, device_id, content, error);

  if (message != NULL)
    cm_mailbox_add (write, user_id, device_id, message);
  return message != NULL;
}

GPtrArray *
cm_to_device_read (CmNode *node, const char *user_id, const char *device_id, gint64 from, gint64 to,
                   guint limit, gint64 *last, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (CmRows) rows =
      db != NULL ? cm_mailbox_read (db, user_id, device_id, from, to, limit, error) : NULL;

  if (rows == NULL)
    return NULL;
  GPtrArray *messages = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_ptr_array_add (messages, cm_rows_bytes (rows, i, 1));
  /* A full page ends at its last message: the rest comes with the next sync. */
  *last = messages->len == limit && limit > 0 ? cm_rows_integer (rows, limit - 1, 0) : to;
  return messages;
}

gboolean
cm_to_device_acknowledge (CmNode *node, const char *user_id, const char *device_id, gint64 position,
                          GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  return db != NULL && cm_mailbox_empty (db, user_id, device_id, position, error);
}
