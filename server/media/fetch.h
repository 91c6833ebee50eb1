/* Files of other servers. */
#pragma once

#include "server/media/multipart.h"
#include "server/node.h"

G_BEGIN_DECLS

/* What @server serves as @media_id, asked for with this server's signature (transfer full; its type
 * and name are as @server declares them). Blocking. CM_ERROR_NOT_FOUND, CM_ERROR_TOO_LARGE,
 * CM_ERROR_NOT_YET_UPLOADED (the remote was asked to wait for @wait_ms), CM_ERROR_BAD_GATEWAY and
 * what else cm_fed_call_raw may say. */
CmFilePart *cm_media_fetch (const CmNode *node, const char *server, const char *media_id,
                            gint64 wait_ms, GError **error);

G_END_DECLS
