#include "server/accounts/watchdog.h"

#include <sys/socket.h>
#include <unistd.h>

static void
make_pair (int fds[2])
{
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM, 0, fds), ==, 0);
}

/* What a blocked read returns with, and after how many milliseconds. */
static gssize
blocked_read (int fd, gint64 *ms)
{
  char byte;
  gint64 began = g_get_monotonic_time ();
  gssize got = read (fd, &byte, 1);
  *ms = (g_get_monotonic_time () - began) / 1000;
  return got;
}

static void
test_ends_a_read (void)
{
  g_autoptr (CmWatchdog) watchdog = cm_watchdog_new ();
  int slow[2], fast[2];
  gint64 ms;
  make_pair (slow);
  make_pair (fast);
  CmWatch *later = cm_watchdog_add (watchdog, slow[0], 400);
  CmWatch *sooner = cm_watchdog_add (watchdog, fast[0], 100);
  g_assert_cmpint (blocked_read (fast[0], &ms), ==, 0);
  g_assert_cmpint (ms, >=, 90);
  g_assert_cmpint (ms, <, 390);
  g_assert_cmpint (blocked_read (slow[0], &ms), ==, 0);
  cm_watchdog_remove (watchdog, later);
  cm_watchdog_remove (watchdog, sooner);
  for (guint i = 0; i < 2; i++) {
    close (slow[i]);
    close (fast[i]);
  }
}

/* The number of a closed socket may be somebody else's by then. */
static void
test_spares_the_next_owner (void)
{
  g_autoptr (CmWatchdog) watchdog = cm_watchdog_new ();
  int first[2], second[2];
  char byte = 0;
  make_pair (first);
  CmWatch *watch = cm_watchdog_add (watchdog, first[0], 50);
  close (first[0]);
  close (first[1]);
  make_pair (second);
  g_assert_cmpint (second[0], ==, first[0]);
  g_usleep (150000);
  g_assert_cmpint (write (second[0], &byte, 1), ==, 1);
  g_assert_cmpint (read (second[1], &byte, 1), ==, 1);
  cm_watchdog_remove (watchdog, watch);
  close (second[0]);
  close (second[1]);
}

static void
test_removed_in_time (void)
{
  g_autoptr (CmWatchdog) watchdog = cm_watchdog_new ();
  int pair[2];
  char byte = 0;
  make_pair (pair);
  cm_watchdog_remove (watchdog, cm_watchdog_add (watchdog, pair[0], 50));
  g_usleep (150000);
  g_assert_cmpint (write (pair[0], &byte, 1), ==, 1);
  g_assert_cmpint (read (pair[1], &byte, 1), ==, 1);
  close (pair[0]);
  close (pair[1]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/watchdog/ends-a-read", test_ends_a_read);
  g_test_add_func ("/watchdog/spares-the-next-owner", test_spares_the_next_owner);
  g_test_add_func ("/watchdog/removed-in-time", test_removed_in_time);
  return g_test_run ();
}
