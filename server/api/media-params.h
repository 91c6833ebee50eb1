/* What requests for media have in common, of clients and of servers. */
#pragma once

#include "server/media/media.h"

G_BEGIN_DECLS

/* "{serverName}/{mediaId}", checked as mxc:// URIs must be. CM_ERROR_INVALID_PARAM. */
gboolean
cm_media_param_uri (const CmCall *call, const char **server, const char **media_id, GError **error);
gboolean cm_media_param_id (const CmCall *call, const char **media_id, GError **error);
/* timeout_ms. */
gboolean cm_media_param_wait (const CmCall *call, gint64 *wait_ms, GError **error);
/* width, height, method and animated. */
gboolean cm_media_param_size (const CmCall *call, CmThumbnailKey *size, GError **error);

G_END_DECLS
