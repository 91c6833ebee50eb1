#include "federation/address-filter.h"

static gboolean
allows (const CmAddressFilter *filter, const char *text)
{
  g_autoptr (GInetAddress) address = g_inet_address_new_from_string (text);

  g_assert_nonnull (address);
  return cm_address_filter_allows (filter, address);
}

/* CVE-2021-21392: each range, its first and last address, and IPv4 in IPv6 clothes. */
static void
test_refuses_cve_2021_21392 (void)
{
  static const char *const refused[] = {
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::808:808",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
    "2001:0:808:808:0:0:f5ff:fffe", /* Teredo: client 10.0.0.1 */
    "2001:0:a00:1:0:0:f7f7:f7f7",   /* Teredo: server 10.0.0.1 */
    "100::1",
    "2001:2::1",
    "2001:db8::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
  };
  g_autoptr (CmAddressFilter) filter = cm_address_filter_new (NULL, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_test_message ("%s", refused[i]);
    g_assert_false (allows (filter, refused[i]));
  }
}

static void
test_lets_public_through (void)
{
  static const char *const allowed[] = {
    "1.1.1.1",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
    "2001:0:808:808:0:0:f7f7:f7f7", /* Teredo: both 8.8.8.8 */
    "2606:4700::1111",
    "2a00:1450::1",
  };
  g_autoptr (CmAddressFilter) filter = cm_address_filter_new (NULL, NULL);

  for (gsize i = 0; i < G_N_ELEMENTS (allowed); i++) {
    g_test_message ("%s", allowed[i]);
    g_assert_true (allows (filter, allowed[i]));
  }
}

static void
test_allow_list (void)
{
  static const char *const allow[] = { "10.1.0.0/16", "127.0.0.1", "fd00:1::/32", NULL };
  static const char *const bad[] = { "10.1.0.0/33", NULL };
  g_autoptr (CmAddressFilter) filter = cm_address_filter_new (allow, NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (allows (filter, "10.1.2.3"));
  g_assert_true (allows (filter, "127.0.0.1"));
  g_assert_true (allows (filter, "::ffff:10.1.2.3"));
  g_assert_true (allows (filter, "fd00:1::5"));
  g_assert_false (allows (filter, "10.2.0.1"));
  g_assert_false (allows (filter, "127.0.0.2"));
  g_assert_false (allows (filter, "fd00:2::5"));

  g_assert_null (cm_address_filter_new (bad, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/address-filter/refuses-CVE-2021-21392", test_refuses_cve_2021_21392);
  g_test_add_func ("/address-filter/lets-public-through", test_lets_public_through);
  g_test_add_func ("/address-filter/allow-list", test_allow_list);
  return g_test_run ();
}
