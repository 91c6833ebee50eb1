#include "federation/room-private.h"

#include <string.h>

CmRoomView *
cm_room_view_new (CmRoom *room)
{
  CmRoomView *view = g_new0 (CmRoomView, 1);
  g_atomic_ref_count_init (&view->refs);
  view->rooms = room->rooms;
  view->room_id = g_strdup (room->room_id);
  view->room = room->sym;
  view->version = room->version;
  view->state = cm_state_map_new_empty ();
  view->extremities = g_array_new (FALSE, FALSE, sizeof (gint64));
  cm_room_view_set_servers (view, g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL));
  return view;
}

CmRoomView *
cm_room_view_copy (const CmRoomView *view)
{
  if (view == NULL)
    return NULL;
  CmRoomView *copy = g_memdup2 (view, sizeof *view);
  g_atomic_ref_count_init (&copy->refs);
  copy->room_id = g_strdup (view->room_id);
  copy->state = cm_state_map_ref (view->state);
  copy->extremities = g_array_ref (view->extremities);
  copy->servers = g_hash_table_ref (view->servers);
  copy->others = g_ptr_array_ref (view->others);
  return copy;
}

CmRoomView *
cm_room_view_ref (CmRoomView *view)
{
  g_atomic_ref_count_inc (&view->refs);
  return view;
}

void
cm_room_view_unref (CmRoomView *view)
{
  if (!g_atomic_ref_count_dec (&view->refs))
    return;
  g_free (view->room_id);
  cm_state_map_unref (view->state);
  g_array_unref (view->extremities);
  g_hash_table_unref (view->servers);
  g_ptr_array_unref (view->others);
  g_free (view);
}

void
cm_room_view_set_state (CmRoomView *view, const CmState *state)
{
  CmStateMap *before = view->state;
  view->state = cm_state_map_ref (state->map);
  view->state_id = state->id;
  cm_state_map_unref (before);
}

void
cm_room_view_set_servers (CmRoomView *view, GHashTable *servers)
{
  GPtrArray *others = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer name;
  g_hash_table_iter_init (&iter, servers);
  while (g_hash_table_iter_next (&iter, &name, NULL)) {
    if (strcmp (name, view->rooms->parts.server_name) != 0)
      g_ptr_array_add (others, g_strdup (name));
  }
  g_ptr_array_add (others, NULL);
  g_clear_pointer (&view->servers, g_hash_table_unref);
  g_clear_pointer (&view->others, g_ptr_array_unref);
  view->servers = servers;
  view->others = others;
}

CmRoomView *
cm_room_view (CmRoom *room)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&room->view_mutex);
  return room->view != NULL ? cm_room_view_ref (room->view) : NULL;
}

void
cm_room_publish (CmRoom *room, CmRoomView *view)
{
  CmRoomView *before;
  {
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&room->view_mutex);
    before = room->view;
    room->view = cm_room_view_ref (view);
  }
  g_clear_pointer (&before, cm_room_view_unref);
}

/* The number at a key, 0 when none or when the key was never seen; -1 with @error. */
static gint64
number_at (CmRooms *rooms, const CmStateMap *state, const char *type, const char *state_key,
           GError **error)
{
  g_autoptr (GError) failure = NULL;
  gint64 type_sym = cm_sym_lookup (rooms->parts.ids, type, &failure);
  gint64 key_sym = type_sym != 0 ? cm_sym_lookup (rooms->parts.ids, state_key, &failure) : 0;
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return -1;
  }
  return key_sym != 0 ? cm_state_map_get (state, (guint32) type_sym, (guint32) key_sym) : 0;
}

CmEvent *
cm_rooms_event_in (CmRooms *rooms, const CmStateMap *state, const char *type, const char *state_key,
                   GError **error)
{
  gint64 number = number_at (rooms, state, type, state_key, error);
  return number > 0 ? cm_event_store_get (rooms->events, number, error) : NULL;
}

CmEvent *
cm_room_state_event (const CmRoomView *view, const char *type, const char *state_key,
                     GError **error)
{
  return cm_rooms_event_in (view->rooms, view->state, type, state_key, error);
}

GPtrArray *
cm_room_state_events (const CmRoomView *view, const char *type, GError **error)
{
  CmRooms *rooms = view->rooms;
  gsize count = cm_state_map_size (view->state);
  const CmStateEntry *entries = cm_state_map_entries (view->state);
  if (type != NULL) {
    g_autoptr (GError) failure = NULL;
    gint64 sym = cm_sym_lookup (rooms->parts.ids, type, &failure);
    if (failure != NULL) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return NULL;
    }
    entries = cm_state_map_of_type (view->state, (guint32) sym, &count);
  }
  g_autofree gint64 *numbers = g_new (gint64, count + 1);
  for (gsize i = 0; i < count; i++)
    numbers[i] = entries[i].event;
  g_autoptr (GPtrArray) events = cm_event_store_get_many (rooms->events, numbers, count, error);
  if (events == NULL)
    return NULL;
  /* An event that cannot be read is left out (and was logged): it must not spoil the rest. */
  while (g_ptr_array_remove (events, NULL))
    continue;
  return g_steal_pointer (&events);
}

static const char *const memberships[] = {
  [CM_MEMBERSHIP_NONE] = "",       [CM_MEMBERSHIP_INVITE] = "invite", [CM_MEMBERSHIP_JOIN] = "join",
  [CM_MEMBERSHIP_KNOCK] = "knock", [CM_MEMBERSHIP_LEAVE] = "leave",   [CM_MEMBERSHIP_BAN] = "ban",
};

CmMembership
cm_membership_from_text (const char *text)
{
  for (gsize i = 1; text != NULL && i < G_N_ELEMENTS (memberships); i++) {
    if (strcmp (text, memberships[i]) == 0)
      return (CmMembership) i;
  }
  return CM_MEMBERSHIP_NONE;
}

const char *
cm_membership_text (CmMembership membership)
{
  return memberships[membership];
}

CmMembership
cm_room_membership (const CmRoomView *view, const char *user_id)
{
  g_autoptr (CmEvent) event = cm_room_state_event (view, "m.room.member", user_id, NULL);
  return event != NULL ? cm_membership_from_text (cm_event_membership (event)) : CM_MEMBERSHIP_NONE;
}
