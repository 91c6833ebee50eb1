/* Files for other servers (server-server, "Content Repository"): this server's own only. */
#include "server/api/media-params.h"
#include "server/node.h"
#include "server/routes.h"

/* GET /_matrix/federation/v1/media/download/{mediaId} */
static CmReply *
download (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  CmMediaAsk ask = { .server = node->server_name, .to_server = TRUE };

  if (!cm_media_param_id (call, &ask.media_id, error) ||
      !cm_media_param_wait (call, &ask.wait_ms, error))
    return NULL;
  return cm_media_store_serve (node->media, call, &ask, error);
}

/* GET /_matrix/federation/v1/media/thumbnail/{mediaId} */
static CmReply *
thumbnail (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  CmMediaAsk ask = { .server = node->server_name, .to_server = TRUE, .is_thumbnail = TRUE };

  if (!cm_media_param_id (call, &ask.media_id, error) ||
      !cm_media_param_wait (call, &ask.wait_ms, error) ||
      !cm_media_param_size (call, &ask.size, error))
    return NULL;
  return cm_media_store_serve (node->media, call, &ask, error);
}

const CmRoute cm_routes_federation_media[] = {
  { "GET", "/_matrix/federation/v1/media/download/{mediaId}", CM_AUTH_FEDERATION,
    CM_LIMIT_FEDERATION, CM_LANE_FEDERATION, CM_BODY_NONE, download, 0 },
  { "GET", "/_matrix/federation/v1/media/thumbnail/{mediaId}", CM_AUTH_FEDERATION,
    CM_LIMIT_FEDERATION, CM_LANE_FEDERATION, CM_BODY_NONE, thumbnail, 0 },
  CM_ROUTES_END
};
