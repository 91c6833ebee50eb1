#include "federation/stripped.h"

#include "crypto/id.h"

#define MAX_EVENTS 32
#define MAX_EVENT  (8 * 1024)
#define MAX_BYTES  (48 * 1024)

static const char *const shown_types[] = {
  "m.room.join_rules", "m.room.canonical_alias", "m.room.encryption",
  "m.room.name",       "m.room.avatar",          "m.room.topic",
};

static gboolean
is_stripped (const CmJson *event)
{
  return cm_json_get_text (event, "type") != NULL &&
         cm_json_get_text (event, "state_key") != NULL &&
         cm_id_is_user (cm_json_get_text (event, "sender")) &&
         cm_json_get_object (event, "content") != NULL;
}

static GBytes *
strip (const CmJson *event)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, "content", cm_json_get (event, "content"));
  cm_json_put_node (writer, "sender", cm_json_get (event, "sender"));
  cm_json_put_node (writer, "state_key", cm_json_get (event, "state_key"));
  cm_json_put_node (writer, "type", cm_json_get (event, "type"));
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

GBytes *
cm_stripped_read (const CmJson *list)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *event;
  CmJsonIter iter;
  guint count = 0;

  cm_json_open_array (writer, NULL);
  cm_json_iter_init (&iter, list);
  while (count < MAX_EVENTS && cm_json_iter_next (&iter, NULL, &event)) {
    if (!is_stripped (event))
      continue;
    g_autoptr (GBytes) stripped = strip (event);
    if (cm_json_writer_length (writer) + g_bytes_get_size (stripped) > MAX_BYTES)
      continue;
    cm_json_put_bytes (writer, NULL, stripped);
    count++;
  }
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

/* @max: the event is left out when it is longer. */
static gboolean
put_state (CmJsonWriter *writer, const CmRoomView *view, const char *type, const char *state_key,
           gsize max, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) event = cm_room_state_event (view, type, state_key, &failure);

  if (event != NULL && g_bytes_get_size (event->bytes) <= max)
    cm_event_write (writer, NULL, event, CM_FORMAT_FEDERATION, NULL);
  if (failure == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

gboolean
cm_stripped_write (CmJsonWriter *writer, const char *key, const CmRoomView *view,
                   const char *user_id, GError **error)
{
  cm_json_open_array (writer, key);
  gboolean ok =
      put_state (writer, view, "m.room.create", "", CM_EVENT_MAX_BYTES, error) &&
      (user_id == NULL || put_state (writer, view, "m.room.member", user_id, MAX_EVENT, error));
  for (gsize i = 0; ok && i < G_N_ELEMENTS (shown_types); i++)
    ok = put_state (writer, view, shown_types[i], "", MAX_EVENT, error);
  cm_json_close (writer);
  return ok;
}
