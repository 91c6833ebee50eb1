#include "server/http/wheel.h"

#define START (G_GINT64_CONSTANT (1000) * G_TIME_SPAN_SECOND)

typedef struct {
  GArray *order;
  int value;
  gboolean again;
} Entry;

static gboolean
note (gpointer data)
{
  Entry *entry = data;

  g_array_append_val (entry->order, entry->value);
  return entry->again;
}

static gint64
after_ms (gint64 ms)
{
  return START + ms * G_TIME_SPAN_MILLISECOND;
}

/* Delays on all levels and on both sides of the borders between them. */
static void
test_order (void)
{
  static const int delays[] = { 70000, 0,       511, 512,   513, 8,       33000,
                                32768, 3000000, 1,   32767, 100, 20000000 };
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (int));
  CmWheel *wheel = cm_wheel_new (START);
  Entry entries[G_N_ELEMENTS (delays)];
  CmTimer *timers[G_N_ELEMENTS (delays)];
  gboolean sooner;

  for (guint i = 0; i < G_N_ELEMENTS (delays); i++) {
    entries[i] = (Entry){ order, delays[i], G_SOURCE_REMOVE };
    timers[i] = cm_wheel_add (wheel, START, delays[i], note, &entries[i], &sooner);
  }
  /* Each turn it asks for is taken at that very time: nothing is early, nothing more than a tick
   * late. */
  for (gint64 now = START; now != CM_WHEEL_NEVER; now = cm_wheel_run (wheel, now)) {
    guint before = order->len;
    gint64 next = cm_wheel_run (wheel, now);
    g_assert_cmpint (next, >, now);
    for (guint i = before; i < order->len; i++) {
      gint64 due = after_ms (g_array_index (order, int, i));
      g_assert_cmpint (now, >=, due);
      g_assert_cmpint (now, <=, due + 2 * CM_WHEEL_TICK_MS * G_TIME_SPAN_MILLISECOND);
    }
  }
  g_assert_cmpuint (order->len, ==, G_N_ELEMENTS (delays));
  for (guint i = 1; i < order->len; i++)
    g_assert_cmpint (g_array_index (order, int, i - 1) / CM_WHEEL_TICK_MS, <=,
                     g_array_index (order, int, i) / CM_WHEEL_TICK_MS);
  for (guint i = 0; i < G_N_ELEMENTS (delays); i++)
    g_assert_false (cm_timer_cancel (timers[i]));
  cm_wheel_close (wheel);
}

/* Against the plain truth, over a day in jumps. */
static void
test_random (void)
{
  enum { N = 2000 };
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (int));
  CmWheel *wheel = cm_wheel_new (START);
  g_autofree Entry *entries = g_new (Entry, N);
  g_autofree CmTimer **timers = g_new (CmTimer *, N);
  g_autofree gint64 *due = g_new (gint64, N);
  gint64 now = START, latest = 0;
  gboolean sooner;

  for (int i = 0; i < N; i++) {
    guint delay = (guint) g_test_rand_int_range (0, 1 << g_test_rand_int_range (1, 26));
    entries[i] = (Entry){ order, i, G_SOURCE_REMOVE };
    due[i] = now + delay * G_TIME_SPAN_MILLISECOND;
    latest = MAX (latest, due[i]);
    timers[i] = cm_wheel_add (wheel, now, delay, note, &entries[i], &sooner);
    now += g_test_rand_int_range (0, 20 * G_TIME_SPAN_SECOND);
    guint before = order->len;
    cm_wheel_run (wheel, now);
    for (guint j = before; j < order->len; j++)
      g_assert_cmpint (due[g_array_index (order, int, j)], <=, now);
    guint expired = 0;
    for (int j = 0; j <= i; j++)
      expired += due[j] + 2 * CM_WHEEL_TICK_MS * G_TIME_SPAN_MILLISECOND <= now;
    g_assert_cmpuint (order->len, >=, expired);
  }
  cm_wheel_run (wheel, latest + G_TIME_SPAN_SECOND);
  g_assert_cmpuint (order->len, ==, N);
  for (int i = 0; i < N; i++)
    g_assert_false (cm_timer_cancel (timers[i]));
  cm_wheel_close (wheel);
}

static void
test_cancel (void)
{
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (int));
  CmWheel *wheel = cm_wheel_new (START);
  Entry first = { order, 1, G_SOURCE_REMOVE }, second = { order, 2, G_SOURCE_REMOVE };
  gboolean sooner;
  CmTimer *one = cm_wheel_add (wheel, START, 100, note, &first, &sooner);
  CmTimer *two = cm_wheel_add (wheel, START, 100, note, &second, &sooner);

  g_assert_true (cm_timer_cancel (one));
  cm_wheel_run (wheel, after_ms (200));
  g_assert_cmpuint (order->len, ==, 1);
  g_assert_cmpint (g_array_index (order, int, 0), ==, 2);
  g_assert_false (cm_timer_cancel (two));
  cm_wheel_close (wheel);
}

static void
test_repeat (void)
{
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (int));
  CmWheel *wheel = cm_wheel_new (START);
  Entry entry = { order, 1, G_SOURCE_CONTINUE };
  gboolean sooner;
  CmTimer *timer = cm_wheel_add (wheel, START, 100, note, &entry, &sooner);

  for (int i = 1; i <= 5; i++) {
    cm_wheel_run (wheel, after_ms (i * 120));
    g_assert_cmpuint (order->len, ==, (guint) i);
  }
  g_assert_true (cm_timer_cancel (timer));
  cm_wheel_run (wheel, after_ms (1000));
  g_assert_cmpuint (order->len, ==, 5);
  cm_wheel_close (wheel);
}

/* The thread must be woken for what comes before its turn, and for that only. */
static void
test_sooner (void)
{
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (int));
  CmWheel *wheel = cm_wheel_new (START);
  Entry entry = { order, 1, G_SOURCE_REMOVE };
  gboolean sooner;
  CmTimer *far = cm_wheel_add (wheel, START, 400, note, &entry, &sooner);

  g_assert_true (sooner);
  g_assert_cmpint (cm_wheel_run (wheel, START), >=, after_ms (400));
  CmTimer *farther = cm_wheel_add (wheel, START, 500, note, &entry, &sooner);
  g_assert_false (sooner);
  CmTimer *near = cm_wheel_add (wheel, START, 50, note, &entry, &sooner);
  g_assert_true (sooner);
  g_assert_cmpint (cm_wheel_turn (wheel), <, after_ms (80));
  g_assert_true (cm_timer_cancel (far));
  g_assert_true (cm_timer_cancel (farther));
  g_assert_true (cm_timer_cancel (near));
  cm_wheel_close (wheel);
}

/* What waited when the wheel closed has not run and will not: whoever holds it is told, and lets go
 * of what the timer would have let go of. */
static void
test_close (void)
{
  g_autoptr (GArray) order = g_array_new (FALSE, FALSE, sizeof (int));
  CmWheel *wheel = cm_wheel_new (START);
  Entry entry = { order, 1, G_SOURCE_REMOVE };
  gboolean sooner;
  CmTimer *over = cm_wheel_add (wheel, START, 50, note, &entry, &sooner);
  CmTimer *waiting = cm_wheel_add (wheel, START, 500, note, &entry, &sooner);

  cm_wheel_run (wheel, after_ms (100));
  cm_wheel_close (wheel);
  g_assert_false (cm_timer_cancel (over));
  g_assert_true (cm_timer_cancel (waiting));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/wheel/order", test_order);
  g_test_add_func ("/wheel/random", test_random);
  g_test_add_func ("/wheel/cancel", test_cancel);
  g_test_add_func ("/wheel/repeat", test_repeat);
  g_test_add_func ("/wheel/sooner", test_sooner);
  g_test_add_func ("/wheel/close", test_close);
  return g_test_run ();
}
