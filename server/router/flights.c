#include "server/router/flights.h"

#include <string.h>

typedef struct {
  char *name;
  guint waiting, flying;
} Party;

typedef struct {
  char *key;
  Party *parties[2]; /* the second is NULL when there is one */
  GPtrArray *passengers;
} Flight;

struct _CmFlights {
  CmFlightWork work;
  CmFlightEnd end;
  CmFlightsSize size;
  GPtrArray *threads;

  GMutex lock;
  GCond changed;
  GHashTable *by_key;  /* every flight that can still be boarded */
  GQueue waiting;      /* those that no thread has taken yet, the oldest first */
  GHashTable *parties; /* name -> Party, of those who have a flight */
  gboolean closed;
};

static Party *
party_get (CmFlights *flights, const char *name)
{
  Party *party = g_hash_table_lookup (flights->parties, name);

  if (party == NULL) {
    party = g_new0 (Party, 1);
    party->name = g_strdup (name);
    g_hash_table_insert (flights->parties, party->name, party);
  }
  return party;
}

static void
party_free (gpointer data)
{
  Party *party = data;

  g_free (party->name);
  g_free (party);
}

static void
party_drop_idle (CmFlights *flights, Party *party)
{
  if (party->waiting == 0 && party->flying == 0)
    g_hash_table_remove (flights->parties, party->name);
}

static void
flight_free (Flight *flight)
{
  g_ptr_array_unref (flight->passengers);
  g_free (flight->key);
  g_free (flight);
}

/* Tells the passengers, whom nobody else knows any more. */
static void
flight_end (CmFlights *flights, Flight *flight, const GError *error)
{
  for (guint i = 0; i < flight->passengers->len; i++)
    flights->end (flight->passengers->pdata[i], error);
  flight_free (flight);
}

/* From here to fly() the lock is held. */

static gboolean
may_wait (const CmFlights *flights, const Flight *flight)
{
  for (guint i = 0; i < G_N_ELEMENTS (flight->parties); i++)
    if (flight->parties[i] != NULL && flight->parties[i]->waiting >= flights->size.waiting_a_party)
      return FALSE;
  return TRUE;
}

static gboolean
may_fly (const CmFlights *flights, const Flight *flight)
{
  for (guint i = 0; i < G_N_ELEMENTS (flight->parties); i++)
    if (flight->parties[i] != NULL && flight->parties[i]->flying >= flights->size.threads_a_party)
      return FALSE;
  return TRUE;
}

static void
count (CmFlights *flights, Flight *flight, gint waiting, gint flying)
{
  for (guint i = 0; i < G_N_ELEMENTS (flight->parties); i++) {
    Party *party = flight->parties[i];
    if (party == NULL)
      continue;
    party->waiting += (guint) waiting;
    party->flying += (guint) flying;
    party_drop_idle (flights, party);
  }
}

/* The oldest whose parties may have one more thread. */
static Flight *
take_waiting (CmFlights *flights)
{
  for (GList *link = flights->waiting.head; link != NULL; link = link->next) {
    Flight *flight = link->data;
    if (may_fly (flights, flight)) {
      g_queue_delete_link (&flights->waiting, link);
      count (flights, flight, -1, 1);
      return flight;
    }
  }
  return NULL;
}

static void
fly (CmFlights *flights, Flight *flight)
{
  /* Others may still come aboard, which moves the array. */
  gpointer first = flight->passengers->pdata[0];
  g_autoptr (GError) error = NULL;

  g_mutex_unlock (&flights->lock);
  flights->work (first, &error);
  g_mutex_lock (&flights->lock);
  g_hash_table_remove (flights->by_key, flight->key);
  count (flights, flight, 0, -1);
  g_cond_broadcast (&flights->changed);
  g_mutex_unlock (&flights->lock);
  flight_end (flights, flight, error);
  g_mutex_lock (&flights->lock);
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
    fly (flights, flight);
  }
  g_mutex_unlock (&flights->lock);
  return NULL;
}

CmFlights *
cm_flights_new (const CmFlightsSize *size, CmFlightWork work, CmFlightEnd end)
{
  CmFlights *flights = g_new0 (CmFlights, 1);

  flights->work = work;
  flights->end = end;
  flights->size = *size;
  g_mutex_init (&flights->lock);
  g_cond_init (&flights->changed);
  g_queue_init (&flights->waiting);
  flights->by_key = g_hash_table_new (g_str_hash, g_str_equal);
  flights->parties = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, party_free);
  flights->threads = g_ptr_array_new ();
  for (guint i = 0; i < size->threads; i++)
    g_ptr_array_add (flights->threads, g_thread_new ("flight", run, flights));
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
  g_hash_table_unref (flights->parties);
  g_mutex_clear (&flights->lock);
  g_cond_clear (&flights->changed);
  g_free (flights);
}

/* A flight that waits, NULL when it may not. */
static Flight *
announce (CmFlights *flights, const char *key, const char *party, const char *other_party)
{
  Flight *flight = g_new0 (Flight, 1);

  flight->key = g_strdup (key);
  flight->passengers = g_ptr_array_new ();
  flight->parties[0] = party_get (flights, party);
  if (other_party != NULL && strcmp (other_party, party) != 0)
    flight->parties[1] = party_get (flights, other_party);
  if (!may_wait (flights, flight)) {
    count (flights, flight, 0, 0);
    flight_free (flight);
    return NULL;
  }
  count (flights, flight, 1, 0);
  g_hash_table_insert (flights->by_key, flight->key, flight);
  g_queue_push_tail (&flights->waiting, flight);
  g_cond_signal (&flights->changed);
  return flight;
}

gboolean
cm_flights_board (CmFlights *flights, const char *key, const char *party, const char *other_party,
                  gpointer passenger)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&flights->lock);

  if (flights->closed)
    return FALSE;
  Flight *flight = g_hash_table_lookup (flights->by_key, key);
  if (flight == NULL)
    flight = announce (flights, key, party, other_party);
  if (flight == NULL)
    return FALSE;
  g_ptr_array_add (flight->passengers, passenger);
  return TRUE;
}
