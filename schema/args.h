/* Parameters as libpq takes them. Inside the floor only. Everything but bytes travels as text and
 * lets the server infer the type, so that one CM_INT fits an integer and a bigint column; nothing
 * ever becomes part of an SQL text. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

/* A place for a stream position that is not known yet. */
typedef struct {
  guint index;
  gint64 offset;
} CmArgPosition;

/* One block of memory: g_free it. */
typedef struct {
  int n;
  const char **values;
  int *lengths;
  int *formats;
  gsize size; /* about how many bytes the values take on the wire */
  CmArgPosition *positions;
  guint n_positions;
} CmArgs;

/**
 * cm_args_new: checks and encodes @params. Without @copy texts and bytes are borrowed from @params.
 * CM_ERROR_INVALID_PARAM for text that is not UTF-8 or holds U+0000, CM_ERROR_TOO_LARGE beyond 512
 * MiB.
 */
CmArgs *cm_args_new (const CmParam *params, gsize n_params, gboolean copy, GError **error);
/* Writes @base plus its offset at each place of a position; may be called again. */
void cm_args_set_positions (CmArgs *args, gint64 base);

G_END_DECLS
