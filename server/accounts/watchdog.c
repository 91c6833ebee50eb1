#include "server/accounts/watchdog.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct _CmWatch {
  int fd; /* a duplicate, so that its number is not somebody else's when the time comes */
  gint64 deadline_us;
};

struct _CmWatchdog {
  GMutex mutex;
  GCond changed;
  GPtrArray *watches;
  gboolean ending;
  GThread *thread;
};

/* Shuts down what is due; returns when the next one will be. */
static gint64
bite (CmWatchdog *watchdog)
{
  gint64 now = g_get_monotonic_time ();
  gint64 next = G_MAXINT64;
  for (guint i = 0; i < watchdog->watches->len; i++) {
    CmWatch *watch = watchdog->watches->pdata[i];
    if (watch->deadline_us > now) {
      next = MIN (next, watch->deadline_us);
    } else {
      shutdown (watch->fd, SHUT_RDWR);
      watch->deadline_us = G_MAXINT64;
    }
  }
  return next;
}

static gpointer
run (gpointer data)
{
  CmWatchdog *watchdog = data;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&watchdog->mutex);
  while (!watchdog->ending) {
    gint64 next = bite (watchdog);
    if (next == G_MAXINT64)
      g_cond_wait (&watchdog->changed, &watchdog->mutex);
    else
      g_cond_wait_until (&watchdog->changed, &watchdog->mutex, next);
  }
  return NULL;
}

CmWatchdog *
cm_watchdog_new (void)
{
  CmWatchdog *watchdog = g_new0 (CmWatchdog, 1);
  g_mutex_init (&watchdog->mutex);
  g_cond_init (&watchdog->changed);
  watchdog->watches = g_ptr_array_new ();
  watchdog->thread = g_thread_new ("watchdog", run, watchdog);
  return watchdog;
}

void
cm_watchdog_free (CmWatchdog *watchdog)
{
  if (!watchdog)
    return;
  g_mutex_lock (&watchdog->mutex);
  watchdog->ending = TRUE;
  g_cond_signal (&watchdog->changed);
  g_mutex_unlock (&watchdog->mutex);
  g_thread_join (watchdog->thread);
  g_ptr_array_unref (watchdog->watches);
  g_cond_clear (&watchdog->changed);
  g_mutex_clear (&watchdog->mutex);
  g_free (watchdog);
}

CmWatch *
cm_watchdog_add (CmWatchdog *watchdog, int fd, guint milliseconds)
{
  int duplicate = fcntl (fd, F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0)
    return NULL;
  CmWatch *watch = g_new0 (CmWatch, 1);
  watch->fd = duplicate;
  watch->deadline_us = g_get_monotonic_time () + milliseconds * G_TIME_SPAN_MILLISECOND;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&watchdog->mutex);
  g_ptr_array_add (watchdog->watches, watch);
  g_cond_signal (&watchdog->changed);
  return watch;
}

void
cm_watchdog_remove (CmWatchdog *watchdog, CmWatch *watch)
{
  if (!watch)
    return;
  g_mutex_lock (&watchdog->mutex);
  g_ptr_array_remove_fast (watchdog->watches, watch);
  g_mutex_unlock (&watchdog->mutex);
  close (watch->fd);
  g_free (watch);
}
