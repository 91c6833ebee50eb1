#include "server/housekeeping.h"

#include "server/router/lanes.h"

/* A full lane is tried again after this. */
#define LANE_FULL_US (G_USEC_PER_SEC)

/* Chores on their way through the lane hold a reference each. */
struct _CmHousekeeping {
  gatomicrefcount refs;
  CmNode *node;
  const CmChore *chores;
  gsize n_chores;
  GThread *thread;
  GMutex mutex; /* guards what follows */
  GCond changed;
  gboolean closing;
  gint64 *due_us; /* of each chore, monotonic; G_MAXINT64 while it is on its way */
};

typedef struct {
  CmHousekeeping *housekeeping;
  gsize number; /* of the chore */
} Turn;

static void
unref (CmHousekeeping *housekeeping)
{
  if (!g_atomic_ref_count_dec (&housekeeping->refs))
    return;
  g_mutex_clear (&housekeeping->mutex);
  g_cond_clear (&housekeeping->changed);
  g_free (housekeeping->due_us);
  g_free (housekeeping);
}

static void
set_due (CmHousekeeping *housekeeping, gsize number, gint64 wait_us)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&housekeeping->mutex);

  housekeeping->due_us[number] = g_get_monotonic_time () + wait_us;
  g_cond_signal (&housekeeping->changed);
}

static gboolean
is_closing (CmHousekeeping *housekeeping)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&housekeeping->mutex);

  return housekeeping->closing;
}

static void
take_turn (gpointer data)
{
  g_autofree Turn *turn = data;
  CmHousekeeping *housekeeping = turn->housekeeping;
  const CmChore *chore = &housekeeping->chores[turn->number];
  g_autoptr (GError) error = NULL;
  gboolean more = FALSE;

  if (!is_closing (housekeeping) && !chore->run (housekeeping->node, &more, &error)) {
    g_warning ("Cannot %s: %s", chore->name, error->message);
    more = FALSE;
  }
  set_due (housekeeping, turn->number, more ? 0 : chore->every_ms * G_TIME_SPAN_MILLISECOND);
  unref (housekeeping);
}

/* With the mutex held. */
static void
send_off (CmHousekeeping *housekeeping, gsize number)
{
  Turn *turn = g_new (Turn, 1);

  *turn = (Turn){ housekeeping, number };
  g_atomic_ref_count_inc (&housekeeping->refs);
  housekeeping->due_us[number] = G_MAXINT64;
  if (cm_lanes_push (housekeeping->node->lanes, CM_LANE_BACKGROUND, take_turn, turn))
    return;
  housekeeping->due_us[number] = g_get_monotonic_time () + LANE_FULL_US;
  g_free (turn);
  unref (housekeeping);
}

/* Returns when the next chore is due. */
static gint64
look_around (CmHousekeeping *housekeeping)
{
  gint64 next = G_MAXINT64;

  for (gsize i = 0; i < housekeeping->n_chores; i++) {
    if (housekeeping->due_us[i] <= g_get_monotonic_time ())
      send_off (housekeeping, i);
    next = MIN (next, housekeeping->due_us[i]);
  }
  return next;
}

static gpointer
run (gpointer data)
{
  CmHousekeeping *housekeeping = data;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&housekeeping->mutex);

  while (!housekeeping->closing) {
    gint64 next = look_around (housekeeping);
    if (next == G_MAXINT64)
      g_cond_wait (&housekeeping->changed, &housekeeping->mutex);
    else
      g_cond_wait_until (&housekeeping->changed, &housekeeping->mutex, next);
  }
  return NULL;
}

CmHousekeeping *
cm_housekeeping_new (CmNode *node, const CmChore *chores, gsize n_chores)
{
  CmHousekeeping *housekeeping = g_new0 (CmHousekeeping, 1);

  g_atomic_ref_count_init (&housekeeping->refs);
  housekeeping->node = node;
  housekeeping->chores = chores;
  housekeeping->n_chores = n_chores;
  housekeeping->due_us = g_new0 (gint64, n_chores);
  g_mutex_init (&housekeeping->mutex);
  g_cond_init (&housekeeping->changed);
  housekeeping->thread = g_thread_new ("housekeeping", run, housekeeping);
  return housekeeping;
}

void
cm_housekeeping_free (CmHousekeeping *housekeeping)
{
  g_mutex_lock (&housekeeping->mutex);
  housekeeping->closing = TRUE;
  g_cond_signal (&housekeeping->changed);
  g_mutex_unlock (&housekeeping->mutex);
  g_thread_join (housekeeping->thread);
  unref (housekeeping);
}
