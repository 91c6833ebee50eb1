/* Users of this server are invited by others (server-server, "Inviting to a room"). */
#include "crypto/id.h"
#include "federation/intake.h"
#include "federation/stripped.h"
#include "schema/committer.h"
#include "schema/ids.h"
#include "schema/inbound.h"
#include "server/accounts/accounts.h"
#include "server/rooms/invite.h"
#include "server/router/limits.h"
#include "server/routes.h"

#include <string.h>

/* What one user's invites and knocks that wait for an answer may come to: each sync from the
 * beginning shows them all. */
#define MAX_WAITING       500
#define MAX_WAITING_BYTES (8 * 1024 * 1024)

/* An invite on its way in. */
typedef struct {
  CmCall *call;
  CmNode *node;
  CmIntake *intake;
  const char *origin;
  const CmRoomVersion *version;
  const CmJson *stripped; /* as it came */
  gboolean held;          /* this server is in the room */
} Invite;

static gboolean
invalid (GError **error, const char *why)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, why);
  return FALSE;
}

/* Nothing but an invite of one of our users, by one of the origin's, is ever signed here
 * (CVE-2025-68667). */
static gboolean
check_event (const Invite *invite, const CmEvent *event, GError **error)
{
  if (strcmp (event->room_id, cm_call_param (invite->call, "roomId")) != 0 ||
      strcmp (event->event_id, cm_call_param (invite->call, "eventId")) != 0)
    return invalid (error, "The event is not that of the path");
  if (strcmp (event->type, "m.room.member") != 0 || event->state_key == NULL ||
      g_strcmp0 (cm_event_membership (event), "invite") != 0 ||
      (event->flags & CM_EVENT_REDACTED) != 0)
    return invalid (error, "The event is no invite");
  if (!cm_id_domain_is (event->sender, invite->origin))
    return invalid (error, "The sender is no user of your server");
  if (!cm_id_is_user (event->state_key) ||
      !cm_id_domain_is (event->state_key, invite->node->server_name))
    return invalid (error, "The invited user is not of this server");
  return TRUE;
}

static gboolean
check_user (const Invite *invite, const CmEvent *event, GError **error)
{
  gboolean exists;

  if (!cm_accounts_exists (invite->node, event->state_key, &exists, error))
    return FALSE;
  if (exists)
    return cm_invite_check_wanted (invite->node, event->state_key, error);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "There is no such user here");
  return FALSE;
}

/* rooms/v12: the create event must be there and make the id of the room, so that an invite cannot
 * pass one room off as another (CVE-2025-54315). */
static gboolean
check_create (const Invite *invite, const CmEvent *event, GError **error)
{
  const CmJson *item;
  CmJsonIter iter;

  if (!invite->version->room_id_is_create_hash)
    return TRUE;
  cm_json_iter_init (&iter, invite->stripped);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    if (g_strcmp0 (cm_json_get_text (item, "type"), "m.room.create") != 0)
      continue;
    g_autoptr (CmEvent) create = cm_intake_verify (invite->intake, invite->version, item, error);
    if (create == NULL)
      return FALSE;
    return strcmp (create->room_id, event->room_id) == 0 ||
           invalid (error, "The create event is of another room");
  }
  return invalid (error, "invite_room_state lacks the create event");
}

/* A room that this server knows already must be the one that is spoken of, and may shut the origin
 * out. */
static gboolean
check_room (Invite *invite, const CmEvent *event, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmRoomView) view = cm_rooms_view (invite->node->rooms, event->room_id, &failure);

  invite->held = view != NULL && view->local_joined > 0;
  if (view == NULL && !g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND)) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (view == NULL)
    return TRUE;
  if (view->version != invite->version)
    return invalid (error, "The room is of another version");
  return cm_room_check_acl (view, invite->origin, error);
}

/* Asked before the write, and not in it: who sends several at a time may get a little more. */
static gboolean
check_waiting (const Invite *invite, const CmEvent *event, GBytes *stripped, GError **error)
{
  gint64 size = (gint64) (g_bytes_get_size (event->bytes) + g_bytes_get_size (stripped));
  gint64 count, bytes;
  g_autoptr (CmDb) db = cm_pool_get (invite->node->pool, error);

  if (db == NULL ||
      !cm_outside_waiting (db, event->state_key, event->room_id, &count, &bytes, error))
    return FALSE;
  return (count < MAX_WAITING && bytes + size <= MAX_WAITING_BYTES) ||
         cm_fail (error, CM_ERROR_FORBIDDEN, "The user has too many invites to answer");
}

static gboolean
store_outside (const Invite *invite, CmEvent *event, GError **error)
{
  g_autoptr (GBytes) stripped = cm_stripped_read (invite->stripped);
  CmOutside outside = {
    .membership = "invite",
    .event_id = event->event_id,
    .event = event->bytes,
    .stripped = stripped,
    .room_version = (char *) event->version->name,
  };

  if (!check_waiting (invite, event, stripped, error))
    return FALSE;
  outside.room = cm_sym (invite->node->ids, event->room_id, error);
  outside.user = outside.room != 0 ? cm_sym (invite->node->ids, event->state_key, error) : 0;
  if (outside.user == 0)
    return FALSE;
  CmWrite *write = cm_write_new ();
  cm_outside_put (write, &outside, cm_write_take_positions (write, 1));
  cm_write_topic (write, CM_TOPIC_USER, event->state_key);
  cm_write_attach (write, "invite", cm_event_ref (event), (GDestroyNotify) cm_event_unref);
  cm_write_attach (write, "invite-state", g_bytes_ref (stripped), (GDestroyNotify) g_bytes_unref);
  return cm_committer_commit (invite->node->committer, write, error) >= 0;
}

/* (transfer full) the event, when nothing speaks against it. */
static CmEvent *
read_event (Invite *invite, const CmJson *pdu, GError **error)
{
  g_autoptr (CmEvent) event = cm_intake_verify (invite->intake, invite->version, pdu, error);

  return event != NULL && check_event (invite, event, error) && check_user (invite, event, error) &&
                 check_room (invite, event, error) &&
                 (invite->held || check_create (invite, event, error))
             ? g_steal_pointer (&event)
             : NULL;
}

/* By who is invited, whatever servers it is that invite him; apart from the invites that he makes
 * himself. Milliseconds to wait, or 0. */
static gint64
take_limit (const Invite *invite, const CmEvent *event)
{
  g_autofree char *key = g_strconcat ("to ", event->state_key, NULL);

  return cm_limits_take (invite->node->limits, CM_LIMIT_INVITE, key);
}

/* (transfer full) the countersigned event. Of a room that this server is in the event comes with a
 * transaction too, and takes its place then. */
static CmEvent *
accept (const Invite *invite, const CmEvent *event, GError **error)
{
  CmNode *node = invite->node;
  g_autoptr (CmEvent) both =
      cm_event_countersign (event, node->server_name, node->signing_key, error);

  return both != NULL && (invite->held || store_outside (invite, both, error))
             ? g_steal_pointer (&both)
             : NULL;
}

static CmReply *
reply_incompatible (const char *version)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "errcode", cm_error_errcode (CM_ERROR_INCOMPATIBLE_ROOM_VERSION));
  cm_json_put_text (writer, "error", "This server does not know the version of the room");
  cm_json_put_text (writer, "room_version", version);
  cm_json_close (writer);
  return cm_reply_json_status (cm_error_status (CM_ERROR_INCOMPATIBLE_ROOM_VERSION), writer);
}

/* PUT /_matrix/federation/v2/invite/{roomId}/{eventId} */
static CmReply *
invite_v2 (CmCall *call, GError **error)
{
  const CmJson *body = cm_call_json (call);
  const char *version = cm_json_get_text (body, "room_version");
  Invite invite = {
    .call = call,
    .node = cm_call_node (call),
    .intake = cm_call_node (call)->intake,
    .origin = cm_call_origin (call),
    .version = version != NULL ? cm_room_version_find (version) : NULL,
    .stripped = cm_json_get_array (body, "invite_room_state"),
  };

  if (version == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, "room_version is missing");
    return NULL;
  }
  if (invite.version == NULL)
    return reply_incompatible (version);
  g_autoptr (CmEvent) event = read_event (&invite, cm_json_get_object (body, "event"), error);
  if (event == NULL)
    return NULL;
  gint64 wait_ms = take_limit (&invite, event);
  if (wait_ms > 0)
    return cm_reply_limited (wait_ms);
  g_autoptr (CmEvent) both = accept (&invite, event, error);
  if (both == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_event_write (writer, "event", both, CM_FORMAT_FEDERATION, NULL);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_federation_invite[] = {
  { "PUT", "/_matrix/federation/v2/invite/{roomId}/{eventId}", CM_AUTH_FEDERATION,
    CM_LIMIT_FEDERATION, CM_LANE_FEDERATION, CM_BODY_JSON, invite_v2 },
  CM_ROUTES_END,
};
