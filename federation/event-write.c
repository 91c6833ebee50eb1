#include "federation/event.h"

#include <string.h>

/* Writes @object (JSON text) with one member more at its end. As text: a key of it may hold U+0000,
 * which the writer's keys may not. */
static void
put_with_member (CmJsonWriter *writer, const char *key, const char *object, gsize length,
                 const char *member, const char *value)
{
  g_autoptr (GString) text = g_string_sized_new (length + strlen (member) + strlen (value) + 8);

  g_string_append_len (text, object, (gssize) length - 1);
  g_string_append_printf (text, "%s\"%s\":%s}", length > strlen ("{}") ? "," : "", member, value);
  cm_json_put_raw (writer, key, text->str, text->len);
}

static char *
node_text (const CmJson *node)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_put_node (writer, NULL, node);
  return cm_json_writer_end_text (writer);
}

static void
write_federation (CmJsonWriter *writer, const char *key, const CmEvent *event,
                  const CmJson *unsigned_members)
{
  gsize length;
  const char *bytes = g_bytes_get_data (event->bytes, &length);

  if (cm_json_length (unsigned_members) == 0) {
    cm_json_put_raw (writer, key, bytes, length);
    return;
  }
  g_autofree char *unproven = node_text (unsigned_members);
  put_with_member (writer, key, bytes, length, "unsigned", unproven);
}

/* rooms/v11, "Moving the redacts property": clients find it in both places, whatever the room
 * version. */
static void
write_redaction_content (CmJsonWriter *writer, const CmEvent *event)
{
  g_autofree char *content = node_text (event->content);
  g_autofree char *redacts = NULL;
  g_autoptr (CmJsonWriter) value = cm_json_writer_new ();

  if (cm_json_get (event->content, "redacts") != NULL) {
    cm_json_put_node (writer, "content", event->content);
    return;
  }
  cm_json_put_text (value, NULL, event->redacts);
  redacts = cm_json_writer_end_text (value);
  put_with_member (writer, "content", content, strlen (content), "redacts", redacts);
}

/* Only the members that the client-server API knows: others that a server put into its event might
 * pass for this server's. */
static void
write_client (CmJsonWriter *writer, const char *key, const CmEvent *event, gboolean room_id,
              const CmJson *unsigned_members)
{
  cm_json_open_object (writer, key);
  if (event->redacts != NULL)
    write_redaction_content (writer, event);
  else
    cm_json_put_node (writer, "content", event->content);
  cm_json_put_text (writer, "event_id", event->event_id);
  cm_json_put_integer (writer, "origin_server_ts", event->origin_server_ts);
  cm_json_put_text (writer, "redacts", event->redacts);
  if (room_id)
    cm_json_put_text (writer, "room_id", event->room_id);
  cm_json_put_text (writer, "sender", event->sender);
  cm_json_put_text (writer, "state_key", event->state_key);
  cm_json_put_text (writer, "type", event->type);
  if (cm_json_length (unsigned_members) > 0)
    cm_json_put_node (writer, "unsigned", unsigned_members);
  cm_json_close (writer);
}

/* client-server, "Stripped state" */
static void
write_stripped (CmJsonWriter *writer, const char *key, const CmEvent *event)
{
  cm_json_open_object (writer, key);
  cm_json_put_node (writer, "content", event->content);
  cm_json_put_text (writer, "sender", event->sender);
  cm_json_put_text (writer, "state_key", event->state_key);
  cm_json_put_text (writer, "type", event->type);
  cm_json_close (writer);
}

void
cm_event_write (CmJsonWriter *writer, const char *key, const CmEvent *event, CmEventFormat format,
                const CmJson *unsigned_members)
{
  switch (format) {
  case CM_FORMAT_FEDERATION:
    write_federation (writer, key, event, unsigned_members);
    return;
  case CM_FORMAT_STRIPPED:
    write_stripped (writer, key, event);
    return;
  case CM_FORMAT_CLIENT:
  case CM_FORMAT_CLIENT_NO_ROOM_ID:
    write_client (writer, key, event, format == CM_FORMAT_CLIENT, unsigned_members);
    return;
  }
}
