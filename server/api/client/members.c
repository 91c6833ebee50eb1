/* Who is in a room, and in which rooms the caller is. */
#include "federation/timeline.h"
#include "schema/membership.h"
#include "schema/room-history.h"
#include "server/client-event.h"
#include "server/node.h"
#include "server/rooms/find.h"
#include "server/rooms/page-token.h"
#include "server/routes.h"

#include <string.h>

/* (transfer full) the last event at @position, NULL without @error when the reader may not see it.
 * @last: the number of the last of all. */
static CmEvent *
visible_event_at (CmCall *call, const CmReadableRoom *room, gint64 position, gint64 *last,
                  GError **error)
{
  CmRooms *rooms = cm_call_node (call)->rooms;
  g_autoptr (GPtrArray) one = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  gint64 number;
  {
    g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
    if (db == NULL ||
        !cm_room_event_at_position (db, room->view->room, MIN (position, room->until), &number,
                                    error) ||
        !cm_room_event_at_position (db, room->view->room, room->until, last, error))
      return NULL;
  }
  CmEvent *event = number != 0 ? cm_event_store_get (cm_rooms_events (rooms), number, error) : NULL;
  if (event != NULL)
    g_ptr_array_add (one, event);
  if (!cm_timeline_filter_for_user (rooms, one, cm_call_user (call), error))
    return NULL;
  return one->len > 0 ? cm_event_ref (one->pdata[0]) : NULL;
}

/* (transfer full) the state to list members of: as the reader may see it, or as it was at ?at=, if
 * he may see what happened there: who came and went before is history like all else. At the end of
 * all it is the room's, which an event's own state may differ from where branches have not met. */
static CmStateMap *
state_for (CmCall *call, const CmReadableRoom *room, GError **error)
{
  const char *at = cm_call_query (call, "at");
  g_autoptr (GError) failure = NULL;
  gint64 position, last;

  if (at == NULL)
    return cm_state_map_ref (room->state);
  if (!cm_page_token_parse (at, &position, error))
    return NULL;
  g_autoptr (CmEvent) event = visible_event_at (call, room, position, &last, &failure);
  if (event != NULL && event->number != last)
    return cm_rooms_state_at (cm_call_node (call)->rooms, event->state_after, error);
  if (failure == NULL)
    return cm_state_map_ref (room->state);
  g_propagate_error (error, g_steal_pointer (&failure));
  return NULL;
}

/* (transfer full) the member events of @state. */
static GPtrArray *
members_of (CmNode *node, const CmStateMap *state, GError **error)
{
  gint64 type = cm_sym (node->ids, "m.room.member", error);
  gsize count;

  if (type == 0)
    return NULL;
  const CmStateEntry *entries = cm_state_map_of_type (state, (guint32) type, &count);
  g_autofree gint64 *numbers = g_new (gint64, count + 1);
  for (gsize i = 0; i < count; i++)
    numbers[i] = entries[i].event;
  return cm_event_store_get_many (cm_rooms_events (node->rooms), numbers, count, error);
}

/* What stays in the list is what ?membership= and ?not_membership= leave. */
static gboolean
choose (CmCall *call, GPtrArray *members, GError **error)
{
  const char *wanted = cm_call_query (call, "membership");
  const char *unwanted = cm_call_query (call, "not_membership");

  if ((wanted != NULL && cm_membership_from_text (wanted) == CM_MEMBERSHIP_NONE) ||
      (unwanted != NULL && cm_membership_from_text (unwanted) == CM_MEMBERSHIP_NONE)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "Unknown membership");
    return FALSE;
  }
  for (guint i = members->len; i > 0; i--) {
    const char *membership = cm_event_membership (members->pdata[i - 1]);
    if ((wanted != NULL && g_strcmp0 (membership, wanted) != 0) ||
        (unwanted != NULL && g_strcmp0 (membership, unwanted) == 0))
      g_ptr_array_remove_index (members, i - 1);
  }
  return TRUE;
}

/* GET /rooms/{roomId}/members: who may ask is decided before anything else is looked at
 * (CVE-2021-39164). */
static CmReply *
get_members (CmCall *call, GError **error)
{
  g_auto (CmReadableRoom) room = { 0 };
  CmViewer viewer = cm_call_viewer (call);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  viewer.flags = CM_SHOW_STATE;
  if (!cm_call_readable_room (call, &room, error))
    return NULL;
  g_autoptr (CmStateMap) state = state_for (call, &room, error);
  g_autoptr (GPtrArray) members = state != NULL ? members_of (viewer.node, state, error) : NULL;
  if (members == NULL || !choose (call, members, error))
    return NULL;
  cm_json_open_object (writer, NULL);
  if (!cm_client_events_put (writer, "chunk", &viewer, members, error))
    return NULL;
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* Some clients want the members to be there whatever they hold. */
static void
put_text_or_null (CmJsonWriter *writer, const char *key, const char *text)
{
  if (text != NULL)
    cm_json_put_text (writer, key, text);
  else
    cm_json_put_null (writer, key);
}

/* GET /rooms/{roomId}/joined_members */
static CmReply *
get_joined_members (CmCall *call, GError **error)
{
  g_autoptr (CmRoomView) view = cm_call_joined_room (call, error);
  g_autoptr (GPtrArray) members =
      view != NULL ? members_of (cm_call_node (call), view->state, error) : NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (members == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "joined");
  for (guint i = 0; i < members->len; i++) {
    const CmEvent *member = members->pdata[i];
    if (member == NULL || g_strcmp0 (cm_event_membership (member), "join") != 0)
      continue;
    cm_json_open_object (writer, member->state_key);
    put_text_or_null (writer, "display_name", cm_json_get_text (member->content, "displayname"));
    put_text_or_null (writer, "avatar_url", cm_json_get_text (member->content, "avatar_url"));
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /joined_rooms */
static CmReply *
get_joined_rooms (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  gint64 user = cm_sym (node->ids, cm_call_user (call), error);
  g_autoptr (CmDb) db = user != 0 ? cm_pool_get (node->pool, error) : NULL;
  g_auto (GStrv) rooms = db != NULL ? cm_membership_rooms (db, user, "join", error) : NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (rooms == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "joined_rooms");
  for (gsize i = 0; rooms[i] != NULL; i++)
    cm_json_put_text (writer, NULL, rooms[i]);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

#define READ CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE
#define ROOM "/_matrix/client/v3/rooms/{roomId}"

const CmRoute cm_routes_members[] = {
  { "GET", ROOM "/members", CM_AUTH_TOKEN_GUEST, READ, get_members, 0 },
  { "GET", ROOM "/joined_members", CM_AUTH_TOKEN, READ, get_joined_members, 0 },
  { "GET", "/_matrix/client/v3/joined_rooms", CM_AUTH_TOKEN, READ, get_joined_rooms, 0 },
  CM_ROUTES_END,
};
