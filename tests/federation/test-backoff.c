#include "federation/backoff.h"

typedef struct {
  guint calls;
  gint64 retry_at;
  gint64 retry_after;
} Told;

static void
on_changed (const char *server, gint64 retry_at_ms, gint64 retry_after_ms, gpointer data)
{
  Told *told = data;

  g_assert_cmpstr (server, ==, "a.test");
  told->calls++;
  told->retry_at = retry_at_ms;
  told->retry_after = retry_after_ms;
}

static void
test_failed_and_well (void)
{
  g_autoptr (CmBackoff) backoff = cm_backoff_new ();
  Told told = { 0 };
  gint64 now = g_get_real_time () / 1000;

  cm_backoff_listen (backoff, on_changed, &told);
  g_assert_cmpint (cm_backoff_until (backoff, "a.test"), ==, 0);
  cm_backoff_failed (backoff, "a.test");
  g_assert_cmpint (cm_backoff_until (backoff, "a.test"), >=, now + 3000);
  g_assert_cmpint (cm_backoff_until (backoff, "a.test"), <=, now + 7000);
  g_assert_cmpint (told.retry_at, ==, cm_backoff_until (backoff, "a.test"));
  g_assert_cmpint (cm_backoff_until (backoff, "b.test"), ==, 0);

  cm_backoff_failed (backoff, "a.test"); /* began before the first failure was known */
  g_assert_cmpuint (told.calls, ==, 1);

  cm_backoff_succeeded (backoff, "a.test");
  g_assert_cmpint (cm_backoff_until (backoff, "a.test"), ==, 0);
  g_assert_cmpuint (told.calls, ==, 2);
  g_assert_cmpint (told.retry_at, ==, 0);
  cm_backoff_succeeded (backoff, "a.test");
  g_assert_cmpuint (told.calls, ==, 2);
}

static void
test_grows_to_a_day (void)
{
  g_autoptr (CmBackoff) backoff = cm_backoff_new ();
  Told told = { 0 };
  gint64 day = 24 * 3600 * 1000;

  cm_backoff_listen (backoff, on_changed, &told);
  cm_backoff_restore (backoff, "a.test", 1, 40000);
  g_assert_cmpint (cm_backoff_until (backoff, "a.test"), ==, 0);
  cm_backoff_failed (backoff, "a.test");
  g_assert_cmpint (told.retry_after, ==, 80000);
  cm_backoff_restore (backoff, "a.test", 1, day);
  cm_backoff_failed (backoff, "a.test");
  g_assert_cmpint (told.retry_after, ==, day);
  g_assert_cmpint (cm_backoff_until (backoff, "a.test"), <, g_get_real_time () / 1000 + 2 * day);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/backoff/failed-and-well", test_failed_and_well);
  g_test_add_func ("/backoff/grows-to-a-day", test_grows_to_a_day);
  return g_test_run ();
}
