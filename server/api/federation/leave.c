/* Users of other servers leave rooms, refuse invites to them, and knock (server-server, "Leaving
 * Rooms", "Knocking upon a room"). */
#include "federation/intake.h"
#include "federation/stripped.h"
#include "server/api/federation/member.h"
#include "server/api/federation/room.h"
#include "server/routes.h"

/* GET /_matrix/federation/v1/make_leave/{roomId}/{userId} */
static CmReply *
make_leave (CmCall *call, GError **error)
{
  if (!cm_federation_check_own (call, cm_call_param (call, "userId"), error))
    return NULL;
  g_autoptr (CmRoom) room = cm_federation_room (call, error);
  return room != NULL ? cm_federation_make_member (call, room, "leave", NULL, error) : NULL;
}

/* GET /_matrix/federation/v1/make_knock/{roomId}/{userId} */
static CmReply *
make_knock (CmCall *call, GError **error)
{
  CmReply *refusal;

  if (!cm_federation_check_own (call, cm_call_param (call, "userId"), error))
    return NULL;
  g_autoptr (CmRoom) room = cm_federation_room (call, error);
  g_autoptr (CmRoomView) view = room != NULL ? cm_room_view (room) : NULL;
  if (view == NULL)
    return NULL;
  if (!cm_federation_check_version (call, view, &refusal))
    return refusal;
  return cm_federation_make_member (call, room, "knock", NULL, error);
}

/* (transfer full) the room, with the event of the call in it. */
static CmRoomView *
admit (CmCall *call, const char *membership, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (CmRoom) room = cm_federation_room (call, error);
  g_autoptr (CmRoomView) view = room != NULL ? cm_room_view (room) : NULL;
  g_autoptr (CmEvent) event =
      view != NULL ? cm_federation_read_member (call, view, membership, NULL, error) : NULL;
  g_autoptr (CmEvent) stored =
      event != NULL ? cm_intake_admit (node->intake, room, event, error) : NULL;

  return stored != NULL ? g_steal_pointer (&view) : NULL;
}

/* PUT /_matrix/federation/v2/send_leave/{roomId}/{eventId} */
static CmReply *
send_leave (CmCall *call, GError **error)
{
  g_autoptr (CmRoomView) view = admit (call, "leave", error);

  return view != NULL ? cm_reply_empty () : NULL;
}

/* PUT /_matrix/federation/v1/send_leave/{roomId}/{eventId} */
static CmReply *
send_leave_v1 (CmCall *call, GError **error)
{
  g_autoptr (CmRoomView) view = admit (call, "leave", error);

  if (view == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_array (writer, NULL);
  cm_json_put_integer (writer, NULL, 200);
  cm_json_open_object (writer, NULL);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* PUT /_matrix/federation/v1/send_knock/{roomId}/{eventId} */
static CmReply *
send_knock (CmCall *call, GError **error)
{
  g_autoptr (CmRoomView) view = admit (call, "knock", error);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (view == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  if (!cm_stripped_write (writer, "knock_room_state", view, NULL, error))
    return NULL;
  cm_json_close (writer);
  return cm_reply_json (writer);
}

#define SIGNED CM_AUTH_FEDERATION, CM_LIMIT_FEDERATION, CM_LANE_FEDERATION

const CmRoute cm_routes_federation_leave[] = {
  { "GET", "/_matrix/federation/v1/make_leave/{roomId}/{userId}", SIGNED, CM_BODY_NONE,
    make_leave },
  { "PUT", "/_matrix/federation/v1/send_leave/{roomId}/{eventId}", SIGNED, CM_BODY_JSON,
    send_leave_v1 },
  { "PUT", "/_matrix/federation/v2/send_leave/{roomId}/{eventId}", SIGNED, CM_BODY_JSON,
    send_leave },
  { "GET", "/_matrix/federation/v1/make_knock/{roomId}/{userId}", SIGNED, CM_BODY_NONE,
    make_knock },
  { "PUT", "/_matrix/federation/v1/send_knock/{roomId}/{eventId}", SIGNED, CM_BODY_JSON,
    send_knock },
  CM_ROUTES_END,
};
