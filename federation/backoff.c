#include "federation/backoff.h"

#include "federation/clock.h"

#define FIRST_MS    5000
#define LONGEST_MS  (24 * 60 * 60 * G_GINT64_CONSTANT (1000))
#define MAX_ENTRIES 20000

typedef struct {
  gint64 retry_at; /* ms since 1970 */
  gint64 retry_after;
} Entry;

struct _CmBackoff {
  GMutex lock;
  GHashTable *entries; /* server -> Entry, of those that failed last */
  CmBackoffChanged changed;
  gpointer data;
};

static gboolean
entry_is_due (gpointer server, gpointer data, gpointer now)
{
  Entry *entry = data;

  return entry->retry_at < *(gint64 *) now;
}

/* Names of servers come from strangers: their number is bounded. */
static Entry *
add_entry (CmBackoff *backoff, const char *server)
{
  gint64 now = cm_clock_ms ();
  Entry *entry = g_new0 (Entry, 1);

  if (g_hash_table_size (backoff->entries) >= MAX_ENTRIES)
    g_hash_table_foreach_remove (backoff->entries, entry_is_due, &now);
  if (g_hash_table_size (backoff->entries) >= MAX_ENTRIES)
    g_hash_table_remove_all (backoff->entries);
  g_hash_table_insert (backoff->entries, g_strdup (server), entry);
  return entry;
}

static void
tell (CmBackoff *backoff, const char *server, gint64 retry_at, gint64 retry_after)
{
  CmBackoffChanged changed;
  gpointer data;

  g_mutex_lock (&backoff->lock);
  changed = backoff->changed;
  data = backoff->data;
  g_mutex_unlock (&backoff->lock);
  if (changed != NULL)
    changed (server, retry_at, retry_after, data);
}

CmBackoff *
cm_backoff_new (void)
{
  CmBackoff *backoff = g_new0 (CmBackoff, 1);

  g_mutex_init (&backoff->lock);
  backoff->entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return backoff;
}

void
cm_backoff_free (CmBackoff *backoff)
{
  g_hash_table_unref (backoff->entries);
  g_mutex_clear (&backoff->lock);
  g_free (backoff);
}

gint64
cm_backoff_until (CmBackoff *backoff, const char *server)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&backoff->lock);
  const Entry *entry = g_hash_table_lookup (backoff->entries, server);

  return entry != NULL && entry->retry_at > cm_clock_ms () ? entry->retry_at : 0;
}

void
cm_backoff_failed (CmBackoff *backoff, const char *server)
{
  Entry copy;

  g_mutex_lock (&backoff->lock);
  {
    Entry *entry = g_hash_table_lookup (backoff->entries, server);

    if (entry != NULL && entry->retry_at > cm_clock_ms ()) {
      g_mutex_unlock (&backoff->lock);
      return;
    }
    if (entry == NULL)
      entry = add_entry (backoff, server);
    entry->retry_after = CLAMP (entry->retry_after * 2, FIRST_MS, LONGEST_MS);
    /* Up to a fifth sooner or later, so that a peer that comes back is not met by all at once. */
    entry->retry_at =
        cm_clock_ms () + (gint64) (entry->retry_after * g_random_double_range (0.8, 1.2));
    copy = *entry;
  }
  g_mutex_unlock (&backoff->lock);
  tell (backoff, server, copy.retry_at, copy.retry_after);
}

void
cm_backoff_succeeded (CmBackoff *backoff, const char *server)
{
  gboolean removed;

  g_mutex_lock (&backoff->lock);
  removed = g_hash_table_remove (backoff->entries, server);
  g_mutex_unlock (&backoff->lock);
  if (removed)
    tell (backoff, server, 0, 0);
}

void
cm_backoff_restore (CmBackoff *backoff, const char *server, gint64 retry_at_ms,
                    gint64 retry_after_ms)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&backoff->lock);
  Entry *entry = add_entry (backoff, server);

  entry->retry_at = retry_at_ms;
  entry->retry_after = retry_after_ms;
}

void
cm_backoff_listen (CmBackoff *backoff, CmBackoffChanged changed, gpointer data)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&backoff->lock);

  backoff->changed = changed;
  backoff->data = data;
}
