#include "server/ephemeral/typing.h"

#include "crypto/id.h"
#include "federation/destinations.h"
#include "federation/rooms.h"
#include "server/ephemeral/ephemeral-private.h"
#include "server/sync/hub.h"

#include <string.h>

#define MAX_TYPISTS 1000

typedef struct {
  GHashTable *typists; /* user id -> gint64*: monotonic time at which it ends */
  gint64 counter;
} Room;

static void
free_room (gpointer data)
{
  Room *room = data;

  g_hash_table_unref (room->typists);
  g_free (room);
}

GHashTable *
cm_typing_rooms_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_room);
}

static void
tell_typing_to (CmEphemeral *ephemeral, const CmRoomView *view, const char *user_id,
                gboolean typing)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_autofree char *key = g_strjoin ("/", "typing", view->room_id, user_id, NULL);
  GHashTableIter iter;
  gpointer server;

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "edu_type", "m.typing");
  cm_json_open_object (writer, "content");
  cm_json_put_text (writer, "room_id", view->room_id);
  cm_json_put_text (writer, "user_id", user_id);
  cm_json_put_boolean (writer, "typing", typing);
  cm_json_close (writer);
  cm_json_close (writer);
  g_autoptr (GBytes) edu = cm_json_writer_end (writer);
  g_hash_table_iter_init (&iter, view->servers);
  while (g_hash_table_iter_next (&iter, &server, NULL))
    if (strcmp (server, ephemeral->node->server_name) != 0)
      cm_destinations_ephemeral (ephemeral->node->destinations, server, key, edu);
}

static void
tell_typing (CmEphemeral *ephemeral, const char *room_id, const char *user_id, gboolean typing)
{
  CmNode *node = ephemeral->node;

  if (node->destinations == NULL || !cm_id_domain_is (user_id, node->server_name))
    return;
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, room_id, NULL);
  if (view != NULL)
    tell_typing_to (ephemeral, view, user_id, typing);
}

/* TRUE when who types changed. */
static gboolean
set_typing (CmEphemeral *ephemeral, const char *room_id, const char *user_id, guint timeout_ms)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
  Room *room = g_hash_table_lookup (ephemeral->rooms, room_id);
  gint64 end = g_get_monotonic_time () + timeout_ms * G_TIME_SPAN_MILLISECOND;
  gboolean changed;

  if (room == NULL) {
    if (timeout_ms == 0)
      return FALSE;
    room = g_new0 (Room, 1);
    room->typists = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert (ephemeral->rooms, g_strdup (room_id), room);
  }
  if (timeout_ms == 0)
    changed = g_hash_table_remove (room->typists, user_id);
  else if (g_hash_table_size (room->typists) >= MAX_TYPISTS)
    return FALSE;
  else
    changed =
        g_hash_table_replace (room->typists, g_strdup (user_id), g_memdup2 (&end, sizeof end));
  if (changed)
    room->counter = ephemeral->typing_counter = ++ephemeral->counter;
  return changed;
}

void
cm_ephemeral_typing (CmEphemeral *ephemeral, const char *room_id, const char *user_id,
                     guint timeout_ms)
{
  gboolean changed = set_typing (ephemeral, room_id, user_id, timeout_ms);

  /* Other servers let it run out by themselves, so they are told again of what goes on. */
  if (changed || timeout_ms > 0)
    tell_typing (ephemeral, room_id, user_id, timeout_ms > 0);
  if (changed)
    cm_sync_hub_wake_room (ephemeral->node->sync, room_id);
}

GPtrArray *
cm_ephemeral_typists (CmEphemeral *ephemeral, const char *room_id, gint64 *counter)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
  GPtrArray *typists = g_ptr_array_new_with_free_func (g_free);
  const Room *room = g_hash_table_lookup (ephemeral->rooms, room_id);
  GHashTableIter iter;
  gpointer user_id;

  *counter = room != NULL ? room->counter : 0;
  if (room == NULL)
    return typists;
  g_hash_table_iter_init (&iter, room->typists);
  while (g_hash_table_iter_next (&iter, &user_id, NULL))
    g_ptr_array_add (typists, g_strdup (user_id));
  return typists;
}

gboolean
cm_ephemeral_typing_changed (CmEphemeral *ephemeral, gint64 since)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);

  return ephemeral->typing_counter > since;
}

/* Rooms that nobody types in stay until nobody can hold a token from before they fell silent: for
 * good, but they are few and small. Appends to @changed the ids of rooms to wake. */
static void
end_typing (CmEphemeral *ephemeral, gint64 now, GPtrArray *changed)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
  GHashTableIter rooms, typists;
  gpointer room_id, value, end;

  g_hash_table_iter_init (&rooms, ephemeral->rooms);
  while (g_hash_table_iter_next (&rooms, &room_id, &value)) {
    Room *room = value;
    gboolean ended = FALSE;
    g_hash_table_iter_init (&typists, room->typists);
    while (g_hash_table_iter_next (&typists, NULL, &end))
      if (*(gint64 *) end <= now) {
        g_hash_table_iter_remove (&typists);
        ended = TRUE;
      }
    if (!ended)
      continue;
    room->counter = ephemeral->typing_counter = ++ephemeral->counter;
    g_ptr_array_add (changed, g_strdup (room_id));
  }
}

void
cm_typing_tick (CmEphemeral *ephemeral, gint64 now)
{
  g_autoptr (GPtrArray) changed = g_ptr_array_new_with_free_func (g_free);

  end_typing (ephemeral, now, changed);
  for (guint i = 0; i < changed->len; i++)
    cm_sync_hub_wake_room (ephemeral->node->sync, g_ptr_array_index (changed, i));
}
