#include "server/push/notification.h"

#include "crypto/json-writer.h"

#include <string.h>

static const CmJson *
stripped_content (const CmJson *stripped, const char *type, const char *state_key)
{
  const CmJson *event;
  CmJsonIter iter;

  cm_json_iter_init (&iter, stripped);
  while (cm_json_iter_next (&iter, NULL, &event))
    if (g_strcmp0 (cm_json_get_text (event, "type"), type) == 0 &&
        g_strcmp0 (cm_json_get_text (event, "state_key"), state_key) == 0)
      return cm_json_get_object (event, "content");
  return NULL;
}

static char *
state_text (const CmNotification *notification, const char *type, const char *state_key,
            const char *key)
{
  const CmRoomView *view = notification->view;
  g_autoptr (CmEvent) event =
      view != NULL ? cm_room_state_event (view, type, state_key, NULL) : NULL;
  const CmJson *content =
      event != NULL ? event->content : stripped_content (notification->stripped, type, state_key);

  return g_strdup (cm_json_get_text (content, key));
}

/* "tweaks": what set_tweak says; a highlight without value is one. */
static void
put_tweaks (CmJsonWriter *writer, const CmJson *actions)
{
  const CmJson *action;
  CmJsonIter iter;

  cm_json_open_object (writer, "tweaks");
  cm_json_iter_init (&iter, actions);
  while (cm_json_iter_next (&iter, NULL, &action)) {
    const char *tweak = cm_json_get_text (action, "set_tweak");
    const CmJson *value = cm_json_get (action, "value");
    if (tweak != NULL && value != NULL)
      cm_json_put_node (writer, tweak, value);
    else if (tweak != NULL && strcmp (tweak, "highlight") == 0)
      cm_json_put_boolean (writer, tweak, TRUE);
  }
  cm_json_close (writer);
}

/* "Servers MUST forward the entire content including format and any custom keys but excluding url"
 */
static void
put_data (CmJsonWriter *writer, const CmJson *data)
{
  const CmJson *value;
  CmJsonIter iter;

  cm_json_open_object (writer, "data");
  cm_json_iter_init (&iter, data);
  while (cm_json_iter_next (&iter, NULL, &value))
    if (g_strcmp0 (cm_json_text (iter.key), "url") != 0)
      cm_json_put_member (writer, iter.key, value);
  cm_json_close (writer);
}

static void
put_device (CmJsonWriter *writer, const CmNotification *notification)
{
  cm_json_open_array (writer, "devices");
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "app_id", notification->app_id);
  put_data (writer, notification->data);
  cm_json_put_text (writer, "pushkey", notification->pushkey);
  if (notification->event != NULL)
    put_tweaks (writer, notification->actions);
  cm_json_close (writer);
  cm_json_close (writer);
}

/* Loud ones are urgent, and so is what cannot be read here. */
static const char *
priority (const CmNotification *notification)
{
  gboolean loud = strcmp (notification->event->type, "m.room.encrypted") == 0;
  const CmJson *action;
  CmJsonIter iter;

  cm_json_iter_init (&iter, notification->actions);
  while (cm_json_iter_next (&iter, NULL, &action))
    loud = loud || cm_json_get_text (action, "set_tweak") != NULL;
  return loud ? "high" : "low";
}

static void
put_event (CmJsonWriter *writer, const CmNotification *notification)
{
  const CmEvent *event = notification->event;
  g_autofree char *name = state_text (notification, "m.room.name", "", "name");
  g_autofree char *alias = state_text (notification, "m.room.canonical_alias", "", "alias");
  g_autofree char *sender =
      state_text (notification, "m.room.member", event->sender, "displayname");

  cm_json_put_node (writer, "content", event->content);
  cm_json_put_text (writer, "prio", priority (notification));
  cm_json_put_text (writer, "room_alias", alias);
  cm_json_put_text (writer, "room_name", name);
  cm_json_put_text (writer, "sender", event->sender);
  cm_json_put_text (writer, "sender_display_name", sender);
  cm_json_put_text (writer, "type", event->type);
  if (strcmp (event->type, "m.room.member") == 0)
    cm_json_put_boolean (writer, "user_is_target",
                         g_strcmp0 (event->state_key, notification->user_id) == 0);
}

GBytes *
cm_notification_body (const CmNotification *notification)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gboolean only_id =
      g_strcmp0 (cm_json_get_text (notification->data, "format"), "event_id_only") == 0;

  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "notification");
  cm_json_open_object (writer, "counts");
  cm_json_put_integer (writer, "unread", notification->unread);
  cm_json_close (writer);
  put_device (writer, notification);
  if (notification->event != NULL) {
    cm_json_put_text (writer, "event_id", notification->event->event_id);
    cm_json_put_text (writer, "room_id", notification->event->room_id);
    if (!only_id)
      put_event (writer, notification);
  }
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}
