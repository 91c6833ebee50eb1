/* Calls (client-server, "Voice over IP"). */
#include "server/router/router.h"
#include "server/routes.h"

/* GET /voip/turnServer: an empty object is what clients take for "no TURN server here". */
static CmReply *
turn_server (CmCall *call, GError **error)
{
  return cm_reply_empty ();
}

const CmRoute cm_routes_voip[] = {
  { "GET", "/_matrix/client/v3/voip/turnServer", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_NONE, turn_server },
  CM_ROUTES_END,
};
