/* Puts a reply on the wire: as the library's response, or by hand where the library takes none any
 * more. */
#pragma once

#include "server/http/reply-private.h"

#include <microhttpd.h>

G_BEGIN_DECLS

/* Whether answers to @target carry the CORS headers ("Web Browser Clients"). */
gboolean cm_answer_is_cors (const char *target);

/* Queues @reply as the answer to the request on @mhd, whose whole body was read. @reply must live
 * until the request is completed unless its body is not from it (a file's descriptor is taken). */
enum MHD_Result
cm_answer_queue (struct MHD_Connection *mhd, CmReply *reply, gboolean cors, gboolean close);

/* Writes @reply to the socket itself, past the library, and ends our side of the connection: the
 * one way to answer in the middle of a body. */
void cm_answer_now (struct MHD_Connection *mhd, int fd, const CmReply *reply, gboolean cors);

G_END_DECLS
