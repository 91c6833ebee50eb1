#include "schema/committer.h"

#include "schema/stream.h"
#include "schema/waiter.h"

#include <stdatomic.h>

/* What one transaction takes at most: enough that fsync costs each write little, not so much that
 * one waits long. */
#define MAX_WRITES       500
#define MAX_BYTES        (4 * 1024 * 1024)
#define DEFAULT_PATIENCE (30 * G_TIME_SPAN_SECOND)

typedef struct {
  CmBatchItem item; /* first: a CmBatchItem is a Queued */
  CmWriteGuard guard;
  CmCommitted callback;
  gpointer data;
  gint64 queued_at;
  gsize index;   /* in its batch */
  GError *error; /* not to be run, or it has failed */
} Queued;

typedef struct {
  CmCommitListener listener;
  gpointer data;
} Listener;

struct _CmCommitter {
  CmStream stream; /* the thread's own */
  GThread *thread;
  GArray *listeners;
  _Atomic gint64 position;
  _Atomic gint64 patience;
  GMutex mutex;
  GCond wake;
  GQueue queue; /* of Queued */
  gboolean closing;
};

static void
free_queued (gpointer data)
{
  Queued *queued = data;
  cm_write_free (queued->item.write);
  g_clear_error (&queued->error);
  g_free (queued);
}

/* Waits for writes and takes what is there, in order; NULL at the end. */
static GPtrArray *
take_batch (CmCommitter *committer)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&committer->mutex);
  while (g_queue_is_empty (&committer->queue) && !committer->closing)
    g_cond_wait (&committer->wake, &committer->mutex);
  if (g_queue_is_empty (&committer->queue))
    return NULL;

  GPtrArray *batch = g_ptr_array_new_with_free_func (free_queued);
  gsize bytes = 0;
  while (batch->len < MAX_WRITES && bytes < MAX_BYTES && !g_queue_is_empty (&committer->queue)) {
    Queued *queued = g_queue_pop_head (&committer->queue);
    queued->index = batch->len;
    bytes += queued->item.write->size;
    g_ptr_array_add (batch, queued);
  }
  return batch;
}

/* Those of @batch from @start to @stop that are to be run. A guard is asked each time, since a
 * write before it may have failed. */
static GPtrArray *
collect (GPtrArray *batch, gsize start, gsize stop)
{
  GPtrArray *live = g_ptr_array_new ();
  for (gsize i = start; i < stop; i++) {
    Queued *queued = batch->pdata[i];
    CmWrite *write = queued->item.write;
    if (queued->error == NULL && write->error != NULL)
      queued->error = g_error_copy (write->error);
    if (queued->error == NULL && queued->guard != NULL && !queued->guard (queued->data))
      queued->error =
          g_error_new_literal (CM_ERROR, CM_ERROR_CONFLICT, "What this was built on has failed");
    if (queued->error == NULL)
      g_ptr_array_add (live, queued);
  }
  return live;
}

/* Tells the world about the writes from @start to @stop, which are committed or have an error. */
static void
finish (CmCommitter *committer, GPtrArray *batch, gsize start, gsize stop)
{
  for (gsize i = start; i < stop; i++) {
    Queued *queued = batch->pdata[i];
    gint64 position = queued->error == NULL ? queued->item.position : -1;
    for (guint l = 0; queued->error == NULL && l < committer->listeners->len; l++) {
      const Listener *listener = &g_array_index (committer->listeners, Listener, l);
      listener->listener (queued->item.write, position, listener->data);
    }
    if (queued->callback != NULL)
      queued->callback (queued->item.write, position, queued->error, queued->data);
  }
}

static void
fail_all (GPtrArray *live, const GError *error)
{
  for (guint i = 0; i < live->len; i++) {
    Queued *queued = live->pdata[i];
    queued->error = g_error_copy (error);
  }
}

static CmBatchOutcome
commit (CmCommitter *committer, GPtrArray *live, gsize *culprit, GError **error)
{
  if (live->len == 0)
    return CM_BATCH_COMMITTED;
  const Queued *first = live->pdata[0];
  gint64 deadline = first->queued_at + atomic_load (&committer->patience);
  return cm_stream_commit (&committer->stream, (CmBatchItem *const *) live->pdata, live->len,
                           deadline, culprit, error);
}

/**
 * Commits @batch as a whole if it can be. A refused batch names the write that failed: those before
 * it are committed, then it fails (nothing stood before it in its transaction, so that nobody else
 * is to blame), then the rest goes on. When COMMIT names nobody, each goes alone.
 */
static void
process (CmCommitter *committer, GPtrArray *batch)
{
  gboolean alone = FALSE;
  gsize start = 0, stop = batch->len;
  while (start < batch->len) {
    g_autoptr (GPtrArray) live = collect (batch, start, stop);
    g_autoptr (GError) error = NULL;
    gsize culprit = 0;
    CmBatchOutcome outcome = commit (committer, live, &culprit, &error);
    if (outcome == CM_BATCH_REFUSED && live->len > 1 && culprit == live->len) {
      alone = TRUE;
      stop = start + 1;
      continue;
    }
    if (outcome == CM_BATCH_REFUSED && live->len > 1 && culprit > 0) {
      stop = ((Queued *) live->pdata[culprit])->index;
      continue;
    }
    if (outcome == CM_BATCH_REFUSED) {
      Queued *failed = live->pdata[0];
      failed->error = g_steal_pointer (&error);
      stop = failed->index + 1;
    }
    if (outcome == CM_BATCH_LOST)
      fail_all (live, error);
    atomic_store (&committer->position, committer->stream.position);
    finish (committer, batch, start, stop);
    start = stop;
    stop = alone ? start + 1 : batch->len;
  }
}

static gpointer
run (gpointer data)
{
  CmCommitter *committer = data;
  for (;;) {
    g_autoptr (GPtrArray) batch = take_batch (committer);
    if (batch == NULL)
      return NULL;
    process (committer, batch);
  }
}

CmCommitter *
cm_committer_new (CmPool *pool, GError **error)
{
  CmStream stream;
  if (!cm_stream_open (&stream, pool, error))
    return NULL;
  CmCommitter *committer = g_new0 (CmCommitter, 1);
  committer->stream = stream;
  committer->position = stream.position;
  committer->patience = DEFAULT_PATIENCE;
  committer->listeners = g_array_new (FALSE, FALSE, sizeof (Listener));
  g_mutex_init (&committer->mutex);
  g_cond_init (&committer->wake);
  g_queue_init (&committer->queue);
  committer->thread = g_thread_new ("committer", run, committer);
  return committer;
}

void
cm_committer_free (CmCommitter *committer)
{
  if (committer == NULL)
    return;
  g_mutex_lock (&committer->mutex);
  committer->closing = TRUE;
  g_cond_signal (&committer->wake);
  g_mutex_unlock (&committer->mutex);
  g_thread_join (committer->thread);
  cm_stream_close (&committer->stream);
  g_array_unref (committer->listeners);
  g_cond_clear (&committer->wake);
  g_mutex_clear (&committer->mutex);
  g_free (committer);
}

void
cm_committer_set_patience (CmCommitter *committer, guint milliseconds)
{
  atomic_store (&committer->patience, milliseconds * G_TIME_SPAN_MILLISECOND);
}

void
cm_committer_listen (CmCommitter *committer, CmCommitListener listener, gpointer data)
{
  Listener entry = { listener, data };
  g_array_append_val (committer->listeners, entry);
}

void
cm_committer_submit (CmCommitter *committer, CmWrite *write, CmWriteGuard guard,
                     CmCommitted callback, gpointer data)
{
  Queued *queued = g_new0 (Queued, 1);
  queued->item.write = write;
  queued->guard = guard;
  queued->callback = callback;
  queued->data = data;
  queued->queued_at = g_get_monotonic_time ();
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&committer->mutex);
  g_queue_push_tail (&committer->queue, queued);
  g_cond_signal (&committer->wake);
}

typedef struct {
  CmWaiter waiter;
  gint64 position;
} Commit;

static void
end_wait (const CmWrite *write, gint64 position, const GError *error, gpointer data)
{
  Commit *commit = data;
  commit->position = position;
  cm_waiter_end (&commit->waiter, error);
}

gint64
cm_committer_commit (CmCommitter *committer, CmWrite *write, GError **error)
{
  g_return_val_if_fail (g_thread_self () != committer->thread, -1);
  Commit commit;
  cm_waiter_init (&commit.waiter);
  cm_committer_submit (committer, write, NULL, end_wait, &commit);
  return cm_waiter_wait (&commit.waiter, error) ? commit.position : -1;
}

gint64
cm_committer_position (CmCommitter *committer)
{
  return atomic_load (&committer->position);
}
