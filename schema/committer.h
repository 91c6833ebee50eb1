/* Group commit, and the one stream of positions. A thread of its own takes all queued writes,
 * allots their positions, sends them as one pipelined transaction with one sync, publishes the
 * positions in order, and only then calls back. A write that fails takes nobody with it: the
 * batch is rolled back and what stood before and behind is committed without it, in order. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

typedef struct _CmCommitter CmCommitter;

/* @position: the first stream position of the write, 0 when it needs none, -1 when it failed
 * (@error, borrowed). CM_ERROR_UNAVAILABLE: the database was away for too long, and the write may
 * be found in it later: whoever keeps a copy of what it changed must read that again. Runs on the
 * committer's thread: be short, and never wait for another write. */
typedef void (*CmCommitted) (const CmWrite *write, gint64 position, const GError *error,
                             gpointer data);
/* Sees every committed write, in order, after its positions were published and before its
 * CmCommitted. */
typedef void (*CmCommitListener) (const CmWrite *write, gint64 position, gpointer data);

/* Takes one connection of its own beside @pool, so that whoever holds one of the pool's may wait
 * for a commit. The stream starts where table stream says. */
CmCommitter *cm_committer_new (CmPool *pool, GError **error);
/* Finishes what is queued, then ends. */
void cm_committer_free (CmCommitter *committer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmCommitter, cm_committer_free)

/* How long a write is tried again while the database is away; 30 seconds unless set. */
void cm_committer_set_patience (CmCommitter *committer, guint milliseconds);
/* Before the first write only. */
void cm_committer_listen (CmCommitter *committer, CmCommitListener listener, gpointer data);

/* Queues @write (transfer full) behind all queued before it. A write whose @guard (nullable)
 * returns FALSE when its turn comes is not run but fails with CM_ERROR_CONFLICT: it was built on
 * something that failed, and whose callback has run before. */
typedef gboolean (*CmWriteGuard) (gpointer data);
void cm_committer_submit (CmCommitter *committer, CmWrite *write, CmWriteGuard guard,
                          CmCommitted callback, gpointer data);

/* Queues @write (transfer full) and waits. Returns the first position (0 for a write that needs
 * none), -1 with @error. */
gint64 cm_committer_commit (CmCommitter *committer, CmWrite *write, GError **error);

/* The newest position that readers may see: all before it are committed. Any thread. */
gint64 cm_committer_position (CmCommitter *committer);

G_END_DECLS
