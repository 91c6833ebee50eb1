#include "server/router/lanes.h"

static const guint two_each[CM_LANE_LAST] = { 0, 2, 1, 1, 1 };

static void
count (gpointer data)
{
  g_atomic_int_inc ((gint *) data);
}

static void
wait_for_gate (gpointer data)
{
  GMutex *gate = data;

  g_mutex_lock (gate);
  g_mutex_unlock (gate);
}

static void
test_all_run (void)
{
  CmLanes *lanes = cm_lanes_new (two_each);
  gint done = 0;
  guint taken = 0;

  for (guint i = 0; i < 20000; i++)
    for (CmLane lane = CM_LANE_CLIENT; lane < CM_LANE_LAST; lane++)
      taken += cm_lanes_push (lanes, lane, count, &done);
  cm_lanes_free (lanes);
  g_assert_cmpint (done, ==, (gint) taken);
  g_assert_cmpuint (taken, >, 0);
}

static void
test_full_refuses (void)
{
  CmLanes *lanes = cm_lanes_new (two_each);
  gint done = 0;
  guint taken = 0;
  GMutex gate;

  g_mutex_init (&gate);
  g_mutex_lock (&gate);
  g_assert_true (cm_lanes_push (lanes, CM_LANE_FEDERATION, wait_for_gate, &gate));
  while (cm_lanes_push (lanes, CM_LANE_FEDERATION, count, &done))
    g_assert_cmpuint (++taken, <, 100000);
  g_assert_cmpuint (taken, >, 1000);
  /* One lane that is stuck is no hindrance to another. */
  g_assert_true (cm_lanes_push (lanes, CM_LANE_CLIENT, count, &done));
  while (g_atomic_int_get (&done) == 0)
    g_usleep (1000);
  g_assert_cmpint (g_atomic_int_get (&done), ==, 1);
  g_mutex_unlock (&gate);
  cm_lanes_free (lanes);
  g_assert_cmpint (done, ==, (gint) taken + 1);
  g_mutex_clear (&gate);
}

typedef struct {
  gint inside, most;
} Crowd;

static void
join_crowd (gpointer data)
{
  Crowd *crowd = data;
  gint inside = g_atomic_int_add (&crowd->inside, 1) + 1;

  if (inside > g_atomic_int_get (&crowd->most))
    g_atomic_int_set (&crowd->most, inside);
  g_usleep (20000);
  g_atomic_int_add (&crowd->inside, -1);
}

/* All the threads of a lane work, and no more than those. */
static void
test_threads (void)
{
  static const guint threads[CM_LANE_LAST] = { [CM_LANE_CLIENT] = 3 };
  CmLanes *lanes = cm_lanes_new (threads);
  Crowd crowd = { 0, 0 };

  for (guint i = 0; i < 12; i++)
    g_assert_true (cm_lanes_push (lanes, CM_LANE_CLIENT, join_crowd, &crowd));
  cm_lanes_free (lanes);
  g_assert_cmpint (crowd.most, ==, 3);
}

/* One key has a quarter of a fair lane's threads, and only so much of it waits; what waits is done
 * in the end. */
static void
test_fair (void)
{
  static const guint threads[CM_LANE_LAST] = { [CM_LANE_REMOTE] = 8 };
  CmLanes *lanes = cm_lanes_new (threads);
  gint done = 0;
  guint taken = 0;
  GMutex gate;

  g_mutex_init (&gate);
  g_mutex_lock (&gate);
  while (cm_lanes_push_fair (lanes, CM_LANE_REMOTE, "mallory", wait_for_gate, &gate))
    g_assert_cmpuint (++taken, <, 100);
  g_assert_cmpuint (taken, ==, 2 + 64);
  for (guint i = 0; i < 6; i++)
    g_assert_true (cm_lanes_push_fair (lanes, CM_LANE_REMOTE, "alice", count, &done));
  while (g_atomic_int_get (&done) < 6)
    g_usleep (1000);
  g_mutex_unlock (&gate);
  /* Everybody's turn has ended, and begins anew. */
  while (!cm_lanes_push_fair (lanes, CM_LANE_REMOTE, "mallory", count, &done))
    g_usleep (1000);
  cm_lanes_free (lanes);
  g_assert_cmpint (done, ==, 7);
  g_mutex_clear (&gate);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/lanes/all-run", test_all_run);
  g_test_add_func ("/lanes/full-refuses", test_full_refuses);
  g_test_add_func ("/lanes/threads", test_threads);
  g_test_add_func ("/lanes/fair", test_fair);
  return g_test_run ();
}
