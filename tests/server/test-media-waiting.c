/* Those who wait for a file: for a fetch, a thumbnail, or an upload. */
#include "server/router/flights.h"
#include "server/media/waits.h"

/* What the flights and waits of a test have seen. */
typedef struct {
  GMutex lock;
  GCond changed;
  guint working, worked, most, ended, failed;
  gboolean open; /* works may go on */
} Seen;

static gboolean
do_work (gpointer passenger, GError **error)
{
  Seen *seen = passenger;

  g_mutex_lock (&seen->lock);
  seen->worked++;
  seen->working++;
  seen->most = MAX (seen->most, seen->working);
  g_cond_broadcast (&seen->changed);
  while (!seen->open)
    g_cond_wait (&seen->changed, &seen->lock);
  seen->working--;
  g_mutex_unlock (&seen->lock);
  return TRUE;
}

static void
note_end (gpointer passenger, const GError *error)
{
  Seen *seen = passenger;

  g_mutex_lock (&seen->lock);
  seen->ended++;
  seen->failed += error != NULL;
  g_cond_broadcast (&seen->changed);
  g_mutex_unlock (&seen->lock);
}

static void
wait_for (Seen *seen, const guint *count, guint value)
{
  g_mutex_lock (&seen->lock);
  while (*count < value)
    g_cond_wait (&seen->changed, &seen->lock);
  g_mutex_unlock (&seen->lock);
}

static void
let_work (Seen *seen)
{
  g_mutex_lock (&seen->lock);
  seen->open = TRUE;
  g_cond_broadcast (&seen->changed);
  g_mutex_unlock (&seen->lock);
}

static void
test_flights_share_work (void)
{
  Seen seen = { 0 };
  CmFlights *flights = cm_flights_new (&(CmFlightsSize){ 2, 2, 10 }, do_work, note_end);

  for (guint i = 0; i < 5; i++)
    g_assert_true (cm_flights_board (flights, "key", "group", NULL, &seen));
  wait_for (&seen, &seen.worked, 1);
  g_assert_true (cm_flights_board (flights, "key", "group", NULL, &seen));
  let_work (&seen);
  wait_for (&seen, &seen.ended, 6);
  g_assert_cmpuint (seen.worked, ==, 1);
  g_assert_cmpuint (seen.failed, ==, 0);
  g_assert_true (cm_flights_board (flights, "key", "group", NULL, &seen));
  wait_for (&seen, &seen.ended, 7);
  g_assert_cmpuint (seen.worked, ==, 2);
  cm_flights_free (flights);
}

static void
test_flights_are_fair (void)
{
  Seen slow = { 0 }, fast = { .open = TRUE };
  CmFlights *flights = cm_flights_new (&(CmFlightsSize){ 3, 2, 10 }, do_work, note_end);
  static const char *const keys[] = { "a", "b", "c", "d" };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    g_assert_true (cm_flights_board (flights, keys[i], "slow", NULL, &slow));
  wait_for (&slow, &slow.worked, 2);
  g_assert_true (cm_flights_board (flights, "e", "fast", NULL, &fast));
  wait_for (&fast, &fast.ended, 1);
  g_assert_cmpuint (slow.worked, ==, 2);
  let_work (&slow);
  wait_for (&slow, &slow.ended, 4);
  g_assert_cmpuint (slow.most, ==, 2);
  cm_flights_free (flights);
}

/* Neither a slow server nor a user who asks many of them. */
static void
test_flights_are_fair_to_both_parties (void)
{
  Seen slow = { 0 }, fast = { .open = TRUE };
  CmFlights *flights = cm_flights_new (&(CmFlightsSize){ 3, 2, 10 }, do_work, note_end);
  static const char *const keys[] = { "a", "b", "c", "d" };

  /* Each key a server of its own. */
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    g_assert_true (cm_flights_board (flights, keys[i], "greedy", keys[i], &slow));
  wait_for (&slow, &slow.worked, 2);
  g_assert_true (cm_flights_board (flights, "e", "modest", "c", &fast));
  wait_for (&fast, &fast.ended, 1);
  g_assert_cmpuint (slow.worked, ==, 2);
  let_work (&slow);
  wait_for (&slow, &slow.ended, 4);
  g_assert_cmpuint (slow.most, ==, 2);
  cm_flights_free (flights);
}

static void
test_flights_are_bounded (void)
{
  Seen seen = { 0 };
  CmFlights *flights = cm_flights_new (&(CmFlightsSize){ 1, 1, 2 }, do_work, note_end);

  g_assert_true (cm_flights_board (flights, "a", "group", NULL, &seen));
  wait_for (&seen, &seen.worked, 1);
  g_assert_true (cm_flights_board (flights, "b", "group", NULL, &seen));
  g_assert_true (cm_flights_board (flights, "c", "group", NULL, &seen));
  g_assert_false (cm_flights_board (flights, "d", "group", NULL, &seen));
  g_assert_true (cm_flights_board (flights, "c", "group", NULL, &seen));
  /* Somebody else's queue is another, unless it is about the same server. */
  g_assert_false (cm_flights_board (flights, "e", "other", "group", &seen));
  g_assert_true (cm_flights_board (flights, "e", "other", NULL, &seen));
  let_work (&seen);
  wait_for (&seen, &seen.ended, 5);
  cm_flights_free (flights);
}

static gpointer
free_flights (gpointer flights)
{
  cm_flights_free (flights);
  return NULL;
}

static void
test_flights_end (void)
{
  Seen seen = { 0 };
  CmFlights *flights = cm_flights_new (&(CmFlightsSize){ 1, 1, 10 }, do_work, note_end);

  g_assert_true (cm_flights_board (flights, "a", "group", NULL, &seen));
  wait_for (&seen, &seen.worked, 1);
  g_assert_true (cm_flights_board (flights, "b", "group", NULL, &seen));
  GThread *ending = g_thread_new ("ending", free_flights, flights);
  g_usleep (50000);
  let_work (&seen);
  g_thread_join (ending);
  g_assert_cmpuint (seen.ended, ==, 2);
  g_assert_cmpuint (seen.failed, <=, 1);
}

static void
note_wait (gpointer waiter, gboolean late)
{
  Seen *seen = waiter;

  g_mutex_lock (&seen->lock);
  seen->ended++;
  seen->failed += late;
  g_cond_broadcast (&seen->changed);
  g_mutex_unlock (&seen->lock);
}

static void
test_waits (void)
{
  Seen a = { 0 }, b = { 0 };
  CmWaits *waits = cm_waits_new (4, note_wait);
  gint64 far = g_get_monotonic_time () + 100 * G_TIME_SPAN_SECOND;

  g_assert_true (cm_waits_add (waits, "a", far, &a));
  g_assert_true (cm_waits_add (waits, "a", far + 1, &a));
  g_assert_true (cm_waits_add (waits, "b", far - 1, &b));
  cm_waits_come (waits, "a");
  g_assert_cmpuint (a.ended, ==, 2);
  g_assert_cmpuint (a.failed, ==, 0);
  g_assert_cmpuint (b.ended, ==, 0);

  gint64 began = g_get_monotonic_time ();
  g_assert_true (cm_waits_add (waits, "a", began + 50000, &a));
  wait_for (&a, &a.ended, 3);
  g_assert_cmpuint (a.failed, ==, 1);
  g_assert_cmpint (g_get_monotonic_time () - began, >=, 50000);

  for (guint i = 0; i < 3; i++)
    g_assert_true (cm_waits_add (waits, "b", far, &b));
  g_assert_false (cm_waits_add (waits, "b", far, &b));
  cm_waits_free (waits);
  g_assert_cmpuint (b.ended, ==, 4);
  g_assert_cmpuint (b.failed, ==, 4);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/media/flights/share-work", test_flights_share_work);
  g_test_add_func ("/media/flights/are-fair", test_flights_are_fair);
  g_test_add_func ("/media/flights/are-fair-to-both-parties",
                   test_flights_are_fair_to_both_parties);
  g_test_add_func ("/media/flights/are-bounded", test_flights_are_bounded);
  g_test_add_func ("/media/flights/end", test_flights_end);
  g_test_add_func ("/media/waits", test_waits);
  return g_test_run ();
}
