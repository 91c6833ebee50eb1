/* What is inside a write, for the committer. */
#pragma once

#include "schema/args.h"
#include "schema/write.h"

G_BEGIN_DECLS

typedef struct {
  const CmSql *sql;
  CmArgs *args;
  gboolean fenced;
} CmStatement;

struct _CmWrite {
  GArray *statements; /* of CmStatement */
  gboolean fenced;    /* one of them is */
  gint64 positions;
  gsize size;    /* bytes on the wire, about */
  GError *error; /* a parameter was bad: fails without being run */
  GArray *topics;
  GArray *attachments;
};

G_END_DECLS
