#include "server/api/federation/member.h"

#include "federation/append.h"
#include "federation/intake.h"
#include "server/api/federation/room.h"

#include <string.h>

static CmJsonDoc *
make_content (const char *membership, const char *authority)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "join_authorised_via_users_server", authority);
  cm_json_put_text (writer, "membership", membership);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

CmReply *
cm_federation_make_member (CmCall *call, CmRoom *room, const char *membership,
                           const char *authority, GError **error)
{
  const char *user_id = cm_call_param (call, "userId");
  g_autoptr (CmJsonDoc) content = make_content (membership, authority);
  const CmDraft draft = { .type = "m.room.member",
                          .state_key = user_id,
                          .sender = user_id,
                          .content = cm_json_doc_root (content) };
  g_autoptr (CmJsonDoc) template = cm_room_template (room, &draft, error);

  if (template == NULL)
    return NULL;
  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, "event", cm_json_doc_root (template));
  cm_json_put_text (writer, "room_version", view->version->name);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

gboolean
cm_federation_check_version (CmCall *call, const CmRoomView *view, CmReply **reply)
{
  g_autoptr (GPtrArray) versions = cm_call_query_all (call, "ver");

  for (guint i = 0; i < versions->len; i++) {
    if (strcmp (versions->pdata[i], view->version->name) == 0)
      return TRUE;
  }
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "errcode", cm_error_errcode (CM_ERROR_INCOMPATIBLE_ROOM_VERSION));
  cm_json_put_text (writer, "error", "Your server does not know the version of this room");
  cm_json_put_text (writer, "room_version", view->version->name);
  cm_json_close (writer);
  *reply = cm_reply_json_status (cm_error_status (CM_ERROR_INCOMPATIBLE_ROOM_VERSION), writer);
  return FALSE;
}

static gboolean
is_about_sender (const CmEvent *event, const char *membership)
{
  return strcmp (event->type, "m.room.member") == 0 && event->state_key != NULL &&
         strcmp (event->state_key, event->sender) == 0 &&
         g_strcmp0 (cm_event_membership (event), membership) == 0;
}

CmEvent *
cm_federation_read_member (CmCall *call, const CmRoomView *view, const char *membership,
                           const char *countersigner, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (CmEvent) event =
      cm_intake_verify_but (node->intake, view->version, cm_call_json (call), countersigner, error);

  if (event == NULL || !cm_federation_check_own (call, event->sender, error))
    return NULL;
  if (is_about_sender (event, membership) && strcmp (event->room_id, view->room_id) == 0 &&
      strcmp (event->event_id, cm_call_param (call, "eventId")) == 0 &&
      (event->flags & CM_EVENT_REDACTED) == 0)
    return g_steal_pointer (&event);
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "That is not the %s event of the path",
               membership);
  return NULL;
}
