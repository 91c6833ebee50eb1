/* The row of table stream and the connection that moves it: commits a batch of writes as one
 * transaction, exactly once even when the connection is lost in the middle of COMMIT. Each batch
 * has a random name, written into the row; a new connection reads there whether the batch is in.
 * The same write of the row is the fence between several nodes: it fails unless the row still
 * holds what this node saw last. Inside the floor, for the committer's thread only. */
#pragma once

#include "schema/write-private.h"

G_BEGIN_DECLS

typedef struct {
  CmPool *pool;    /* of this one connection */
  CmDb *db;        /* NULL while the connection is lost */
  gint64 position; /* the last that was allotted and committed */
  gint64 batch;    /* the name in the row */
} CmStream;

typedef struct {
  CmWrite *write;
  gint64 position; /* set by cm_stream_commit: the first of the write's own, 0 when it needs none */
} CmBatchItem;

typedef enum {
  CM_BATCH_COMMITTED,
  CM_BATCH_REFUSED, /* rolled back: one write failed */
  CM_BATCH_LOST,    /* the database is away, or it cannot be known whether the batch is in */
} CmBatchOutcome;

gboolean cm_stream_open (CmStream *stream, CmPool *pool, GError **error);
void cm_stream_close (CmStream *stream);

/**
 * cm_stream_commit: commits @items. While the database is away it tries again until @deadline
 * (monotonic), but at least once.
 * @culprit: for CM_BATCH_REFUSED, the index of the write that failed with @error; @n when COMMIT
 * itself was refused.
 */
CmBatchOutcome cm_stream_commit (CmStream *stream, CmBatchItem *const *items, gsize n,
                                 gint64 deadline, gsize *culprit, GError **error);

G_END_DECLS
