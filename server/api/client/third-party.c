/* Networks that application services bridge to: there are none yet, which clients ask before they
 * show a directory of rooms (client-server, "Third-party Networks"). */
#include "server/router/router.h"
#include "server/routes.h"

/* GET /thirdparty/protocols */
static CmReply *
no_protocols (CmCall *call, GError **error)
{
  return cm_reply_empty ();
}

/* GET /thirdparty/location and /thirdparty/user: what an alias or a user is in other networks. */
static CmReply *
nothing_there (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_array (writer, NULL);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /thirdparty/{protocol,location,user}/{protocol} */
static CmReply *
unknown_protocol (CmCall *call, GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such protocol");
  return NULL;
}

#define READ CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE

const CmRoute cm_routes_third_party[] = {
  { "GET", "/_matrix/client/v3/thirdparty/protocols", READ, no_protocols },
  { "GET", "/_matrix/client/v3/thirdparty/protocol/{protocol}", READ, unknown_protocol },
  { "GET", "/_matrix/client/v3/thirdparty/location/{protocol}", READ, unknown_protocol },
  { "GET", "/_matrix/client/v3/thirdparty/user/{protocol}", READ, unknown_protocol },
  { "GET", "/_matrix/client/v3/thirdparty/location", READ, nothing_there },
  { "GET", "/_matrix/client/v3/thirdparty/user", READ, nothing_there },
  CM_ROUTES_END,
};
