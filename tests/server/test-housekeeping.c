#include "crypto/error.h"
#include "server/housekeeping.h"
#include "server/router/lanes.h"

#define LONG_MS (3600 * 1000)

static const guint two_each[CM_LANE_LAST] = { 0, 2, 2, 2, 2, 2, 2 };

/* What the chores below did; tests run one after the other. */
static gint turns, at_once, gate;

static gboolean
count (CmNode *node, gboolean *more, GError **error)
{
  g_atomic_int_inc (&turns);
  return TRUE;
}

/* Five helpings, then no more. */
static gboolean
eat (CmNode *node, gboolean *more, GError **error)
{
  *more = g_atomic_int_add (&turns, 1) < 4;
  return TRUE;
}

static gboolean
fail (CmNode *node, gboolean *more, GError **error)
{
  *more = TRUE;
  g_atomic_int_inc (&turns);
  return cm_fail (error, CM_ERROR_UNAVAILABLE, "The database is not available");
}

static gboolean
linger (CmNode *node, gboolean *more, GError **error)
{
  *more = TRUE;
  if (g_atomic_int_add (&at_once, 1) != 0)
    g_atomic_int_set (&gate, -1);
  g_atomic_int_inc (&turns);
  g_usleep (20 * 1000);
  g_atomic_int_add (&at_once, -1);
  return TRUE;
}

static CmNode *
begin (const CmChore *chores, gsize n_chores)
{
  CmNode *node = g_new0 (CmNode, 1);

  turns = at_once = gate = 0;
  node->lanes = cm_lanes_new (two_each);
  node->housekeeping = cm_housekeeping_new (node, chores, n_chores);
  return node;
}

static void
end (CmNode *node)
{
  cm_housekeeping_free (node->housekeeping);
  g_assert_true (cm_lanes_free (node->lanes));
  g_free (node);
}

/* TRUE once there were @number turns; FALSE after @ms without. */
static gboolean
come_to (gint number, guint ms)
{
  for (guint waited = 0; waited < ms && g_atomic_int_get (&turns) < number; waited++)
    g_usleep (1000);
  return g_atomic_int_get (&turns) >= number;
}

static void
test_again_and_again (void)
{
  static const CmChore chores[] = { { "count", 10, count } };
  gint64 began = g_get_monotonic_time ();
  CmNode *node = begin (chores, 1);

  g_assert_true (come_to (5, 5000));
  g_assert_cmpint (g_get_monotonic_time () - began, >=, 4 * 10 * 1000);
  end (node);
}

static void
test_first_at_once_then_not_before_its_time (void)
{
  static const CmChore chores[] = { { "count", LONG_MS, count }, { "count", LONG_MS, count } };
  CmNode *node = begin (chores, 2);

  g_assert_true (come_to (2, 5000));
  g_assert_false (come_to (3, 100));
  end (node);
}

static void
test_more_is_due_at_once (void)
{
  static const CmChore chores[] = { { "eat", LONG_MS, eat } };
  CmNode *node = begin (chores, 1);

  g_assert_true (come_to (5, 5000));
  g_assert_false (come_to (6, 100));
  end (node);
}

static void
test_failure_waits_for_the_next_turn (void)
{
  static const CmChore chores[] = { { "fail", 200, fail } };
  CmNode *node;

  for (int i = 0; i < 2; i++)
    g_test_expect_message (G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "Cannot fail: *not available");
  node = begin (chores, 1);
  g_assert_true (come_to (1, 5000));
  g_assert_false (come_to (2, 50));
  g_assert_true (come_to (2, 5000));
  end (node);
  g_test_assert_expected_messages ();
}

static void
test_one_turn_at_a_time (void)
{
  static const CmChore chores[] = { { "linger", 0, linger } };
  CmNode *node = begin (chores, 1);

  g_assert_true (come_to (5, 5000));
  end (node); /* in the middle of one */
  g_assert_cmpint (gate, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/housekeeping/again-and-again", test_again_and_again);
  g_test_add_func ("/housekeeping/first-at-once", test_first_at_once_then_not_before_its_time);
  g_test_add_func ("/housekeeping/more", test_more_is_due_at_once);
  g_test_add_func ("/housekeeping/failure", test_failure_waits_for_the_next_turn);
  g_test_add_func ("/housekeeping/one-turn-at-a-time", test_one_turn_at_a_time);
  return g_test_run ();
}
