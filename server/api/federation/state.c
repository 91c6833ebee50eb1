/* The state of a room at an event, and what authorises events (server-server, "Retrieving event
 * authorization information", "Retrieving events"). */
#include "server/api/federation/room.h"
#include "server/routes.h"

/* (transfer full) an event of the room of the path that the caller may see: the state at any other
 * would tell what happened while his users were not in the room (CVE-2022-39335). */
static CmEvent *
find_visible (CmCall *call, const char *event_id, GError **error)
{
  gboolean visible;
  g_autoptr (CmRoomView) view = cm_federation_joined_room (call, error);
  g_autoptr (CmEvent) event =
      view != NULL ? cm_federation_event (call, view, event_id, &visible, error) : NULL;

  if (event == NULL || visible)
    return g_steal_pointer (&event);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "Your server may not see that event");
  return NULL;
}

/* The numbers of the state before the event of the query, and of its auth chain. */
static gboolean
find_state (CmCall *call, GArray **state, GArray **chain, GError **error)
{
  CmRooms *rooms = cm_call_node (call)->rooms;
  const char *event_id = cm_call_query (call, "event_id");

  if (event_id == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_MISSING_PARAM, "event_id is missing");
    return FALSE;
  }
  g_autoptr (CmEvent) event = find_visible (call, event_id, error);
  g_autoptr (CmStateMap) map =
      event != NULL ? cm_rooms_state_at (rooms, event->state_before, error) : NULL;
  if (map == NULL)
    return FALSE;
  *state = cm_federation_state_numbers (map);
  *chain = cm_federation_auth_chain (rooms, *state, error);
  return *chain != NULL;
}

/* GET /_matrix/federation/v1/state/{roomId} */
static CmReply *
get_state (CmCall *call, GError **error)
{
  CmRooms *rooms = cm_call_node (call)->rooms;
  g_autoptr (GArray) state = NULL, chain = NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (!find_state (call, &state, &chain, error))
    return NULL;
  cm_json_open_object (writer, NULL);
  if (!cm_federation_put_events (writer, "auth_chain", rooms, chain, error) ||
      !cm_federation_put_events (writer, "pdus", rooms, state, error))
    return NULL;
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /_matrix/federation/v1/state_ids/{roomId} */
static CmReply *
get_state_ids (CmCall *call, GError **error)
{
  CmRooms *rooms = cm_call_node (call)->rooms;
  g_autoptr (GArray) state = NULL, chain = NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (!find_state (call, &state, &chain, error))
    return NULL;
  cm_json_open_object (writer, NULL);
  if (!cm_federation_put_ids (writer, "auth_chain_ids", rooms, chain, error) ||
      !cm_federation_put_ids (writer, "pdu_ids", rooms, state, error))
    return NULL;
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /_matrix/federation/v1/event_auth/{roomId}/{eventId} */
static CmReply *
get_event_auth (CmCall *call, GError **error)
{
  CmRooms *rooms = cm_call_node (call)->rooms;
  g_autoptr (CmEvent) event = find_visible (call, cm_call_param (call, "eventId"), error);
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));

  if (event == NULL)
    return NULL;
  g_array_append_val (numbers, event->number);
  g_autoptr (GArray) chain = cm_federation_auth_chain (rooms, numbers, error);
  if (chain == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  if (!cm_federation_put_events (writer, "auth_chain", rooms, chain, error))
    return NULL;
  cm_json_close (writer);
  return cm_reply_json (writer);
}

#define SIGNED CM_AUTH_FEDERATION, CM_LIMIT_FEDERATION, CM_LANE_FEDERATION

const CmRoute cm_routes_federation_state[] = {
  { "GET", "/_matrix/federation/v1/state/{roomId}", SIGNED, CM_BODY_NONE, get_state },
  { "GET", "/_matrix/federation/v1/state_ids/{roomId}", SIGNED, CM_BODY_NONE, get_state_ids },
  { "GET", "/_matrix/federation/v1/event_auth/{roomId}/{eventId}", SIGNED, CM_BODY_NONE,
    get_event_auth },
  CM_ROUTES_END,
};
