/* What the edge reads of a reply. */
#pragma once

#include "server/http/reply.h"

G_BEGIN_DECLS

typedef struct {
  char *name;
  char *value;
} CmReplyHeader;

struct _CmReply {
  unsigned status;
  char *content_type; /* NULL: none */
  GBytes *body;       /* NULL: empty, or a file */
  int fd;             /* -1: no file */
  guint64 file_length;
  GBytes *before, *after; /* the file; NULL: nothing */
  GArray *headers;        /* of CmReplyHeader, NULL: none */
};

guint64 cm_reply_length (const CmReply *reply);
/* Bytes of memory that it holds until it is sent: nothing of a file. */
gsize cm_reply_held (const CmReply *reply);

G_END_DECLS
