#include "federation/destination.h"

#include "federation/clock.h"

#define THREADS         24
#define SWEEP_MS        (3600 * 1000)
#define RESCAN_PAUSE_MS 30000

/* How many threads those of a standing and of worse ones may take together: the dead, the slow and
 * those whom nobody knows must not keep the others waiting. */
static const guint threads_for[CM_N_STANDINGS] = {
  [CM_STANDING_QUICK] = THREADS,
  [CM_STANDING_NEW] = 16,
  [CM_STANDING_DOUBTFUL] = 6,
};

struct _CmDestinations {
  CmDestinationWorld world;
  char *server_name;
  GThread *threads[THREADS];

  GMutex lock;
  GCond wake;
  gboolean stopping;
  GHashTable *all;                /* server -> CmDestination */
  GQueue waiting[CM_N_STANDINGS]; /* of CmDestination */
  guint served[CM_N_STANDINGS];   /* how many are */
  gint64 next_wake;               /* when the first of those asleep is due, ms since 1970 */
  gint64 next_sweep;
  gint64 next_rescan; /* G_MAXINT64: none is needed */
  gint64 seen;        /* the last position that the committer told of */
};

static CmDestination *
find_or_add (CmDestinations *self, const char *server)
{
  CmDestination *destination = g_hash_table_lookup (self->all, server);

  if (destination == NULL) {
    destination = cm_destination_new (server);
    destination->behind = TRUE; /* for all that is known here */
    g_hash_table_insert (self->all, destination->server, destination);
  }
  return destination;
}

static void
queue (CmDestinations *self, CmDestination *destination, CmStanding standing)
{
  destination->state = CM_DESTINATION_QUEUED;
  g_queue_push_tail (&self->waiting[standing], destination);
  g_cond_signal (&self->wake);
}

static void
wake (CmDestinations *self, CmDestination *destination)
{
  if (destination->state == CM_DESTINATION_IDLE)
    queue (self, destination, cm_destination_standing (destination));
}

static void
sleep_until (CmDestinations *self, CmDestination *destination, gint64 when)
{
  destination->state = CM_DESTINATION_SLEEPING;
  destination->wake_at = when;
  g_ptr_array_set_size (destination->ephemeral, 0);
  if (when < self->next_wake) {
    self->next_wake = when;
    g_cond_signal (&self->wake);
  }
}

static void
wake_sleepers (CmDestinations *self, gint64 now)
{
  GHashTableIter iter;
  gpointer value;

  self->next_wake = G_MAXINT64;
  g_hash_table_iter_init (&iter, self->all);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    CmDestination *destination = value;

    if (destination->state != CM_DESTINATION_SLEEPING)
      continue;
    if (destination->wake_at <= now)
      queue (self, destination, CM_STANDING_DOUBTFUL);
    else
      self->next_wake = MIN (self->next_wake, destination->wake_at);
  }
}

/* Wakes all that have something unsent. */
static void
rescan (CmDestinations *self)
{
  g_autoptr (GError) failure = NULL;
  g_auto (GStrv) servers = cm_destination_find_unsent (self->world.pool, &failure);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  if (servers == NULL) {
    g_warning ("Destinations cannot be read: %s", failure->message);
    self->next_rescan = cm_clock_ms () + RESCAN_PAUSE_MS;
    return;
  }
  for (gsize i = 0; servers[i] != NULL; i++) {
    CmDestination *destination = find_or_add (self, servers[i]);

    destination->behind = destination->stored_edus = TRUE;
    wake (self, destination);
  }
}

static void
sweep (CmDestinations *self)
{
  g_autoptr (GError) failure = NULL;

  if (!cm_destination_sweep (self->world.pool, &failure))
    g_info ("Acknowledged events were not swept: %s", failure->message);
  cm_committer_submit (self->world.committer, cm_destination_forget_strangers (), NULL, NULL, NULL);
}

/* What is due by the clock. Called and left with the lock held; TRUE when something was done. */
static gboolean
do_due (CmDestinations *self)
{
  gint64 now = cm_clock_ms ();
  void (*task) (CmDestinations *) = NULL;

  if (self->next_wake <= now)
    wake_sleepers (self, now);
  if (self->next_rescan <= now) {
    self->next_rescan = G_MAXINT64;
    task = rescan;
  } else if (self->next_sweep <= now) {
    self->next_sweep = now + SWEEP_MS;
    task = sweep;
  }
  if (task == NULL)
    return FALSE;
  g_mutex_unlock (&self->lock);
  task (self);
  g_mutex_lock (&self->lock);
  return TRUE;
}

static CmDestination *
next_destination (CmDestinations *self, CmStanding *standing)
{
  guint busy[CM_N_STANDINGS + 1] = { 0 };

  for (guint i = CM_N_STANDINGS; i > 0; i--)
    busy[i - 1] = busy[i] + self->served[i - 1];
  for (guint i = 0; i < CM_N_STANDINGS; i++)
    if (busy[i] < threads_for[i] && !g_queue_is_empty (&self->waiting[i])) {
      *standing = i;
      return g_queue_pop_head (&self->waiting[i]);
    }
  return NULL;
}

static void
serve_next (CmDestinations *self, CmDestination *destination, CmStanding standing)
{
  gint64 until;

  destination->state = CM_DESTINATION_SERVED;
  self->served[standing]++;
  g_mutex_unlock (&self->lock);
  until = cm_destination_serve (destination, &self->world);
  g_mutex_lock (&self->lock);
  self->served[standing]--;
  /* Two may be let in now: this thread takes one. */
  g_cond_signal (&self->wake);
  if (until != 0)
    sleep_until (self, destination, until);
  else if (cm_destination_has_work (destination))
    queue (self, destination, cm_destination_standing (destination));
  else
    destination->state = CM_DESTINATION_IDLE;
}

static gpointer
worker (gpointer data)
{
  CmDestinations *self = data;

  g_mutex_lock (&self->lock);
  while (!self->stopping) {
    CmDestination *destination;
    CmStanding standing;
    gint64 due;

    if (do_due (self))
      continue;
    destination = next_destination (self, &standing);
    if (destination != NULL) {
      serve_next (self, destination, standing);
      continue;
    }
    due = MIN (MIN (self->next_wake, self->next_rescan), self->next_sweep);
    g_cond_wait_until (&self->wake, &self->lock,
                       g_get_monotonic_time () + (due - cm_clock_ms ()) * 1000);
  }
  g_mutex_unlock (&self->lock);
  return NULL;
}

typedef struct {
  CmDestinations *self;
  gint64 position;
} Commit;

static void
on_notice (gpointer object, gpointer data)
{
  const CmDestinationNotice *notice = object;
  const Commit *commit = data;

  for (gsize i = 0; notice->servers[i] != NULL; i++) {
    CmDestination *destination = find_or_add (commit->self, notice->servers[i]);

    if (notice->event != 0)
      cm_destination_add_event (destination, commit->position + notice->offset, notice->event);
    else
      destination->stored_edus = TRUE;
    wake (commit->self, destination);
  }
}

/* Positions were skipped: writes were committed of which this node was not told, another node's, or
 * one whose outcome was lost with a connection. Nobody may be told of what comes behind them before
 * the database was asked. */
static void
note_gap (CmDestinations *self)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, self->all);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    CmDestination *destination = value;

    destination->behind = TRUE;
  }
  if (self->next_rescan == G_MAXINT64) {
    self->next_rescan = cm_clock_ms () + RESCAN_PAUSE_MS;
    g_cond_signal (&self->wake);
  }
}

static void
on_committed (const CmWrite *write, gint64 position, gpointer data)
{
  CmDestinations *self = data;
  Commit commit = { self, position };
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  if (cm_write_positions (write) > 0) {
    if (position != self->seen + 1)
      note_gap (self);
    self->seen = position + cm_write_positions (write) - 1;
  }
  cm_write_foreach_attached (write, CM_DESTINATION_NOTICE, on_notice, &commit);
}

/* A server answered, or was heard from: what waits for it goes out at once. A server that failed:
 * the next run is to know. */
static void
on_backoff (const char *server, gint64 retry_at_ms, gint64 retry_after_ms, gpointer data)
{
  CmDestinations *self = data;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  CmDestination *destination = g_hash_table_lookup (self->all, server);

  if (destination == NULL || self->stopping)
    return;
  if (retry_at_ms == 0 && destination->state == CM_DESTINATION_SLEEPING)
    queue (self, destination, cm_destination_standing (destination));
  cm_committer_submit (self->world.committer,
                       cm_destination_write_backoff (server, retry_at_ms, retry_after_ms), NULL,
                       NULL, NULL);
}

void
cm_destinations_ephemeral (CmDestinations *destinations, const char *server, const char *key,
                           GBytes *edu)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&destinations->lock);
  CmDestination *destination = find_or_add (destinations, server);

  if (destination->state == CM_DESTINATION_SLEEPING)
    return;
  cm_destination_add_ephemeral (destination, key, edu);
  wake (destinations, destination);
}

CmDestinations *
cm_destinations_new (CmPool *pool, CmCommitter *committer, CmFedClient *client,
                     const char *server_name, GError **error)
{
  CmBackoff *backoff = cm_fed_client_backoff (client);
  g_auto (GStrv) quick = cm_destination_find_quick (pool, error);
  CmDestinations *self;

  if (quick == NULL || !cm_destination_restore_backoff (pool, backoff, error))
    return NULL;
  self = g_new0 (CmDestinations, 1);
  self->server_name = g_strdup (server_name);
  self->world = (CmDestinationWorld){ .pool = pool,
                                      .committer = committer,
                                      .client = client,
                                      .server_name = self->server_name,
                                      .lock = &self->lock };
  g_mutex_init (&self->lock);
  g_cond_init (&self->wake);
  for (gsize i = 0; i < CM_N_STANDINGS; i++)
    g_queue_init (&self->waiting[i]);
  self->all =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) cm_destination_free);
  for (gsize i = 0; quick[i] != NULL; i++)
    find_or_add (self, quick[i])->quick = TRUE;
  self->next_wake = G_MAXINT64;
  self->next_sweep = cm_clock_ms () + SWEEP_MS;
  self->next_rescan = 0; /* what the last run left */
  self->seen = cm_committer_position (committer);
  cm_backoff_listen (backoff, on_backoff, self);
  cm_committer_listen (committer, on_committed, self);
  for (gsize i = 0; i < THREADS; i++)
    self->threads[i] = g_thread_new ("destinations", worker, self);
  return self;
}

void
cm_destinations_stop (CmDestinations *destinations)
{
  g_mutex_lock (&destinations->lock);
  destinations->stopping = TRUE;
  g_cond_broadcast (&destinations->wake);
  g_mutex_unlock (&destinations->lock);
  for (gsize i = 0; i < THREADS; i++)
    g_clear_pointer (&destinations->threads[i], g_thread_join);
  cm_backoff_listen (cm_fed_client_backoff (destinations->world.client), NULL, NULL);
}

void
cm_destinations_free (CmDestinations *destinations)
{
  cm_destinations_stop (destinations);
  g_hash_table_unref (destinations->all);
  for (gsize i = 0; i < CM_N_STANDINGS; i++)
    g_queue_clear (&destinations->waiting[i]);
  g_free (destinations->server_name);
  g_mutex_clear (&destinations->lock);
  g_cond_clear (&destinations->wake);
  g_free (destinations);
}
