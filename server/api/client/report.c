/* Reports of events, rooms and users to the administrators. */
#include "crypto/id.h"
#include "schema/report.h"
#include "server/api/body.h"
#include "server/node.h"
#include "server/rooms/find.h"
#include "server/routes.h"

#define MAX_REASON 4096

static CmReply *
not_found (GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is nothing like that");
  return NULL;
}

static CmReply *
keep (CmCall *call, CmReport *report, GError **error)
{
  report->reporter = cm_call_user (call);
  if (!cm_body_text (cm_call_json (call), "reason", MAX_REASON, &report->reason, error))
    return NULL;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  if (db == NULL || !cm_report_add (db, report, error))
    return NULL;
  g_message ("%s reported %s %s", report->reporter, report->kind,
             report->event_id != NULL  ? report->event_id
             : report->room_id != NULL ? report->room_id
                                       : report->user_id);
  return cm_reply_empty ();
}

/* POST /rooms/{roomId}/report/{eventId}: one that the reporter can see, in a room that he is in */
static CmReply *
report_event (CmCall *call, GError **error)
{
  CmReport report = { .kind = "event",
                      .room_id = cm_call_param (call, "roomId"),
                      .event_id = cm_call_param (call, "eventId") };
  g_autoptr (CmRoomView) view = cm_call_joined_room (call, NULL);

  if (view == NULL)
    return not_found (error);
  CmReadableRoom room = { view, view->state, G_MAXINT64 };
  g_autoptr (CmEvent) event = cm_readable_room_event (cm_call_node (call), &room,
                                                      cm_call_user (call), report.event_id, error);
  return event != NULL ? keep (call, &report, error) : NULL;
}

/* POST /rooms/{roomId}/report: any room, but not that there is one may be learnt */
static CmReply *
report_room (CmCall *call, GError **error)
{
  CmReport report = { .kind = "room", .room_id = cm_call_param (call, "roomId") };

  return cm_id_is_room (report.room_id) ? keep (call, &report, error) : not_found (error);
}

/* POST /users/{userId}/report: likewise */
static CmReply *
report_user (CmCall *call, GError **error)
{
  CmReport report = { .kind = "user", .user_id = cm_call_param (call, "userId") };

  return cm_id_is_user (report.user_id) ? keep (call, &report, error) : not_found (error);
}

#define REPORT CM_AUTH_TOKEN, CM_LIMIT_HEAVY, CM_LANE_CLIENT, CM_BODY_JSON

const CmRoute cm_routes_report[] = {
  { "POST", "/_matrix/client/v3/rooms/{roomId}/report", REPORT, report_room, 0 },
  { "POST", "/_matrix/client/v3/rooms/{roomId}/report/{eventId}", REPORT, report_event, 0 },
  { "POST", "/_matrix/client/v3/users/{userId}/report", REPORT, report_user, 0 },
  CM_ROUTES_END,
};
