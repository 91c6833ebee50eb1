#include "server/http/loop.h"

#include "server/http/conn.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SWEEP_US   G_TIME_SPAN_SECOND
#define MAX_EVENTS 64
/* A resumed connection is looked at in one run and answered in the next. */
#define MAX_RUNS 4

typedef struct {
  GSource base;
  CmLoop *loop;
} LoopSource;

CmLoop *
cm_loop_ref (CmLoop *loop)
{
  g_atomic_int_inc (&loop->refs);
  return loop;
}

void
cm_loop_unref (CmLoop *loop)
{
  if (!g_atomic_int_dec_and_test (&loop->refs))
    return;
  g_source_destroy (loop->source);
  g_source_unref (loop->source);
  g_main_context_unref (loop->context);
  g_ptr_array_unref (loop->daemons);
  cm_wheel_close (loop->wheel);
  close (loop->wake_fd);
  close (loop->hangup_fd);
  g_free (loop);
}

gboolean
cm_loop_is_here (const CmLoop *loop)
{
  return g_atomic_pointer_get (&((CmLoop *) loop)->thread) == g_thread_self ();
}

static void
loop_wake (CmLoop *loop)
{
  guint64 one = 1;

  if (g_atomic_int_compare_and_exchange (&loop->asleep, TRUE, FALSE))
    while (write (loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
      ;
}

void
cm_loop_post (CmLoop *loop, CmCall *call)
{
  /* Nobody would look any more, and the stack would hold the call for ever. */
  if (g_atomic_int_get (&loop->closed))
    return;
  if (!g_atomic_int_compare_and_exchange (&call->posted, FALSE, TRUE))
    return;
  cm_call_ref (call);
  do
    call->next_posted = g_atomic_pointer_get (&loop->posted);
  while (!g_atomic_pointer_compare_and_exchange (&loop->posted, call->next_posted, call));
  loop_wake (loop);
}

CmTimer *
cm_loop_timer (CmLoop *loop, guint delay_ms, GSourceFunc func, gpointer data)
{
  gboolean sooner;
  CmTimer *timer =
      cm_wheel_add (loop->wheel, g_get_monotonic_time (), delay_ms, func, data, &sooner);

  if (sooner)
    loop_wake (loop);
  return timer;
}

static void
loop_drain_posted (CmLoop *loop)
{
  CmCall *call;

  do
    call = g_atomic_pointer_get (&loop->posted);
  while (call != NULL && !g_atomic_pointer_compare_and_exchange (&loop->posted, call, NULL));

  while (call != NULL) {
    CmCall *next = call->next_posted;
    g_atomic_int_set (&call->posted, FALSE);
    cm_conn_settle (call);
    cm_call_unref (call);
    call = next;
  }
}

static void
loop_drain_hangups (CmLoop *loop)
{
  struct epoll_event events[MAX_EVENTS];
  int n;

  /* No connection is freed before the daemons run, so none of the pointers is stale. */
  do {
    n = epoll_wait (loop->hangup_fd, events, MAX_EVENTS, 0);
    for (int i = 0; i < n; i++)
      cm_conn_hang_up (events[i].data.ptr);
  } while (n == MAX_EVENTS);
}

static void
loop_run_daemons (CmLoop *loop)
{
  loop->pending = FALSE;
  for (guint i = 0; i < loop->daemons->len; i++) {
    CmDaemon *daemon = g_ptr_array_index (loop->daemons, i);
    MHD_UNSIGNED_LONG_LONG timeout = 0;
    gboolean again = daemon->resumed || g_source_query_unix_fd (loop->source, daemon->tag) != 0;

    if (!again && MHD_get_timeout (daemon->mhd, &timeout) == MHD_YES && timeout == 0)
      again = TRUE;
    daemon->resumed = FALSE;
    for (guint run = 0; again && run < MAX_RUNS; run++) {
      MHD_run (daemon->mhd);
      again = MHD_get_timeout (daemon->mhd, &timeout) == MHD_YES && timeout == 0;
    }
    /* Fairness: what is left waits until the other descriptors were looked at. */
    loop->pending |= again || daemon->resumed;
  }
}

static void
loop_sweep (CmLoop *loop, gint64 now_us)
{
  if (now_us < loop->sweep_us)
    return;
  loop->sweep_us = now_us + SWEEP_US;
  for (CmConn *conn = loop->conns; conn != NULL; conn = conn->next)
    cm_conn_sweep (conn, now_us);
}

static void
loop_close_step (CmLoop *loop, gint64 now_us)
{
  if (!loop->closing || (loop->n_calls > 0 && now_us < loop->closing_us))
    return;
  /* First, so that what these runs bring is not held anew. */
  g_atomic_int_set (&loop->closed, TRUE);
  for (CmConn *conn = loop->conns; conn != NULL; conn = conn->next)
    cm_conn_close (conn, TRUE);
  loop_run_daemons (loop);
}

static gboolean
loop_prepare (GSource *source, int *timeout)
{
  CmLoop *loop = ((LoopSource *) source)->loop;
  gint64 now_us = g_get_monotonic_time ();

  /* In this order: whoever posts after the look at the stack finds the flag. */
  g_atomic_int_set (&loop->asleep, TRUE);
  gint64 turn_us = MIN (cm_wheel_turn (loop->wheel), loop->sweep_us);
  if (loop->closing)
    turn_us = MIN (turn_us, loop->closing_us);
  if (loop->pending || g_atomic_pointer_get (&loop->posted) != NULL || turn_us <= now_us)
    return TRUE;
  *timeout = (int) ((turn_us - now_us) / G_TIME_SPAN_MILLISECOND + 1);
  return FALSE;
}

static gboolean
loop_check (GSource *source)
{
  return TRUE;
}

static gboolean
loop_dispatch (GSource *source, GSourceFunc callback, gpointer data)
{
  CmLoop *loop = ((LoopSource *) source)->loop;
  gint64 now_us = g_get_monotonic_time ();
  guint64 count;

  g_atomic_int_set (&loop->asleep, FALSE);
  if (g_source_query_unix_fd (source, loop->wake_tag) != 0 &&
      read (loop->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
    g_warning ("cannot read the loop's eventfd: %s", g_strerror (errno));
  cm_wheel_run (loop->wheel, now_us);
  loop_drain_posted (loop);
  if (g_source_query_unix_fd (source, loop->hangup_tag) != 0)
    loop_drain_hangups (loop);
  loop_sweep (loop, now_us);
  loop_run_daemons (loop);
  loop_close_step (loop, now_us);
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs loop_funcs = { loop_prepare, loop_check, loop_dispatch, NULL, NULL, NULL };

static gpointer
loop_thread (gpointer data)
{
  CmLoop *loop = data;

  g_main_context_push_thread_default (loop->context);
  while (!loop->closed)
    g_main_context_iteration (loop->context, TRUE);
  for (guint i = 0; i < loop->daemons->len; i++) {
    CmDaemon *daemon = g_ptr_array_index (loop->daemons, i);
    MHD_stop_daemon (daemon->mhd);
  }
  g_main_context_pop_thread_default (loop->context);
  return NULL;
}

CmLoop *
cm_loop_new (guint index)
{
  g_autofree char *name = g_strdup_printf ("http-%u", index);
  CmLoop *loop = g_new0 (CmLoop, 1);

  loop->refs = 1;
  loop->daemons = g_ptr_array_new_with_free_func (g_free);
  loop->wheel = cm_wheel_new (g_get_monotonic_time ());
  loop->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  loop->hangup_fd = epoll_create1 (EPOLL_CLOEXEC);
  if (loop->wake_fd < 0 || loop->hangup_fd < 0)
    g_error ("cannot make the descriptors of an event loop: %s", g_strerror (errno));

  loop->context = g_main_context_new ();
  loop->source = g_source_new (&loop_funcs, sizeof (LoopSource));
  ((LoopSource *) loop->source)->loop = loop;
  loop->wake_tag = g_source_add_unix_fd (loop->source, loop->wake_fd, G_IO_IN);
  loop->hangup_tag = g_source_add_unix_fd (loop->source, loop->hangup_fd, G_IO_IN);
  /* It never recurses; but GLib takes the descriptors of any other kind of source out of its poll
   * for every dispatch, with a write to its own eventfd each. */
  g_source_set_can_recurse (loop->source, TRUE);
  g_source_attach (loop->source, loop->context);
  loop->thread = g_thread_new (name, loop_thread, loop);
  return loop;
}

/* What the loop's own thread is to do. */
typedef struct {
  CmLoop *loop;
  CmDaemon *daemon;
  guint timeout_ms;
} Order;

static void
loop_order (CmLoop *loop, GSourceFunc func, CmDaemon *daemon, guint timeout_ms)
{
  Order *order = g_new0 (Order, 1);
  g_autoptr (GSource) source = g_idle_source_new ();

  order->loop = loop;
  order->daemon = daemon;
  order->timeout_ms = timeout_ms;
  g_source_set_priority (source, G_PRIORITY_DEFAULT);
  g_source_set_callback (source, func, order, g_free);
  g_source_attach (source, loop->context);
}

static gboolean
order_add (gpointer data)
{
  Order *order = data;
  const union MHD_DaemonInfo *info =
      MHD_get_daemon_info (order->daemon->mhd, MHD_DAEMON_INFO_EPOLL_FD);

  order->daemon->tag = g_source_add_unix_fd (order->loop->source, info->epoll_fd, G_IO_IN);
  order->daemon->resumed = TRUE; /* its first run puts the listening socket into the set */
  g_ptr_array_add (order->loop->daemons, order->daemon);
  order->loop->pending = TRUE;
  return G_SOURCE_REMOVE;
}

void
cm_loop_add_daemon (CmLoop *loop, CmDaemon *daemon)
{
  loop_order (loop, order_add, daemon, 0);
}

static gboolean
order_close (gpointer data)
{
  Order *order = data;
  CmLoop *loop = order->loop;

  for (guint i = 0; i < loop->daemons->len; i++) {
    CmDaemon *daemon = g_ptr_array_index (loop->daemons, i);
    int fd = MHD_quiesce_daemon (daemon->mhd);
    if (fd >= 0)
      close (fd);
  }
  for (CmConn *conn = loop->conns; conn != NULL; conn = conn->next)
    cm_conn_close (conn, FALSE);
  loop->closing_us = g_get_monotonic_time () + order->timeout_ms * G_TIME_SPAN_MILLISECOND;
  loop->closing = TRUE;
  loop->pending = TRUE; /* so that it looks at once whether anything is left */
  return G_SOURCE_REMOVE;
}

void
cm_loop_close (CmLoop *loop, guint timeout_ms)
{
  loop_order (loop, order_close, NULL, timeout_ms);
}

void
cm_loop_join (CmLoop *loop)
{
  GThread *thread = loop->thread;

  /* Whoever still answers a call asks whether this is his own thread. */
  g_atomic_pointer_set (&loop->thread, NULL);
  g_thread_join (thread);
  loop_drain_posted (loop);
}
