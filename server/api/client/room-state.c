/* A room's state, read and written. */
#include "crypto/id.h"
#include "federation/append.h"
#include "server/client-event.h"
#include "server/node.h"
#include "server/router/hand-over.h"
#include "server/rooms/alias.h"
#include "server/rooms/enter.h"
#include "server/rooms/find.h"
#include "server/rooms/invite.h"
#include "server/rooms/member-content.h"
#include "server/rooms/power.h"
#include "server/router/router.h"
#include "server/routes.h"

#include <string.h>

/* GET /rooms/{roomId}/state */
static CmReply *
get_state (CmCall *call, GError **error)
{
  g_auto (CmReadableRoom) room = { 0 };
  CmViewer viewer = cm_call_viewer (call);

  viewer.flags = CM_SHOW_STATE;
  if (!cm_call_readable_room (call, &room, error))
    return NULL;
  g_autoptr (GPtrArray) events = cm_readable_room_state (viewer.node, &room, error);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  if (events == NULL || !cm_client_events_put (writer, NULL, &viewer, events, error))
    return NULL;
  return cm_reply_json (writer);
}

static CmReply *
reply_state_event (CmCall *call, CmEvent *event, GError **error)
{
  CmViewer viewer = cm_call_viewer (call);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (g_strcmp0 (cm_call_query (call, "format"), "event") != 0) {
    cm_json_put_node (writer, NULL, event->content);
    return cm_reply_json (writer);
  }
  g_autoptr (GBytes) shown = cm_client_event (&viewer, event, error);
  if (shown == NULL)
    return NULL;
  cm_json_put_bytes (writer, NULL, shown);
  return cm_reply_json (writer);
}

/* Without one in the path, the state key is the empty one. */
static const char *
state_key_of (CmCall *call)
{
  const char *state_key = cm_call_param (call, "stateKey");

  return state_key != NULL ? state_key : "";
}

/* GET /rooms/{roomId}/state/{eventType}/{stateKey} */
static CmReply *
get_state_event (CmCall *call, GError **error)
{
  const char *type = cm_call_param (call, "eventType");
  g_auto (CmReadableRoom) room = { 0 };
  g_autoptr (GError) failure = NULL;

  if (!cm_call_readable_room (call, &room, error))
    return NULL;
  g_autoptr (CmEvent) event = cm_rooms_event_in (cm_call_node (call)->rooms, room.state, type,
                                                 state_key_of (call), &failure);
  if (event != NULL)
    return reply_state_event (call, event, error);
  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  else
    g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such state");
  return NULL;
}

static CmReply *
reply_event_id (const CmEvent *event)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "event_id", event->event_id);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static gboolean
check_alias (CmCall *call, CmRoom *room, GError **error)
{
  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_autoptr (GError) failure = NULL;

  /* Nobody has other servers asked for a room in which he has no say: the rules will refuse it. */
  if (!cm_room_may_send_state (view, cm_call_user (call), "m.room.canonical_alias"))
    return TRUE;
  g_autoptr (CmEvent) present = cm_room_state_event (view, "m.room.canonical_alias", "", &failure);

  if (failure == NULL)
    return cm_alias_check_canonical (cm_call_node (call), view, present, cm_call_json (call),
                                     error);
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

/* A join is one whatever the path it comes by: guests and restricted rooms are not let off for it
 * (class restricted-join). */
static CmEvent *
enter (CmCall *call, const CmDraft *draft, GError **error)
{
  const CmEntry entry = { .room_id = cm_call_param (call, "roomId"),
                          .user_id = draft->sender,
                          .guest = cm_call_requester (call)->guest,
                          .content = draft->content };

  if (!cm_room_join (cm_call_node (call), &entry, error))
    return NULL;
  g_autoptr (CmRoom) present = cm_call_room (call, error);
  g_autoptr (CmRoomView) view = present != NULL ? cm_room_view (present) : NULL;
  return view != NULL ? cm_room_state_event (view, "m.room.member", draft->sender, error) : NULL;
}

static gboolean
is_entry (CmRoom *room, const CmDraft *draft)
{
  g_autoptr (CmRoomView) view = cm_room_view (room);

  return cm_room_is_entry (view, draft->sender, draft->state_key, draft->content);
}

/* Of a sender who is in the room as far as could be seen. Should he have been put out at this
 * moment, nothing in the content may let him in again. */
static CmEvent *
put_member (CmRoom *room, const CmDraft *draft, GError **error)
{
  g_autoptr (CmJsonDoc) content = cm_member_content_by_client (draft->content, NULL);
  CmDraft stripped = *draft;

  stripped.content = cm_json_doc_root (content);
  return cm_room_append_one (room, &stripped, error);
}

/* (transfer full) the event of @draft, with what has to be asked first about some of them. */
static CmEvent *
put (CmCall *call, CmRoom *room, const CmDraft *draft, GError **error)
{
  CmNode *node = cm_call_node (call);
  gboolean member = strcmp (draft->type, "m.room.member") == 0;

  if (member && !cm_id_is_user (draft->state_key)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "The state key must be a user id");
    return NULL;
  }
  if (strcmp (draft->type, "m.room.canonical_alias") == 0 && draft->state_key[0] == '\0' &&
      !check_alias (call, room, error))
    return NULL;
  if (member && is_entry (room, draft))
    return enter (call, draft, error);
  if (member && g_strcmp0 (cm_json_get_text (draft->content, "membership"), "invite") == 0)
    return cm_room_invite (node, room, draft->sender, draft->state_key, draft->content, error);
  return member ? put_member (room, draft, error) : cm_room_append_one (room, draft, error);
}

static CmReply *
put_now (CmCall *call, GError **error)
{
  CmDraft draft = { .type = cm_call_param (call, "eventType"),
                    .state_key = state_key_of (call),
                    .sender = cm_call_user (call),
                    .content = cm_call_json (call) };
  g_autoptr (CmRoom) room = cm_call_room (call, error);

  if (room == NULL)
    return NULL;
  g_autoptr (CmEvent) event = put (call, room, &draft, error);
  return event != NULL ? reply_event_id (event) : NULL;
}

static gboolean
is_invite (CmCall *call)
{
  return strcmp (cm_call_param (call, "eventType"), "m.room.member") == 0 &&
         g_strcmp0 (cm_json_get_text (cm_call_json (call), "membership"), "invite") == 0;
}

/* PUT /rooms/{roomId}/state/{eventType}/{stateKey}: aliases and members may be other servers'. */
static CmReply *
put_state_event (CmCall *call, GError **error)
{
  const char *type = cm_call_param (call, "eventType");
  gint64 wait_ms = is_invite (call) ? cm_call_take_limit (call, CM_LIMIT_INVITE) : 0;

  if (wait_ms > 0)
    return cm_reply_limited (wait_ms);
  if (strcmp (type, "m.room.canonical_alias") == 0 || strcmp (type, "m.room.member") == 0)
    return cm_call_hand_over (call, CM_LANE_REMOTE, put_now, error);
  return put_now (call, error);
}

#define STATE "/_matrix/client/v3/rooms/{roomId}/state"
#define READ  CM_AUTH_TOKEN_GUEST, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE
#define WRITE CM_AUTH_TOKEN_GUEST, CM_LIMIT_SEND, CM_LANE_CLIENT, CM_BODY_JSON

const CmRoute cm_routes_room_state[] = {
  { "GET", STATE, READ, get_state, 0 },
  { "GET", STATE "/{eventType}", READ, get_state_event, 0 },
  { "GET", STATE "/{eventType}/{stateKey}", READ, get_state_event, 0 },
  { "PUT", STATE "/{eventType}", WRITE, put_state_event, 0 },
  { "PUT", STATE "/{eventType}/{stateKey}", WRITE, put_state_event, 0 },
  CM_ROUTES_END,
};
