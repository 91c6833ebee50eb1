/* The head of a request, read strictly: whatever a proxy in front could understand otherwise than
 * we do is refused. */
#pragma once

#include "server/http/call-private.h"

#include <microhttpd.h>

G_BEGIN_DECLS

typedef struct {
  guint64 length;    /* of the body, as declared */
  gboolean chunked;  /* no length is known */
  gboolean has_body; /* bytes may follow */
} CmHead;

/**
 * cm_head_read: check the head that @mhd has parsed and copy it into @call.
 * @target: where the request target stands in the library's buffer.
 * Returns: NULL, or (transfer full) the refusal, after which the connection must close. @head is
 * set in either case.
 */
CmReply *cm_head_read (CmCall *call, struct MHD_Connection *mhd, const char *method,
                       const char *target, const char *version, CmHead *head);

G_END_DECLS
