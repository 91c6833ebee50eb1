#include "server/accounts/last-seen.h"

#include "schema/device.h"
#include "server/router/lanes.h"

#include <string.h>

#define WRITE_EVERY_US  (10 * G_USEC_PER_SEC)
#define MAX_AGENT_BYTES 256

typedef struct {
  char *user_id;
  char *device_id;
  char *address;
  char *agent;
  gint64 ts;
} Sighting;

struct _CmLastSeen {
  CmNode *node;
  GMutex mutex;
  GHashTable *noted; /* user id and device id -> Sighting */
  gint64 written_us; /* when a write was last started */
};

static void
sighting_free (gpointer data)
{
  Sighting *sighting = data;
  g_free (sighting->user_id);
  g_free (sighting->device_id);
  g_free (sighting->address);
  g_free (sighting->agent);
  g_free (sighting);
}

static GHashTable *
table_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, sighting_free);
}

CmLastSeen *
cm_last_seen_new (CmNode *node)
{
  CmLastSeen *seen = g_new0 (CmLastSeen, 1);
  seen->node = node;
  g_mutex_init (&seen->mutex);
  seen->noted = table_new ();
  return seen;
}

static GHashTable *
take_noted (CmLastSeen *seen)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&seen->mutex);
  GHashTable *noted = seen->noted;
  seen->noted = table_new ();
  return noted;
}

static gboolean
write_table (CmPool *pool, GHashTable *noted, GError **error)
{
  guint n = g_hash_table_size (noted);
  g_autofree char **user_ids = g_new0 (char *, n + 1);
  g_autofree char **device_ids = g_new0 (char *, n + 1);
  g_autofree char **addresses = g_new0 (char *, n + 1);
  g_autofree char **agents = g_new0 (char *, n + 1);
  g_autofree gint64 *times = g_new0 (gint64, n);
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, noted);
  for (guint i = 0; g_hash_table_iter_next (&iter, NULL, &value); i++) {
    const Sighting *sighting = value;
    user_ids[i] = sighting->user_id;
    device_ids[i] = sighting->device_id;
    addresses[i] = sighting->address;
    agents[i] = sighting->agent;
    times[i] = sighting->ts;
  }
  const CmSightings sightings = { user_ids, device_ids, addresses, agents, times, n };
  g_autoptr (CmDb) db = cm_pool_get (pool, error);
  return db && cm_device_seen (db, &sightings, error);
}

static void
write_noted (gpointer data)
{
  CmLastSeen *seen = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GHashTable) noted = take_noted (seen);
  if (g_hash_table_size (noted) > 0 && !write_table (seen->node->pool, noted, &error))
    g_warning ("Cannot note when devices were seen: %s", error->message);
}

void
cm_last_seen_free (CmLastSeen *seen)
{
  if (!seen)
    return;
  write_noted (seen);
  g_hash_table_unref (seen->noted);
  g_mutex_clear (&seen->mutex);
  g_free (seen);
}

/* What goes into a text column: valid UTF-8, not too long. */
static char *
agent_text (const char *agent)
{
  g_autofree char *cut = g_strndup (agent ? agent : "", MAX_AGENT_BYTES);
  return g_utf8_make_valid (cut, -1);
}

void
cm_last_seen_note (CmLastSeen *seen, const char *user_id, const char *device_id,
                   const char *address, const char *agent)
{
  Sighting *sighting = g_new0 (Sighting, 1);
  sighting->user_id = g_strdup (user_id);
  sighting->device_id = g_strdup (device_id);
  sighting->address = g_strdup (address ? address : "");
  sighting->agent = agent_text (agent);
  sighting->ts = g_get_real_time () / 1000;
  gint64 now = g_get_monotonic_time ();
  gboolean due = FALSE;

  g_mutex_lock (&seen->mutex);
  g_hash_table_replace (seen->noted, g_strconcat (user_id, " ", device_id, NULL), sighting);
  if (now - seen->written_us >= WRITE_EVERY_US) {
    seen->written_us = now;
    due = TRUE;
  }
  g_mutex_unlock (&seen->mutex);
  /* When the lane is full, what is noted waits for the next time. */
  if (due)
    cm_lanes_push (seen->node->lanes, CM_LANE_BACKGROUND, write_noted, seen);
}
