#include "server/ephemeral/presence.h"
#include "server/node.h"
#include "server/routes.h"
#include "server/sync/hub.h"

#include <string.h>

static gboolean
note_presence (CmCall *call, GError **error)
{
  const char *state = cm_call_query (call, "set_presence");

  if (state == NULL)
    state = "online";
  if (!cm_presence_is_state (state)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                         "set_presence must be online, offline or unavailable");
    return FALSE;
  }
  /* "When set to offline then the client is not marked as being online" */
  if (strcmp (state, "offline") != 0)
    cm_ephemeral_seen (cm_call_node (call)->ephemeral, cm_call_user (call), state);
  return TRUE;
}

static CmReply *
serve_sync (CmCall *call, GError **error)
{
  g_autoptr (CmSyncRequest) request = cm_sync_request_new (call, error);

  if (request == NULL || !note_presence (call, error))
    return NULL;
  cm_sync_hub_serve (cm_call_node (call)->sync, call, g_steal_pointer (&request));
  return CM_REPLY_LATER;
}

const CmRoute cm_routes_sync[] = {
  { "GET", "/_matrix/client/v3/sync", CM_AUTH_TOKEN_GUEST, CM_LIMIT_NONE, CM_LANE_CLIENT,
    CM_BODY_NONE, serve_sync, 0 },
  CM_ROUTES_END,
};
