/* Inviting a user of another server, who signs the invite too. */
#include "federation/handshake-private.h"

#include "crypto/id.h"
#include "federation/stripped.h"

#include <string.h>

#define TIMEOUT_MS 30000

static CmJsonDoc *
make_body (const CmRoomView *view, const CmEvent *invite, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_event_write (writer, "event", invite, CM_FORMAT_FEDERATION, NULL);
  gboolean ok = cm_stripped_write (writer, "invite_room_state", view, invite->sender, error);
  cm_json_put_text (writer, "room_version", view->version->name);
  cm_json_close (writer);
  return ok ? cm_json_writer_end_doc (writer) : NULL;
}

/* What a refusal by the other server is to the client who invites: a version that it does not know
 * has a name of its own there, and a request that it finds malformed was made here (client-server,
 * "POST /rooms/{roomId}/invite"; server-server, "PUT /_matrix/federation/v2/invite"). */
static CmError
code_for_client (CmError code)
{
  if (code == CM_ERROR_INCOMPATIBLE_ROOM_VERSION)
    return CM_ERROR_UNSUPPORTED_ROOM_VERSION;
  if (code == CM_ERROR_INVALID_PARAM || code == CM_ERROR_MISSING_PARAM || code == CM_ERROR_BAD_JSON)
    return CM_ERROR_BAD_GATEWAY;
  return code;
}

static CmJsonDoc *
send (CmIntake *intake, const CmRoomView *view, const CmEvent *invite, GError **error)
{
  g_autoptr (CmJsonDoc) body = make_body (view, invite, error);
  g_autofree char *target =
      cm_fed_path ("/_matrix/federation/v2/invite/%s/%s", view->room_id, invite->event_id);

  if (body == NULL)
    return NULL;
  const CmFedRequest request = {
    .method = "PUT",
    .target = target,
    .content = cm_json_doc_root (body),
    .timeout_ms = TIMEOUT_MS,
    .ignore_backoff = TRUE,
  };
  g_autoptr (GError) failure = NULL;
  CmJsonDoc *answer = cm_fed_call (intake->parts.client, cm_id_domain (invite->state_key), &request,
                                   NULL, &failure);
  if (answer == NULL)
    g_set_error_literal (error, CM_ERROR, code_for_client ((CmError) failure->code),
                         failure->message);
  return answer;
}

/* What came back must be the same event, with the other server's signature besides ours. */
static CmEvent *
read_signed (CmIntake *intake, const CmEvent *invite, const CmJson *answer, GError **error)
{
  const char *server = cm_id_domain (invite->state_key);
  g_autoptr (CmEvent) event =
      cm_intake_verify (intake, invite->version, cm_json_get_object (answer, "event"), error);

  if (event == NULL)
    return NULL;
  if (strcmp (event->event_id, invite->event_id) == 0 && (event->flags & CM_EVENT_REDACTED) == 0 &&
      cm_intake_is_signed_by (intake, event, server))
    return g_steal_pointer (&event);
  g_set_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "%s did not sign the invite", server);
  return NULL;
}

CmEvent *
cm_handshake_invite (CmIntake *intake, CmRoom *room, const CmDraft *draft, GError **error)
{
  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_autoptr (CmEvent) invite = NULL, countersigned = NULL;

  if (cm_room_membership (view, draft->state_key) == CM_MEMBERSHIP_JOIN) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "The user is in the room already");
    return NULL;
  }
  invite = cm_room_build (room, draft, error);
  if (invite == NULL)
    return NULL;
  g_autoptr (CmJsonDoc) answer = send (intake, view, invite, error);
  if (answer == NULL)
    return NULL;
  countersigned = read_signed (intake, invite, cm_json_doc_root (answer), error);
  return countersigned != NULL ? cm_intake_store (intake, view->room_id, countersigned, 0, error)
                               : NULL;
}
