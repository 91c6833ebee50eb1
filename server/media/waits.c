#include "server/media/waits.h"

#include <string.h>

typedef struct {
  char *key;
  gint64 deadline_us;
  gpointer waiter;
} Wait;

struct _CmWaits {
  CmWaitEnd end;
  guint max;
  GThread *thread;

  GMutex lock;
  GCond changed;
  GQueue list; /* of Wait, the first to end in front */
  gboolean closed;
};

static void
wait_end (CmWaits *waits, Wait *wait, gboolean late)
{
  waits->end (wait->waiter, late);
  g_free (wait->key);
  g_free (wait);
}

/* The thread that ends what nobody else does. */
static gpointer
run (gpointer data)
{
  CmWaits *waits = data;

  g_mutex_lock (&waits->lock);
  while (!waits->closed) {
    Wait *first = g_queue_peek_head (&waits->list);
    if (first == NULL) {
      g_cond_wait (&waits->changed, &waits->lock);
    } else if (first->deadline_us > g_get_monotonic_time ()) {
      g_cond_wait_until (&waits->changed, &waits->lock, first->deadline_us);
    } else {
      g_queue_pop_head (&waits->list);
      g_mutex_unlock (&waits->lock);
      wait_end (waits, first, TRUE);
      g_mutex_lock (&waits->lock);
    }
  }
  g_mutex_unlock (&waits->lock);
  return NULL;
}

CmWaits *
cm_waits_new (guint max, CmWaitEnd end)
{
  CmWaits *waits = g_new0 (CmWaits, 1);

  waits->max = max;
  waits->end = end;
  g_mutex_init (&waits->lock);
  g_cond_init (&waits->changed);
  g_queue_init (&waits->list);
  waits->thread = g_thread_new ("media-waits", run, waits);
  return waits;
}

void
cm_waits_free (CmWaits *waits)
{
  Wait *wait;

  g_mutex_lock (&waits->lock);
  waits->closed = TRUE;
  g_cond_signal (&waits->changed);
  g_mutex_unlock (&waits->lock);
  g_thread_join (waits->thread);
  while ((wait = g_queue_pop_head (&waits->list)) != NULL)
    wait_end (waits, wait, TRUE);
  g_mutex_clear (&waits->lock);
  g_cond_clear (&waits->changed);
  g_free (waits);
}

static gint
compare_deadlines (gconstpointer a, gconstpointer b, gpointer data)
{
  const Wait *first = a, *second = b;

  return first->deadline_us < second->deadline_us ? -1 : first->deadline_us > second->deadline_us;
}

gboolean
cm_waits_add (CmWaits *waits, const char *key, gint64 deadline_us, gpointer waiter)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&waits->lock);

  if (waits->closed || waits->list.length >= waits->max)
    return FALSE;
  Wait *wait = g_new0 (Wait, 1);
  wait->key = g_strdup (key);
  wait->deadline_us = deadline_us;
  wait->waiter = waiter;
  g_queue_insert_sorted (&waits->list, wait, compare_deadlines, NULL);
  if (g_queue_peek_head (&waits->list) == wait)
    g_cond_signal (&waits->changed);
  return TRUE;
}

void
cm_waits_come (CmWaits *waits, const char *key)
{
  GQueue come = G_QUEUE_INIT;
  Wait *wait;

  g_mutex_lock (&waits->lock);
  for (GList *link = waits->list.head, *next; link != NULL; link = next) {
    next = link->next;
    if (strcmp (((Wait *) link->data)->key, key) == 0) {
      g_queue_unlink (&waits->list, link);
      g_queue_push_tail_link (&come, link);
    }
  }
  g_mutex_unlock (&waits->lock);
  while ((wait = g_queue_pop_head (&come)) != NULL)
    wait_end (waits, wait, FALSE);
}
