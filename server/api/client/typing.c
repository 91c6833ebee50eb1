#include "server/api/body.h"
#include "server/api/own.h"
#include "server/ephemeral/typing.h"
#include "server/node.h"
#include "server/rooms/find.h"
#include "server/routes.h"

#define DEFAULT_MS 30000
#define MAX_MS     120000

static CmReply *
put_typing (CmCall *call, GError **error)
{
  const CmJson *typing = cm_json_get (cm_call_json (call), "typing");
  const CmJson *timeout = cm_json_get (cm_call_json (call), "timeout");
  gint64 milliseconds = DEFAULT_MS;

  if (!cm_call_is_own (call, error))
    return NULL;
  if (cm_json_type (typing) != CM_JSON_TRUE && cm_json_type (typing) != CM_JSON_FALSE) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, "typing must be true or false");
    return NULL;
  }
  if (timeout != NULL && (!cm_json_integer (timeout, &milliseconds) || milliseconds < 0)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, "timeout must be a number");
    return NULL;
  }
  g_autoptr (CmRoomView) view = cm_call_joined_room (call, error);
  if (view == NULL)
    return NULL;
  if (cm_json_type (typing) == CM_JSON_FALSE)
    milliseconds = 0;
  cm_ephemeral_typing (cm_call_node (call)->ephemeral, view->room_id, cm_call_user (call),
                       (guint) MIN (milliseconds, MAX_MS));
  return cm_reply_empty ();
}

const CmRoute cm_routes_typing[] = {
  { "PUT", "/_matrix/client/v3/rooms/{roomId}/typing/{userId}", CM_AUTH_TOKEN_GUEST, CM_LIMIT_READ,
    CM_LANE_CLIENT, CM_BODY_JSON, put_typing, 64 * 1024 },
  CM_ROUTES_END,
};
