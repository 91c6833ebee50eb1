#include "server/e2ee/remote-keys.h"

#include "crypto/id.h"
#include "crypto/json-writer.h"
#include "federation/fed-client.h"
#include "schema/committer.h"
#include "schema/cross-signing.h"
#include "schema/remote-device.h"
#include "server/e2ee/signed-key.h"
#include "server/router/flights.h"

#define MAX_ANSWER          (8 * 1024 * 1024)
#define MAX_DEVICES         10000
#define RESYNC_TIMEOUT_MS   30000
#define RESYNC_INTERVAL_US  (60 * G_USEC_PER_SEC)
#define MAX_RESYNCS_NOTICED 10000

/* A server may be silent, or take its time, and a user may ask many such (class keys-starvation).
 */
static const CmFlightsSize threads_size = { .threads = 24,
                                            .threads_a_party = 6,
                                            .waiting_a_party = 1000 };

/* A request under way, shared by all who want it. Guarded by the lock. */
typedef struct {
  guint waiting;
  gboolean done;
  GError *error;
} Flight;

struct _CmRemoteKeys {
  CmNode *node;
  CmFlights *threads;
  gint ending; /* atomic */
  GMutex lock;
  GCond landed;
  GHashTable *flights; /* user id -> Flight (borrowed: the last to leave frees it) */
  GHashTable *resyncs; /* user id -> monotonic time of the last one (gint64 *) */
};

typedef struct {
  CmRemoteWork work;
  gpointer data;
  gboolean done;
} Task;

static gboolean
run_task (gpointer data, GError **error)
{
  Task *task = data;

  task->work (task->data, TRUE);
  task->done = TRUE;
  return TRUE;
}

static void
end_task (gpointer data, const GError *error)
{
  g_autofree Task *task = data;

  if (!task->done)
    task->work (task->data, FALSE);
}

CmRemoteKeys *
cm_remote_keys_new (CmNode *node)
{
  CmRemoteKeys *keys = g_new0 (CmRemoteKeys, 1);

  keys->node = node;
  keys->threads = cm_flights_new (&threads_size, run_task, end_task);
  g_mutex_init (&keys->lock);
  g_cond_init (&keys->landed);
  keys->flights = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  keys->resyncs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return keys;
}

void
cm_remote_keys_free (CmRemoteKeys *keys)
{
  g_atomic_int_set (&keys->ending, 1);
  cm_flights_free (keys->threads);
  g_hash_table_unref (keys->flights);
  g_hash_table_unref (keys->resyncs);
  g_cond_clear (&keys->landed);
  g_mutex_clear (&keys->lock);
  g_free (keys);
}

void
cm_remote_keys_run (CmRemoteKeys *keys, const char *user_id, const char *server, CmRemoteWork work,
                    gpointer data)
{
  Task *task = g_new (Task, 1);
  g_autofree char *key = g_strdup_printf ("%p", (void *) task); /* nobody shares it */

  *task = (Task){ work, data, FALSE };
  if (!cm_flights_board (keys->threads, key, server, user_id, task))
    end_task (task, NULL);
}

gboolean
cm_remote_keys_ending (CmRemoteKeys *keys)
{
  return g_atomic_int_get (&keys->ending) != 0;
}

/* Devices without keys, or with bad ones, are left out. */
static void
keep_device (CmWrite *write, const char *user_id, const CmJson *device)
{
  const CmJson *keys = cm_json_get (device, "keys");

  if (keys != NULL)
    cm_told_device_put (write, user_id, cm_json_get_text (device, "device_id"), keys,
                        cm_json_get_text (device, "device_display_name"));
}

static void
keep_signing_key (CmWrite *write, const char *user_id, const char *usage, const CmJson *key,
                  gint64 offset)
{
  g_autoptr (GBytes) bytes = cm_told_signing_key (user_id, key);

  if (bytes != NULL)
    cm_cross_signing_key_put (write, user_id, usage, bytes, offset);
}

static gboolean
keep (CmNode *node, const char *user_id, const CmJson *answer, gint64 position, GError **error)
{
  gint64 stream_id = cm_json_get_integer (answer, "stream_id", -1);
  const CmJson *devices = cm_json_get_array (answer, "devices");
  const CmJson *device;
  CmJsonIter iter;

  if (g_strcmp0 (cm_json_get_text (answer, "user_id"), user_id) != 0 || stream_id < 0 ||
      devices == NULL || cm_json_length (devices) > MAX_DEVICES) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The user's server answered nonsense");
    return FALSE;
  }
  g_autoptr (CmWrite) write = cm_write_new ();
  gint64 offset = cm_write_take_positions (write, 1);
  cm_remote_list_replace (write, user_id, stream_id, position);
  cm_json_iter_init (&iter, devices);
  while (cm_json_iter_next (&iter, NULL, &device))
    keep_device (write, user_id, device);
  cm_cross_signing_keys_forget (write, user_id);
  keep_signing_key (write, user_id, "master", cm_json_get_object (answer, "master_key"), offset);
  keep_signing_key (write, user_id, "self_signing", cm_json_get_object (answer, "self_signing_key"),
                    offset);
  return cm_committer_commit (node->committer, g_steal_pointer (&write), error) >= 0;
}

/* Whether the list that is kept is good: a flight may have landed since it was wanted. */
static gboolean
is_fresh (CmNode *node, const char *user_id)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, NULL);
  gboolean fresh;
  gint64 stream_id;

  return db != NULL && cm_remote_list_find (db, user_id, &fresh, &stream_id, NULL) && fresh;
}

/* server-server, GET /user/devices/{userId}. */
static gboolean
fetch (CmNode *node, const char *user_id, guint timeout_ms, GError **error)
{
  gint64 position = cm_committer_position (node->committer);
  g_autofree char *target = cm_fed_path ("/_matrix/federation/v1/user/devices/%s", user_id);
  const CmFedRequest request = {
    .method = "GET", .target = target, .max_bytes = MAX_ANSWER, .timeout_ms = timeout_ms
  };
  g_debug ("Asking for the devices of %s", user_id);
  g_autoptr (CmJsonDoc) answer =
      cm_fed_call (node->fed_client, cm_id_domain (user_id), &request, NULL, error);

  return answer != NULL && keep (node, user_id, cm_json_doc_root (answer), position, error);
}

/* Waits for the flight to land; the last to leave takes it down. */
static gboolean
await (CmRemoteKeys *keys, Flight *flight, GError **error)
{
  gboolean good;

  while (!flight->done)
    g_cond_wait (&keys->landed, &keys->lock);
  good = flight->error == NULL;
  if (!good && error != NULL)
    *error = g_error_copy (flight->error);
  if (--flight->waiting == 0) {
    g_clear_error (&flight->error);
    g_free (flight);
  }
  return good;
}

gboolean
cm_remote_keys_fetch (CmRemoteKeys *keys, const char *user_id, guint timeout_ms, GError **error)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&keys->lock);
  Flight *flight = g_hash_table_lookup (keys->flights, user_id);

  if (flight == NULL) {
    GError *failure = NULL;
    flight = g_new0 (Flight, 1);
    flight->waiting = 1;
    g_hash_table_insert (keys->flights, g_strdup (user_id), flight);
    g_mutex_unlock (&keys->lock);
    if (!is_fresh (keys->node, user_id))
      fetch (keys->node, user_id, timeout_ms, &failure);
    g_mutex_lock (&keys->lock);
    flight->error = failure;
    flight->done = TRUE;
    g_hash_table_remove (keys->flights, user_id);
    g_cond_broadcast (&keys->landed);
  } else {
    flight->waiting++;
  }
  return await (keys, flight, error);
}

typedef struct {
  CmRemoteKeys *keys;
  char *user_id;
} Resync;

/* What may not be asked for now is not lost: the list that is kept is known not to be good. */
static void
resync (gpointer data, gboolean may_ask)
{
  g_autofree Resync *wanted = data;
  g_autofree char *user_id = wanted->user_id;
  g_autoptr (GError) error = NULL;

  if (may_ask && !cm_remote_keys_ending (wanted->keys) &&
      !cm_remote_keys_fetch (wanted->keys, user_id, RESYNC_TIMEOUT_MS, &error))
    g_debug ("The devices of %s could not be fetched: %s", user_id, error->message);
}

/* Whether the user's turn has come; notes that it has. */
static gboolean
is_due (CmRemoteKeys *keys, const char *user_id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&keys->lock);
  const gint64 *last = g_hash_table_lookup (keys->resyncs, user_id);
  gint64 now = g_get_monotonic_time ();

  if (last != NULL && now - *last < RESYNC_INTERVAL_US)
    return FALSE;
  if (g_hash_table_size (keys->resyncs) >= MAX_RESYNCS_NOTICED)
    g_hash_table_remove_all (keys->resyncs);
  g_hash_table_insert (keys->resyncs, g_strdup (user_id), g_memdup2 (&now, sizeof now));
  return TRUE;
}

void
cm_remote_keys_resync (CmRemoteKeys *keys, const char *user_id)
{
  if (!is_due (keys, user_id))
    return;
  Resync *wanted = g_new (Resync, 1);
  *wanted = (Resync){ keys, g_strdup (user_id) };
  cm_remote_keys_run (keys, NULL, cm_id_domain (user_id), resync, wanted);
}
