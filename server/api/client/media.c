/* The content repository ("Content repository"): uploads, downloads, thumbnails. */
#include "server/media/media.h"

#include "crypto/id.h"
#include "server/api/media-params.h"
#include "server/config/config.h"
#include "server/node.h"
#include "server/routes.h"

static CmUpload
upload_of (CmCall *call)
{
  return (CmUpload){
    .uploader = cm_call_user (call),
    .content_type = cm_call_header (call, "Content-Type"),
    .file_name = cm_call_query (call, "filename"),
    .content = cm_call_body (call),
    .is_trusted = cm_call_requester (call)->appservice != NULL,
  };
}

/* POST /_matrix/media/v3/upload */
static CmReply *
upload (CmCall *call, GError **error)
{
  const CmUpload file = upload_of (call);
  g_autofree char *uri = cm_media_store_upload (cm_call_node (call)->media, &file, error);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (uri == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "content_uri", uri);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* POST /_matrix/media/v1/create */
static CmReply *
create (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gint64 expires_ts;
  g_autofree char *uri =
      cm_media_store_reserve (cm_call_node (call)->media, cm_call_user (call), &expires_ts, error);

  if (uri == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "content_uri", uri);
  cm_json_put_integer (writer, "unused_expires_at", expires_ts);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* PUT /_matrix/media/v3/upload/{serverName}/{mediaId} */
static CmReply *
upload_to (CmCall *call, GError **error)
{
  const CmUpload file = upload_of (call);
  const char *server, *media_id;

  if (!cm_media_param_uri (call, &server, &media_id, error) ||
      !cm_media_store_fulfil (cm_call_node (call)->media, server, media_id, &file, error))
    return NULL;
  return cm_reply_empty ();
}

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

/* GET /_matrix/client/v1/media/download/{serverName}/{mediaId} */
static CmReply *
download (CmCall *call, GError **error)
{
  CmMediaAsk ask = { 0 };

  if (!cm_media_param_uri (call, &ask.server, &ask.media_id, error) ||
      !cm_media_param_wait (call, &ask.wait_ms, error))
    return NULL;
  return cm_media_store_serve (cm_call_node (call)->media, call, &ask, error);
}

/* GET /_matrix/client/v1/media/download/{serverName}/{mediaId}/{fileName} */
static CmReply *
download_as (CmCall *call, GError **error)
{
  CmMediaAsk ask = { .file_name = cm_call_param (call, "fileName") };

  if (!cm_media_param_uri (call, &ask.server, &ask.media_id, error) ||
      !cm_media_param_wait (call, &ask.wait_ms, error))
    return NULL;
  return cm_media_store_serve (cm_call_node (call)->media, call, &ask, error);
}

/* GET /_matrix/client/v1/media/thumbnail/{serverName}/{mediaId} */
static CmReply *
thumbnail (CmCall *call, GError **error)
{
  CmMediaAsk ask = { .is_thumbnail = TRUE };

  if (!cm_media_param_uri (call, &ask.server, &ask.media_id, error) ||
      !cm_media_param_wait (call, &ask.wait_ms, error) ||
      !cm_media_param_size (call, &ask.size, error))
    return NULL;
  return cm_media_store_serve (cm_call_node (call)->media, call, &ask, error);
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
#define URI    "{serverName}/{mediaId}"

const CmRoute cm_routes_media[] = {
  { "POST", LEGACY "upload", CM_AUTH_TOKEN, CM_LIMIT_MEDIA, CM_LANE_BLOCKING, CM_BODY_RAW, upload,
    0 },
  { "PUT", LEGACY "upload/" URI, CM_AUTH_TOKEN, CM_LIMIT_MEDIA, CM_LANE_BLOCKING, CM_BODY_RAW,
    upload_to, 0 },
  { "POST", "/_matrix/media/v1/create", CM_AUTH_TOKEN, CM_LIMIT_MEDIA, CM_LANE_CLIENT, CM_BODY_NONE,
    create, 0 },
  { "GET", CLIENT "config", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, config, 0 },
  { "GET", CLIENT "download/" URI, CM_AUTH_TOKEN_GUEST, CM_LIMIT_MEDIA, CM_LANE_CLIENT,
    CM_BODY_NONE, download, 0 },
  { "GET", CLIENT "download/" URI "/{fileName}", CM_AUTH_TOKEN_GUEST, CM_LIMIT_MEDIA,
    CM_LANE_CLIENT, CM_BODY_NONE, download_as, 0 },
  { "GET", CLIENT "thumbnail/" URI, CM_AUTH_TOKEN_GUEST, CM_LIMIT_MEDIA, CM_LANE_CLIENT,
    CM_BODY_NONE, thumbnail, 0 },
  { "GET", LEGACY "config", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, config, 0 },
  { "GET", LEGACY "download/" URI, CM_AUTH_NONE, CM_LIMIT_MEDIA, CM_LANE_EDGE, CM_BODY_NONE, frozen,
    0 },
  { "GET", LEGACY "download/" URI "/{fileName}", CM_AUTH_NONE, CM_LIMIT_MEDIA, CM_LANE_EDGE,
    CM_BODY_NONE, frozen, 0 },
  { "GET", LEGACY "thumbnail/" URI, CM_AUTH_NONE, CM_LIMIT_MEDIA, CM_LANE_EDGE, CM_BODY_NONE,
    frozen, 0 },
  CM_ROUTES_END
};
