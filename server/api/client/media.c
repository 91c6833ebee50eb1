/* The content repository ("Content repository"): uploads, downloads, thumbnails. */
#include "server/config/config.h"
#include "server/node.h"
#include "server/routes.h"

/* GET /_matrix/client/v1/media/config */
static CmReply *
config (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_integer (writer, "m.upload.size", cm_call_node (call)->config->media.max_upload);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* Nothing was stored before these paths were frozen ("Client behaviour", the warning of 1.12), so
 * that there is nothing to be had without signing in. */
static CmReply *
frozen (CmCall *call, GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such media");
  return NULL;
}

#define CLIENT "/_matrix/client/v1/media/"
#define LEGACY "/_matrix/media/v3/"

const CmRoute cm_routes_media[] = {
  { "GET", CLIENT "config", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, config, 0 },
  { "GET", LEGACY "config", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, config, 0 },
  { "GET", LEGACY "download/{serverName}/{mediaId}", CM_AUTH_NONE, CM_LIMIT_MEDIA, CM_LANE_EDGE,
    CM_BODY_NONE, frozen, 0 },
  { "GET", LEGACY "download/{serverName}/{mediaId}/{fileName}", CM_AUTH_NONE, CM_LIMIT_MEDIA,
    CM_LANE_EDGE, CM_BODY_NONE, frozen, 0 },
  { "GET", LEGACY "thumbnail/{serverName}/{mediaId}", CM_AUTH_NONE, CM_LIMIT_MEDIA, CM_LANE_EDGE,
    CM_BODY_NONE, frozen, 0 },
  CM_ROUTES_END
};
