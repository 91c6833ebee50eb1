/* This server lets users of others into its rooms (server-server, "Joining Rooms", "Restricted
 * rooms"). */
#include "crypto/id.h"
#include "federation/intake.h"
#include "server/api/federation/member.h"
#include "server/api/federation/room.h"
#include "server/rooms/restricted.h"
#include "server/routes.h"

#include <string.h>

/* (transfer full) who vouches for the user, NULL without @error when nobody need. */
static char *
find_authority (CmNode *node, const CmRoomView *view, const char *user_id, GError **error)
{
  char *authority = NULL;
  CmRestricted restricted;

  if (!cm_restricted_check (node, view, user_id, &restricted, &authority, error))
    return NULL;
  if (restricted == CM_RESTRICTED_ELSEWHERE)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNABLE_TO_GRANT_JOIN,
                         "Nobody of this server can vouch for the join");
  return authority;
}

/* GET /_matrix/federation/v1/make_join/{roomId}/{userId} */
static CmReply *
make_join (CmCall *call, GError **error)
{
  const char *user_id = cm_call_param (call, "userId");
  g_autoptr (GError) failure = NULL;
  CmReply *refusal;

  if (!cm_federation_check_own (call, user_id, error))
    return NULL;
  g_autoptr (CmRoom) room = cm_federation_room (call, error);
  g_autoptr (CmRoomView) view = room != NULL ? cm_room_view (room) : NULL;
  if (view == NULL)
    return NULL;
  if (!cm_federation_check_version (call, view, &refusal))
    return refusal;
  g_autofree char *authority = find_authority (cm_call_node (call), view, user_id, &failure);
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  return cm_federation_make_member (call, room, "join", authority, error);
}

static const char *
authority_of (const CmEvent *event)
{
  return cm_json_get_text (event->content, "join_authorised_via_users_server");
}

/* What was true when the template was made must still be so when this server signs. @event is
 * taken. */
static CmEvent *
countersign (CmNode *node, const CmRoomView *view, CmEvent *event, GError **error)
{
  g_autoptr (CmEvent) signed_once = event;
  g_autofree char *authority = NULL;
  CmRestricted restricted;

  if (!cm_id_domain_is (authority_of (event), node->server_name))
    return g_steal_pointer (&signed_once);
  if (!cm_restricted_check (node, view, event->sender, &restricted, &authority, error))
    return NULL;
  if (restricted != CM_RESTRICTED_ELSEWHERE)
    return cm_event_countersign (event, node->server_name, node->signing_key, error);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_UNABLE_TO_GRANT_JOIN,
                       "Nobody of this server can vouch for the join");
  return NULL;
}

static gboolean
put_state (CmJsonWriter *writer, CmRooms *rooms, const CmEvent *join, GError **error)
{
  g_autoptr (CmStateMap) state = cm_rooms_state_at (rooms, join->state_before, error);

  if (state == NULL)
    return FALSE;
  g_autoptr (GArray) numbers = cm_federation_state_numbers (state);
  g_autoptr (GArray) all = g_array_copy (numbers);
  g_array_append_val (all, join->number);
  g_autoptr (GArray) chain = cm_federation_auth_chain (rooms, all, error);
  return chain != NULL && cm_federation_put_events (writer, "auth_chain", rooms, chain, error) &&
         cm_federation_put_events (writer, "state", rooms, numbers, error);
}

static void
put_servers (CmJsonWriter *writer, const CmRoomView *view)
{
  GHashTableIter iter;
  gpointer name;

  cm_json_open_array (writer, "servers_in_room");
  g_hash_table_iter_init (&iter, view->servers);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    cm_json_put_text (writer, NULL, name);
  cm_json_close (writer);
}

/* (transfer full) the answer to the second version; NULL with @error. */
static CmJsonWriter *
let_in (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (CmRoom) room = cm_federation_room (call, error);
  g_autoptr (CmRoomView) view = room != NULL ? cm_room_view (room) : NULL;
  g_autoptr (CmEvent) event =
      view != NULL ? cm_federation_read_member (call, view, "join", node->server_name, error)
                   : NULL;

  if (event == NULL)
    return NULL;
  g_autoptr (CmEvent) both = countersign (node, view, g_steal_pointer (&event), error);
  g_autoptr (CmEvent) join =
      both != NULL ? cm_intake_admit (node->intake, room, both, error) : NULL;
  if (join == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  if (!put_state (writer, node->rooms, join, error))
    return NULL;
  cm_event_write (writer, "event", join, CM_FORMAT_FEDERATION, NULL);
  cm_json_put_boolean (writer, "members_omitted", FALSE);
  cm_json_put_text (writer, "origin", node->server_name);
  put_servers (writer, view);
  cm_json_close (writer);
  return g_steal_pointer (&writer);
}

/* PUT /_matrix/federation/v2/send_join/{roomId}/{eventId} */
static CmReply *
send_join (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) writer = let_in (call, error);

  return writer != NULL ? cm_reply_json (writer) : NULL;
}

/* PUT /_matrix/federation/v1/send_join/{roomId}/{eventId}: the same in an array. */
static CmReply *
send_join_v1 (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) answer = let_in (call, error);

  if (answer == NULL)
    return NULL;
  g_autoptr (GBytes) bytes = cm_json_writer_end (answer);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_array (writer, NULL);
  cm_json_put_integer (writer, NULL, 200);
  cm_json_put_bytes (writer, NULL, bytes);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_federation_join[] = {
  { "GET", "/_matrix/federation/v1/make_join/{roomId}/{userId}", CM_AUTH_FEDERATION,
    CM_LIMIT_FEDERATION, CM_LANE_FEDERATION, CM_BODY_NONE, make_join },
  { "PUT", "/_matrix/federation/v1/send_join/{roomId}/{eventId}", CM_AUTH_FEDERATION,
    CM_LIMIT_FEDERATION, CM_LANE_FEDERATION, CM_BODY_JSON, send_join_v1 },
  { "PUT", "/_matrix/federation/v2/send_join/{roomId}/{eventId}", CM_AUTH_FEDERATION,
    CM_LIMIT_FEDERATION, CM_LANE_FEDERATION, CM_BODY_JSON, send_join },
  CM_ROUTES_END,
};
