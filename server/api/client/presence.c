#include "schema/ids.h"
#include "schema/sync.h"
#include "server/api/body.h"
#include "server/api/own.h"
#include "server/ephemeral/presence.h"
#include "server/node.h"
#include "server/routes.h"

#include <string.h>

static CmReply *
put_presence (CmCall *call, GError **error)
{
  const CmJson *body = cm_call_json (call);
  const char *state, *status_msg;

  if (!cm_call_is_own (call, error) || !cm_body_need_text (body, "presence", 64, &state, error) ||
      !cm_body_text (body, "status_msg", CM_PRESENCE_MAX_STATUS, &status_msg, error))
    return NULL;
  if (!cm_presence_is_state (state)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                         "presence must be online, offline or unavailable");
    return NULL;
  }
  cm_ephemeral_presence (cm_call_node (call)->ephemeral, cm_call_user (call), state, status_msg,
                         g_get_real_time () / 1000);
  return cm_reply_empty ();
}

/* Only who shares a room may know; all others are told the same, whether there is such a user or
 * not (CVE-2023-43796). */
static gboolean
check_sharing (CmCall *call, const char *user_id, GError **error)
{
  const char *users[] = { user_id, NULL };

  if (strcmp (user_id, cm_call_user (call)) == 0)
    return TRUE;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_auto (GStrv) sharing =
      db != NULL ? cm_sync_sharing (db, cm_call_requester (call)->user, users, error) : NULL;
  if (sharing == NULL)
    return FALSE;
  if (sharing[0] != NULL)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN,
                       "You do not share a room with this user");
  return FALSE;
}

static CmReply *
get_presence (CmCall *call, GError **error)
{
  const char *user_id = cm_call_param (call, "userId");
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (!check_sharing (call, user_id, error))
    return NULL;
  g_autoptr (CmPresence) presence =
      cm_ephemeral_presence_of (cm_call_node (call)->ephemeral, user_id);
  cm_json_open_object (writer, NULL);
  if (presence != NULL)
    cm_presence_put (writer, presence);
  else
    cm_json_put_text (writer, "presence", "offline");
  cm_json_close (writer);
  return cm_reply_json (writer);
}

#define STATUS "/_matrix/client/v3/presence/{userId}/status"

const CmRoute cm_routes_presence[] = {
  { "GET", STATUS, CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, get_presence, 0 },
  { "PUT", STATUS, CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON, put_presence,
    64 * 1024 },
  CM_ROUTES_END,
};
