#include "server/media/flights.h"

typedef struct {
  char *key;
  char *group;
  GPtrArray *passengers;
} Flight;

struct _CmFlights {
  CmFlightWork work;
  CmFlightEnd end;
  guint per_group, max;
  GPtrArray *threads;

  GMutex lock;
  GCond changed;
  GHashTable *by_key; /* every flight that can still be boarded */
  GQueue waiting;     /* those that no thread has taken yet, the oldest first */
  GHashTable *flying; /* group -> how many of it are with a thread */
  gboolean closed;
};

static Flight *
flight_new (const char *key, const char *group)
{
  Flight *flight = g_new0 (Flight, 1);

  flight->key = g_strdup (key);
  flight->group = g_strdup (group);
  flight->passengers = g_ptr_array_new ();
  return flight;
}

static void
flight_end (CmFlights *flights, Flight *flight, const GError *error)
{
  for (guint i = 0; i < flight->passengers->len; i++)
    flights->end (flight->passengers->pdata[i], error);
  g_ptr_array_unref (flight->passengers);
  g_free (flight->key);
  g_free (flight->group);
  g_free (flight);
}

static guint
flying_of (CmFlights *flights, const char *group)
{
  return GPOINTER_TO_UINT (g_hash_table_lookup (flights->flying, group));
}

static void
count_flying (CmFlights *flights, const char *group, gint more)
{
  guint count = (guint) ((gint) flying_of (flights, group) + more);

  if (count == 0)
    g_hash_table_remove (flights->flying, group);
  else
    g_hash_table_insert (flights->flying, g_strdup (group), GUINT_TO_POINTER (count));
}

/* The oldest whose group may have one more thread. The lock is held. */
static Flight *
take_waiting (CmFlights *flights)
{
  for (GList *link = flights->waiting.head; link != NULL; link = link->next) {
    Flight *flight = link->data;
    if (flying_of (flights, flight->group) < flights->per_group) {
      g_queue_delete_link (&flights->waiting, link);
      count_flying (flights, flight->group, 1);
      return flight;
    }
  }
  return NULL;
}

static void
fly (CmFlights *flights, Flight *flight)
{
  g_autoptr (GError) error = NULL;

  flights->work (flight->passengers->pdata[0], &error);
  /* Nobody boards any more, so that the passengers are this thread's alone. */
  g_mutex_lock (&flights->lock);
  g_hash_table_remove (flights->by_key, flight->key);
  count_flying (flights, flight->group, -1);
  g_cond_broadcast (&flights->changed);
  g_mutex_unlock (&flights->lock);
  flight_end (flights, flight, error);
}

static gpointer
run (gpointer data)
{
  CmFlights *flights = data;

  g_mutex_lock (&flights->lock);
  while (!flights->closed) {
    Flight *flight = take_waiting (flights);
    if (flight == NULL) {
      g_cond_wait (&flights->changed, &flights->lock);
      continue;
    }
    g_mutex_unlock (&flights->lock);
    fly (flights, flight);
    g_mutex_lock (&flights->lock);
  }
  g_mutex_unlock (&flights->lock);
  return NULL;
}

CmFlights *
cm_flights_new (guint threads, guint per_group, guint max, CmFlightWork work, CmFlightEnd end)
{
  CmFlights *flights = g_new0 (CmFlights, 1);

  flights->work = work;
  flights->end = end;
  flights->per_group = per_group;
  flights->max = max;
  g_mutex_init (&flights->lock);
  g_cond_init (&flights->changed);
  g_queue_init (&flights->waiting);
  flights->by_key = g_hash_table_new (g_str_hash, g_str_equal);
  flights->flying = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  flights->threads = g_ptr_array_new ();
  for (guint i = 0; i < threads; i++)
    g_ptr_array_add (flights->threads, g_thread_new ("media", run, flights));
  return flights;
}

static void
cancel (CmFlights *flights)
{
  g_autoptr (GError) error =
      g_error_new_literal (CM_ERROR, CM_ERROR_UNAVAILABLE, "The server is stopping");
  Flight *flight;

  while ((flight = g_queue_pop_head (&flights->waiting)) != NULL)
    flight_end (flights, flight, error);
}

void
cm_flights_free (CmFlights *flights)
{
  g_mutex_lock (&flights->lock);
  flights->closed = TRUE;
  g_cond_broadcast (&flights->changed);
  g_mutex_unlock (&flights->lock);
  for (guint i = 0; i < flights->threads->len; i++)
    g_thread_join (flights->threads->pdata[i]);
  cancel (flights);
  g_ptr_array_unref (flights->threads);
  g_hash_table_unref (flights->by_key);
  g_hash_table_unref (flights->flying);
  g_mutex_clear (&flights->lock);
  g_cond_clear (&flights->changed);
  g_free (flights);
}

gboolean
cm_flights_board (CmFlights *flights, const char *key, const char *group, gpointer passenger)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&flights->lock);
  Flight *flight = g_hash_table_lookup (flights->by_key, key);

  if (flight == NULL) {
    if (flights->closed || flights->waiting.length >= flights->max)
      return FALSE;
    flight = flight_new (key, group);
    g_hash_table_insert (flights->by_key, flight->key, flight);
    g_queue_push_tail (&flights->waiting, flight);
    g_cond_signal (&flights->changed);
  }
  g_ptr_array_add (flight->passengers, passenger);
  return TRUE;
}
