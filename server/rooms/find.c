#include "server/rooms/find.h"

#include "crypto/id.h"
#include "federation/timeline.h"
#include "schema/membership.h"
#include "server/node.h"

#include <string.h>

static gboolean
not_inside (GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "You are not in this room");
  return FALSE;
}

static CmRoom *
find_room (CmNode *node, const char *room_id, GError **error)
{
  g_autoptr (GError) failure = NULL;

  if (!cm_id_is_room (room_id)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "This is no room id");
    return NULL;
  }
  CmRoom *room = cm_rooms_get (node->rooms, room_id, &failure);
  if (g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND))
    not_inside (error);
  else if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  return room;
}

CmRoom *
cm_call_room (CmCall *call, GError **error)
{
  return find_room (cm_call_node (call), cm_call_param (call, "roomId"), error);
}

CmRoomView *
cm_call_joined_room (CmCall *call, GError **error)
{
  g_autoptr (CmRoom) room = cm_call_room (call, error);

  if (room == NULL)
    return NULL;
  g_autoptr (CmRoomView) view = cm_room_view (room);
  if (cm_room_membership (view, cm_call_user (call)) != CM_MEMBERSHIP_JOIN) {
    not_inside (error);
    return NULL;
  }
  return g_steal_pointer (&view);
}

void
cm_readable_room_clear (CmReadableRoom *room)
{
  g_clear_pointer (&room->view, cm_room_view_unref);
  g_clear_pointer (&room->state, cm_state_map_unref);
}

static gboolean
is_world_readable (const CmRoomView *view)
{
  g_autoptr (CmEvent) visibility =
      cm_room_state_event (view, "m.room.history_visibility", "", NULL);

  return visibility != NULL &&
         g_strcmp0 (cm_json_get_text (visibility->content, "history_visibility"),
                    "world_readable") == 0;
}

static gboolean
read_departure (CmNode *node, const CmRoomView *view, const char *user_id, CmDeparture *departure,
                GError **error)
{
  g_autoptr (GError) failure = NULL;
  gint64 user = cm_sym_lookup (node->ids, user_id, &failure);

  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  return db != NULL && cm_membership_departure (db, view->room, user, departure, error);
}

/* Who was inside may read what he could read then (CVE-2021-39164). */
static gboolean
bound_by_departure (CmNode *node, CmReadableRoom *room, const char *user_id, GError **error)
{
  CmDeparture departure;

  if (!read_departure (node, room->view, user_id, &departure, error))
    return FALSE;
  if (departure.event == 0 || departure.forgotten)
    return not_inside (error);
  g_autoptr (CmEvent) event =
      cm_event_store_get (cm_rooms_events (node->rooms), departure.event, error);
  if (event == NULL)
    return FALSE;
  room->until = departure.position;
  room->state = cm_rooms_state_at (node->rooms, event->state_after, error);
  return room->state != NULL;
}

gboolean
cm_readable_room_find (CmNode *node, const char *room_id, const char *user_id, CmReadableRoom *room,
                       GError **error)
{
  g_autoptr (CmRoom) found = find_room (node, room_id, error);

  *room = (CmReadableRoom){ .until = G_MAXINT64 };
  if (found == NULL)
    return FALSE;
  room->view = cm_room_view (found);
  CmMembership membership = cm_room_membership (room->view, user_id);
  if (membership != CM_MEMBERSHIP_JOIN && !is_world_readable (room->view))
    return membership == CM_MEMBERSHIP_BAN ? not_inside (error)
                                           : bound_by_departure (node, room, user_id, error);
  room->state = cm_state_map_ref (room->view->state);
  return TRUE;
}

gboolean
cm_call_readable_room (CmCall *call, CmReadableRoom *room, GError **error)
{
  return cm_readable_room_find (cm_call_node (call), cm_call_param (call, "roomId"),
                                cm_call_user (call), room, error);
}

GPtrArray *
cm_readable_room_state (CmNode *node, const CmReadableRoom *room, GError **error)
{
  const CmStateEntry *entries = cm_state_map_entries (room->state);
  gsize count = cm_state_map_size (room->state);
  g_autofree gint64 *numbers = g_new (gint64, count + 1);

  for (gsize i = 0; i < count; i++)
    numbers[i] = entries[i].event;
  return cm_event_store_get_many (cm_rooms_events (node->rooms), numbers, count, error);
}

CmViewer
cm_call_viewer (CmCall *call)
{
  return (CmViewer){ .node = cm_call_node (call),
                     .user_id = cm_call_user (call),
                     .device_id = cm_call_device (call) };
}

CmEvent *
cm_readable_room_event (CmNode *node, const CmReadableRoom *room, const char *user_id,
                        const char *event_id, GError **error)
{
  g_autoptr (CmEvent) event = cm_event_store_find (cm_rooms_events (node->rooms), event_id, error);

  if (event == NULL)
    return NULL;
  g_autoptr (GPtrArray) one = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  if (strcmp (event->room_id, room->view->room_id) == 0 && event->position <= room->until)
    g_ptr_array_add (one, cm_event_ref (event));
  if (!cm_timeline_filter_for_user (node->rooms, one, user_id, error))
    return NULL;
  if (one->len == 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Event not found");
    return NULL;
  }
  return g_steal_pointer (&event);
}

CmReply *
cm_event_time_reply (const CmEvent *event)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "event_id", event->event_id);
  cm_json_put_integer (writer, "origin_server_ts", event->origin_server_ts);
  cm_json_close (writer);
  return cm_reply_json (writer);
}
