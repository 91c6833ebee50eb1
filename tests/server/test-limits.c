#include "server/router/limits.h"

static const CmRate rates[CM_LIMIT_LAST] = {
  [CM_LIMIT_LOGIN] = { 0.5, 3 },
  [CM_LIMIT_SEND] = { 1000, 5 },
};

static void
test_burst (void)
{
  g_autoptr (CmLimits) limits = cm_limits_new (TRUE, rates);

  for (guint i = 0; i < 3; i++)
    g_assert_cmpint (cm_limits_take (limits, CM_LIMIT_LOGIN, "@a:test"), ==, 0);
  gint64 wait_ms = cm_limits_take (limits, CM_LIMIT_LOGIN, "@a:test");
  g_assert_cmpint (wait_ms, >, 1900);
  g_assert_cmpint (wait_ms, <=, 2001);
  /* A refusal takes nothing, and neither another key nor another class is touched. */
  g_assert_cmpint (cm_limits_take (limits, CM_LIMIT_LOGIN, "@a:test"), <=, wait_ms);
  g_assert_cmpint (cm_limits_take (limits, CM_LIMIT_LOGIN, "@b:test"), ==, 0);
  g_assert_cmpint (cm_limits_take (limits, CM_LIMIT_SEND, "@a:test"), ==, 0);
}

static void
test_refill (void)
{
  g_autoptr (CmLimits) limits = cm_limits_new (TRUE, rates);
  guint taken = 0;
  gint64 begin_us = g_get_monotonic_time ();

  while (g_get_monotonic_time () < begin_us + 200 * G_TIME_SPAN_MILLISECOND)
    taken += cm_limits_take (limits, CM_LIMIT_SEND, "@a:test") == 0;
  gint64 passed_ms = (g_get_monotonic_time () - begin_us) / G_TIME_SPAN_MILLISECOND;
  /* More than the burst; how much more depends on how often this thread gets to run. */
  g_assert_cmpuint (taken, >=, 10);
  g_assert_cmpuint (taken, <=, (guint) passed_ms + 6);
}

static void
test_charge (void)
{
  g_autoptr (CmLimits) limits = cm_limits_new (TRUE, rates);

  /* More than there is: two seconds a token, three of them, and one that was wanted. */
  cm_limits_charge (limits, CM_LIMIT_LOGIN, "@a:test", 5);
  gint64 wait_ms = cm_limits_look (limits, CM_LIMIT_LOGIN, "@a:test");
  g_assert_cmpint (wait_ms, >, 5900);
  g_assert_cmpint (wait_ms, <=, 6001);
  /* A debt has an end, and looking costs nothing. */
  cm_limits_charge (limits, CM_LIMIT_LOGIN, "@a:test", G_MAXUINT);
  g_assert_cmpint (cm_limits_look (limits, CM_LIMIT_LOGIN, "@a:test"), <=, 8001);
  for (guint i = 0; i < 10; i++)
    g_assert_cmpint (cm_limits_look (limits, CM_LIMIT_LOGIN, "@b:test"), ==, 0);
}

static void
test_off (void)
{
  g_autoptr (CmLimits) off = cm_limits_new (FALSE, rates);
  g_autoptr (CmLimits) on = cm_limits_new (TRUE, rates);

  for (guint i = 0; i < 100; i++) {
    g_assert_cmpint (cm_limits_take (off, CM_LIMIT_LOGIN, "@a:test"), ==, 0);
    g_assert_cmpint (cm_limits_take (NULL, CM_LIMIT_LOGIN, "@a:test"), ==, 0);
    g_assert_cmpint (cm_limits_take (on, CM_LIMIT_NONE, "@a:test"), ==, 0);
    cm_limits_penalise (off, "@a:test");
  }
  g_assert_cmpint (cm_limits_penalty (off, "@a:test"), ==, 0);
}

/* class rate-limit-bypass: failures add up, and end; asking does not count. */
static void
test_failures (void)
{
  g_autoptr (CmLimits) limits = cm_limits_new (TRUE, rates);
  guint failures = 0;

  while (cm_limits_penalty (limits, "alice 192.0.2.1") == 0) {
    cm_limits_penalise (limits, "alice 192.0.2.1");
    g_assert_cmpuint (++failures, <, 1000);
  }
  g_assert_cmpuint (failures, ==, 10);
  g_assert_cmpint (cm_limits_penalty (limits, "alice 192.0.2.2"), ==, 0);
  for (guint i = 0; i < 1000; i++)
    cm_limits_penalise (limits, "alice 192.0.2.1");
  /* 20 tokens at a tenth a second is the worst that can be run up. */
  g_assert_cmpint (cm_limits_penalty (limits, "alice 192.0.2.1"), <=, 20 * 10 * 1000);
}

/* class rate-limit-bypass: inventing keys does not push out one that is in debt. */
static void
test_flood_of_keys (void)
{
  g_autoptr (CmLimits) limits = cm_limits_new (TRUE, rates);

  /* A debt of minutes, which no slow machine outlasts. */
  for (guint i = 0; i < 1000; i++)
    cm_limits_penalise (limits, "@attacker:test");
  for (guint i = 0; i < 300000; i++) {
    g_autofree char *key = g_strdup_printf ("key %u", i);
    cm_limits_take (limits, CM_LIMIT_SEND, key);
  }
  g_assert_cmpint (cm_limits_penalty (limits, "@attacker:test"), >, 0);
}

/* class rate-limit-bypass: IPv6 hosts of one network are one key. */
static void
test_address_key (void)
{
  static const char *const table[][2] = {
    { "192.0.2.1", "192.0.2.1" },
    { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
    { "2001:DB8:1:2::1", "2001:db8:1:2::/64" },
    { "::1", "::/64" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autofree char *key = cm_limits_address_key (table[i][0]);
    g_assert_cmpstr (key, ==, table[i][1]);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/limits/burst", test_burst);
  g_test_add_func ("/limits/refill", test_refill);
  g_test_add_func ("/limits/charge", test_charge);
  g_test_add_func ("/limits/off", test_off);
  g_test_add_func ("/limits/rate-limit-bypass/failures", test_failures);
  g_test_add_func ("/limits/rate-limit-bypass/flood-of-keys", test_flood_of_keys);
  g_test_add_func ("/limits/rate-limit-bypass/address-key", test_address_key);
  return g_test_run ();
}
