/* Memberships other than entering: invite, leave, forget, kick, ban and unban. */
#include "crypto/id.h"
#include "federation/handshake.h"
#include "server/api/body.h"
#include "server/node.h"
#include "server/rooms/enter.h"
#include "server/rooms/find.h"
#include "server/rooms/invite.h"
#include "server/rooms/member-content.h"
#include "server/rooms/outside.h"
#include "server/routes.h"

#define MAX_REASON 4096

static CmReply *
forbid (const char *message, GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, message);
  return NULL;
}

/* What the body of all of these says. */
typedef struct {
  const char *user_id;
  const char *reason;
} Wish;

static gboolean
read_wish (CmCall *call, Wish *wish, GError **error)
{
  const CmJson *body = cm_call_json (call);

  if (!cm_body_need_text (body, "user_id", CM_ID_MAX_BYTES, &wish->user_id, error) ||
      !cm_body_text (body, "reason", MAX_REASON, &wish->reason, error))
    return FALSE;
  if (cm_id_is_user (wish->user_id))
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "user_id is no user id");
  return FALSE;
}

/* Appends the member event by which the caller gives @user_id a new membership. */
static CmReply *
change (CmCall *call, CmRoom *room, const char *user_id, const char *membership, const char *reason,
        GError **error)
{
  CmMemberContent content = { .membership = membership, .reason = reason };
  g_autoptr (CmJsonDoc) doc = cm_member_content_new (cm_call_node (call), &content, error);

  if (doc == NULL)
    return NULL;
  CmDraft draft = { .type = "m.room.member",
                    .state_key = user_id,
                    .sender = cm_call_user (call),
                    .content = cm_json_doc_root (doc) };
  g_autoptr (CmEvent) event = cm_room_append_one (room, &draft, error);
  return event != NULL ? cm_reply_empty () : NULL;
}

/* POST /rooms/{roomId}/invite */
static CmReply *
invite (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  Wish wish = { 0 };

  if (cm_json_get (cm_call_json (call), "user_id") == NULL &&
      cm_json_get (cm_call_json (call), "address") != NULL)
    return forbid ("This server has no identity server to invite by address with", error);
  g_autoptr (CmRoom) room = read_wish (call, &wish, error) ? cm_call_room (call, error) : NULL;
  if (room == NULL)
    return NULL;
  CmMemberContent content = { .membership = "invite",
                              .user_id = wish.user_id,
                              .reason = wish.reason };
  g_autoptr (CmJsonDoc) doc = cm_member_content_new (node, &content, error);
  if (doc == NULL)
    return NULL;
  g_autoptr (CmEvent) event =
      cm_room_invite (node, room, cm_call_user (call), wish.user_id, cm_json_doc_root (doc), error);
  return event != NULL ? cm_reply_empty () : NULL;
}

static CmReply *
leave_outside (CmCall *call, const char *reason, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *room_id = cm_call_param (call, "roomId");
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmOutsideMembership) outside =
      cm_room_outside (node, room_id, cm_call_user (call), &failure);

  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (outside == NULL)
    return forbid ("You are not in this room", error);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "reason", reason);
  cm_json_close (writer);
  g_autoptr (CmJsonDoc) content = cm_json_writer_end_doc (writer);
  if (!cm_handshake_leave (node->intake, room_id, cm_call_user (call), cm_json_doc_root (content),
                           error))
    return NULL;
  return cm_reply_empty ();
}

/* POST /rooms/{roomId}/leave */
static CmReply *
leave (CmCall *call, GError **error)
{
  const char *user_id = cm_call_user (call);
  g_autoptr (GError) failure = NULL;
  const char *reason;

  if (!cm_body_text (cm_call_json (call), "reason", MAX_REASON, &reason, error))
    return NULL;
  g_autoptr (CmRoom) room = cm_call_room (call, &failure);
  if (room == NULL && !g_error_matches (failure, CM_ERROR, CM_ERROR_FORBIDDEN)) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  g_autoptr (CmRoomView) view = room != NULL ? cm_room_view (room) : NULL;
  CmMembership membership = view != NULL ? cm_room_membership (view, user_id) : CM_MEMBERSHIP_NONE;
  if (view == NULL || !cm_room_is_live (view) || membership == CM_MEMBERSHIP_NONE ||
      membership == CM_MEMBERSHIP_BAN)
    return leave_outside (call, reason, error);
  if (membership == CM_MEMBERSHIP_LEAVE)
    return cm_reply_empty ();
  return change (call, room, user_id, "leave", reason, error);
}

/* POST /rooms/{roomId}/forget */
static CmReply *
forget (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, cm_call_param (call, "roomId"), NULL);
  CmMembership membership =
      view != NULL ? cm_room_membership (view, cm_call_user (call)) : CM_MEMBERSHIP_NONE;
  gint64 room = cm_sym (node->ids, cm_call_param (call, "roomId"), error);
  gint64 user = room != 0 ? cm_sym (node->ids, cm_call_user (call), error) : 0;
  gboolean known;

  if (user == 0)
    return NULL;
  if (membership == CM_MEMBERSHIP_JOIN || membership == CM_MEMBERSHIP_INVITE ||
      membership == CM_MEMBERSHIP_KNOCK)
    return cm_reply_error_status (400, "M_UNKNOWN", "You must leave a room before you forget it");
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (db == NULL || !cm_membership_forget (db, room, user, &known, error))
    return NULL;
  if (known)
    return cm_reply_empty ();
  g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "You were not in this room");
  return NULL;
}

/* The rules let a moderator "kick" who is out already, or let a ban end that never was: the client
 * is told instead. */
static CmReply *
change_other (CmCall *call, const char *membership, gboolean (*makes_sense) (CmMembership now),
              const char *otherwise, GError **error)
{
  Wish wish = { 0 };
  g_autoptr (CmRoom) room = read_wish (call, &wish, error) ? cm_call_room (call, error) : NULL;

  if (room == NULL)
    return NULL;
  g_autoptr (CmRoomView) view = cm_room_view (room);
  if (cm_room_membership (view, cm_call_user (call)) != CM_MEMBERSHIP_JOIN)
    return forbid ("You are not in this room", error);
  if (!makes_sense (cm_room_membership (view, wish.user_id)))
    return forbid (otherwise, error);
  return change (call, room, wish.user_id, membership, wish.reason, error);
}

static gboolean
is_in (CmMembership now)
{
  return now == CM_MEMBERSHIP_JOIN || now == CM_MEMBERSHIP_INVITE || now == CM_MEMBERSHIP_KNOCK;
}

static gboolean
is_banned (CmMembership now)
{
  return now == CM_MEMBERSHIP_BAN;
}

static gboolean
is_anything (CmMembership now)
{
  return TRUE;
}

/* POST /rooms/{roomId}/kick */
static CmReply *
kick (CmCall *call, GError **error)
{
  return change_other (call, "leave", is_in, "This user is not in the room", error);
}

/* POST /rooms/{roomId}/ban */
static CmReply *
ban (CmCall *call, GError **error)
{
  return change_other (call, "ban", is_anything, NULL, error);
}

/* POST /rooms/{roomId}/unban */
static CmReply *
unban (CmCall *call, GError **error)
{
  return change_other (call, "leave", is_banned, "This user is not banned", error);
}

#define ROOM "/_matrix/client/v3/rooms/{roomId}"

const CmRoute cm_routes_membership[] = {
  { "POST", ROOM "/invite", CM_AUTH_TOKEN, CM_LIMIT_INVITE, CM_LANE_REMOTE, CM_BODY_JSON, invite,
    0 },
  { "POST", ROOM "/leave", CM_AUTH_TOKEN_GUEST, CM_LIMIT_JOIN, CM_LANE_REMOTE,
    CM_BODY_JSON_OPTIONAL, leave, 0 },
  { "POST", ROOM "/forget", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON_OPTIONAL,
    forget, 0 },
  { "POST", ROOM "/kick", CM_AUTH_TOKEN, CM_LIMIT_SEND, CM_LANE_CLIENT, CM_BODY_JSON, kick, 0 },
  { "POST", ROOM "/ban", CM_AUTH_TOKEN, CM_LIMIT_SEND, CM_LANE_CLIENT, CM_BODY_JSON, ban, 0 },
  { "POST", ROOM "/unban", CM_AUTH_TOKEN, CM_LIMIT_SEND, CM_LANE_CLIENT, CM_BODY_JSON, unban, 0 },
  CM_ROUTES_END,
};
