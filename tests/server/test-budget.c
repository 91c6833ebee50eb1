#include "server/http/budget.h"

static void
test_shares (void)
{
  g_autoptr (CmBudget) budget = cm_budget_new (10, 4);

  g_assert_true (cm_budget_take (budget, "10.0.0.1", 3));
  g_assert_false (cm_budget_take (budget, "10.0.0.1", 2));
  g_assert_true (cm_budget_take (budget, "10.0.0.1", 1));
  g_assert_true (cm_budget_take (budget, "10.0.0.2", 4));
  /* There are two left of all. */
  g_assert_false (cm_budget_take (budget, "10.0.0.3", 3));
  g_assert_true (cm_budget_take (budget, "10.0.0.3", 2));
  cm_budget_return (budget, "10.0.0.1", 4);
  g_assert_true (cm_budget_take (budget, "10.0.0.3", 2));
  g_assert_true (cm_budget_take (budget, "10.0.0.1", 2));
  g_assert_false (cm_budget_take (budget, "10.0.0.1", 1));
}

/* class rate-limit-bypass: who has one address of IPv6 has 2^64. */
static void
test_prefixes (void)
{
  g_autoptr (CmBudget) budget = cm_budget_new (10, 4);

  g_assert_true (cm_budget_take (budget, "2001:db8::1", 4));
  g_assert_false (cm_budget_take (budget, "2001:db8::2", 1));
  g_assert_true (cm_budget_take (budget, "2001:db8:0:1::1", 1));
  cm_budget_return (budget, "2001:db8::3", 4);
  g_assert_true (cm_budget_take (budget, "2001:db8::2", 4));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/budget/shares/CVE-2024-52805", test_shares);
  g_test_add_func ("/budget/prefixes", test_prefixes);
  return g_test_run ();
}
