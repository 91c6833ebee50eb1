#include "server/config/config.h"

#include <string.h>

#define MINIMAL                                                                                    \
  "[node]\nserver_name = acme.example\ndata_dir = /var/lib/comity\n[listen main]\nport = 8008\n"

static CmConfig *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  CmConfig *config = cm_config_parse (text, &error);
  g_assert_no_error (error);
  return config;
}

/* The text is refused, and the message names @place ("[group] key"). */
static void
assert_refused (const char *text, const char *place)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmConfig) config = cm_config_parse (text, &error);
  g_assert_null (config);
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
  if (!strstr (error->message, place))
    g_error ("\"%s\" does not name %s", error->message, place);
}

static void
test_defaults (void)
{
  g_autoptr (CmConfig) config = parse (MINIMAL);
  g_assert_cmpstr (config->node.public_baseurl, ==, "https://acme.example");
  g_assert_cmpstr (config->node.signing_key, ==, "/var/lib/comity/signing.key");
  g_assert_cmpstr (config->media.path, ==, "/var/lib/comity/media");
  g_assert_null (config->database.dsn);
  g_assert_cmpint (config->node.log_level, ==, CM_LOG_INFO);
  g_assert_cmpint (config->accounts.password_cost, ==, CM_PASSWORD_COST_INTERACTIVE);
  g_assert_true (config->federation.enabled);
  g_assert_true (config->federation.verify_tls);
  g_assert_false (config->registration.open);
  g_assert_true (config->limits.enabled);
  g_assert_cmpint (config->media.max_upload, ==, 50 << 20);
  g_assert_cmpuint (config->n_listeners, ==, 1);
  g_assert_cmpint (config->listeners[0].serve, ==, CM_SERVE_CLIENT | CM_SERVE_FEDERATION);
  g_assert_cmpuint (g_strv_length (config->federation.trusted_key_servers), ==, 0);
}

/* A class that was forgotten in the table would be a class without a limit. */
static void
test_every_limit_has_a_rate (void)
{
  g_autoptr (CmConfig) config = parse (MINIMAL);
  for (int class = CM_LIMIT_NONE + 1; class < CM_LIMIT_LAST; class ++) {
    g_assert_cmpfloat (config->limits.rates[class].per_second, >, 0);
    g_assert_cmpuint (config->limits.rates[class].burst, >, 0);
  }
}

static void
test_defaults_weaken_nothing (void)
{
  g_autoptr (CmConfig) config = parse (MINIMAL);
  g_autoptr (GPtrArray) weaknesses = cm_config_weaknesses (config);
  g_assert_cmpuint (weaknesses->len, ==, 0);
}

static void
test_values (void)
{
  g_autoptr (CmConfig) config = parse (
      "[node]\nserver_name=localhost:8800\ndata_dir=/d/\npublic_baseurl=http://h:1/x/\n"
      "log_level=debug\ntrusted_proxies=10.0.0.0/8; ::1\n"
      "[listen a]\naddress=::1\nport=1\nserve=admin\n[listen b]\nport=65535\nserve=client; admin;\n"
      "[federation]\nresolve=a.example=127.0.0.1:8448;localhost:8801=[::1]:9\n"
      "trusted_key_servers=k.example; l.example\n"
      "[limits]\nsend=2.5;7\n[media]\nmax_upload=3k\n[rooms]\ndefault_version=10\n");
  g_assert_cmpstr (config->node.data_dir, ==, "/d");
  g_assert_cmpstr (config->node.public_baseurl, ==, "http://h:1/x");
  g_assert_cmpint (config->node.log_level, ==, CM_LOG_DEBUG);
  g_assert_cmpuint (config->n_listeners, ==, 2);
  g_assert_cmpstr (config->listeners[0].name, ==, "a");
  g_assert_cmpint (config->listeners[0].serve, ==, CM_SERVE_ADMIN);
  g_assert_cmpuint (config->listeners[1].port, ==, 65535);
  g_assert_cmpstr (g_hash_table_lookup (config->federation.resolve, "a.example"), ==,
                   "127.0.0.1:8448");
  g_assert_cmpstr (g_hash_table_lookup (config->federation.resolve, "localhost:8801"), ==,
                   "[::1]:9");
  g_assert_cmpstr (config->federation.trusted_key_servers[1], ==, "l.example");
  g_assert_cmpfloat (config->limits.rates[CM_LIMIT_SEND].per_second, ==, 2.5);
  g_assert_cmpuint (config->limits.rates[CM_LIMIT_SEND].burst, ==, 7);
  g_assert_cmpint (config->media.max_upload, ==, 3072);
  g_assert_true (cm_config_ranges_match (config->node.trusted_proxies, "10.2.3.4"));
  g_assert_true (cm_config_ranges_match (config->node.trusted_proxies, "::1"));
  g_assert_false (cm_config_ranges_match (config->node.trusted_proxies, "11.2.3.4"));
  g_assert_false (cm_config_ranges_match (config->node.trusted_proxies, "nonsense"));
}

static void
test_faults_are_named (void)
{
  assert_refused ("", "[node] server_name");
  assert_refused ("nonsense", "group");
  assert_refused (MINIMAL "[colour]\nx=y\n", "[colour]");
  assert_refused (MINIMAL "[listen]\nport=1\n", "[listen]");
  assert_refused (MINIMAL "[node]\ncolour=red\n", "[node] colour");
  assert_refused (MINIMAL "[listen main]\ncolour=red\n", "[listen main] colour");
  assert_refused (MINIMAL "[listen other]\naddress=::1\n", "[listen other] port");
  assert_refused (MINIMAL "[listen other]\nport=8008\n", "[listen other] port");
  assert_refused (MINIMAL "[listen other]\nport=65536\n", "[listen other] port");
  assert_refused (MINIMAL "[listen other]\nport=1\naddress=host\n", "[listen other] address");
  assert_refused (MINIMAL "[listen other]\nport=1\nserve=cake\n", "[listen other] serve");
  assert_refused (MINIMAL "[listen other]\nport=1\nserve=\n", "[listen other] serve");
  assert_refused (MINIMAL "[listen other]\nport=1\ntls_key=/etc/passwd\n",
                  "[listen other] tls_key");
  assert_refused (MINIMAL "[listen other]\nport=1\ntls_key=/nowhere/at/all\n",
                  "[listen other] tls_key");
  assert_refused (MINIMAL "[node]\nserver_name=bad name\n", "[node] server_name");
  assert_refused (MINIMAL "[node]\ndata_dir=relative\n", "[node] data_dir");
  assert_refused (MINIMAL "[node]\npublic_baseurl=ftp://x\n", "[node] public_baseurl");
  assert_refused (MINIMAL "[node]\npublic_baseurl=https://x/?q\n", "[node] public_baseurl");
  assert_refused (MINIMAL "[node]\nlog_level=loud\n", "[node] log_level");
  assert_refused (MINIMAL "[node]\ntrusted_proxies=10.0.0.0/99\n", "[node] trusted_proxies");
  assert_refused (MINIMAL "[registration]\nopen=1\n", "[registration] open");
  assert_refused (MINIMAL "[database]\nconnections=0\n", "[database] connections");
  assert_refused (MINIMAL "[federation]\nresolve=a\n", "[federation] resolve");
  assert_refused (MINIMAL "[federation]\nresolve=a=b\n", "[federation] resolve");
  assert_refused (MINIMAL "[federation]\nca_file=/nowhere/at/all\n", "[federation] ca_file");
  assert_refused (MINIMAL "[limits]\nsend=0;1\n", "[limits] send");
  assert_refused (MINIMAL "[limits]\nsend=1\n", "[limits] send");
  assert_refused (MINIMAL "[limits]\nsend=nan;1\n", "[limits] send");
  assert_refused (MINIMAL "[rooms]\ndefault_version=9999\n", "[rooms] default_version");
  assert_refused (MINIMAL "[rooms]\ndefault_version=\n", "[rooms] default_version");
  assert_refused (MINIMAL "[media]\nmax_upload=0\n", "[media] max_upload");
  assert_refused (MINIMAL "[media]\nmax_upload=9999999999G\n", "[media] max_upload");
  assert_refused (MINIMAL "[media]\nmax_upload=1G\n", "[media] max_upload");
  assert_refused (MINIMAL "[media]\nuser_quota=0\n", "[media] user_quota");
  assert_refused (MINIMAL "[media]\nmax_upload=\n", "[media] max_upload");
  assert_refused ("[node]\nserver_name=a\ndata_dir=/d\n", "[listen NAME]");
}

/* A password of the directory never travels in the clear. */
static void
test_ldap_needs_tls (void)
{
  assert_refused (MINIMAL "[ldap]\nuri=ldap://d\nuser_base=o=a\n", "[ldap] start_tls");
  assert_refused (MINIMAL "[ldap]\nuri=http://d\nuser_base=o=a\n", "[ldap] uri");
  assert_refused (MINIMAL "[ldap]\nuri=ldaps://d\n", "[ldap] user_base");
  assert_refused (MINIMAL "[ldap]\nuri=ldaps://d\nuser_base=o=a\nbind_dn=cn=x\n",
                  "[ldap] bind_password_file");
  g_autoptr (CmConfig) config =
      parse (MINIMAL "[ldap]\nuri=ldap://d\nstart_tls=true\nuser_base=o=a\n");
  g_assert_cmpstr (config->ldap.localpart_attribute, ==, "uid");
}

static void
test_every_fault_at_once (void)
{
  const char *text = MINIMAL "[node]\nlog_level=loud\n[registration]\nopen=perhaps\n";
  assert_refused (text, "[node] log_level");
  assert_refused (text, "[registration] open");
}

static void
test_weaknesses (void)
{
  static const struct {
    const char *setting;
    const char *named;
  } cases[] = {
    { "[listen open]\naddress=0.0.0.0\nport=1\n", "[listen NAME]" },
    { "[registration]\nopen=true\n", "[registration] open" },
    { "[registration]\nguests=true\n", "[registration] guests" },
    { "[accounts]\npassword_cost=minimum\n", "[accounts] password_cost" },
    { "[federation]\nverify_tls=false\n", "[federation] verify_tls" },
    { "[federation]\npublic_rooms=true\n", "[federation] public_rooms" },
    { "[federation]\ndevice_names=true\n", "[federation] device_names" },
    { "[outbound]\nverify_tls=false\n", "[outbound] verify_tls" },
    { "[outbound]\nallow=127.0.0.0/8\n", "[outbound] allow" },
    { "[limits]\nenabled=false\n", "[limits] enabled" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = g_strconcat (MINIMAL, cases[i].setting, NULL);
    g_autoptr (CmConfig) config = parse (text);
    g_autoptr (GPtrArray) weaknesses = cm_config_weaknesses (config);
    g_assert_cmpuint (weaknesses->len, ==, 1);
    g_assert_true (g_str_has_prefix (g_ptr_array_index (weaknesses, 0), cases[i].named));
  }
}

static void
test_generated_runs_as_it_is (void)
{
  g_autofree char *text = cm_config_generate ("acme.example", "/var/lib/comity");
  g_autoptr (CmConfig) config = parse (text);
  g_assert_cmpstr (config->node.server_name, ==, "acme.example");
  g_assert_cmpstr (config->node.data_dir, ==, "/var/lib/comity");
  g_autoptr (GPtrArray) weaknesses = cm_config_weaknesses (config);
  g_assert_cmpuint (weaknesses->len, ==, 0);
}

/* The defaults that the file shows are defaults: taking the comment signs away changes nothing and
 * is accepted. */
static void
test_generated_shows_defaults (void)
{
  g_autofree char *text = cm_config_generate ("acme.example", "/var/lib/comity");
  g_autoptr (GString) all = g_string_new (NULL);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (gsize i = 0; lines[i]; i++) {
    gboolean shown =
        lines[i][0] == '#' && g_ascii_isalpha (lines[i][1]) && strstr (lines[i], " = ");
    g_string_append_printf (all, "%s\n", shown ? lines[i] + 1 : lines[i]);
  }
  g_autoptr (CmConfig) config = parse (all->str);
  g_assert_cmpint (config->media.max_upload, ==, 50 << 20);
  g_assert_cmpstr (config->node.public_baseurl, ==, "https://acme.example");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/config/defaults", test_defaults);
  g_test_add_func ("/config/every-limit-has-a-rate", test_every_limit_has_a_rate);
  g_test_add_func ("/config/defaults-weaken-nothing", test_defaults_weaken_nothing);
  g_test_add_func ("/config/values", test_values);
  g_test_add_func ("/config/faults-are-named", test_faults_are_named);
  g_test_add_func ("/config/ldap-needs-tls", test_ldap_needs_tls);
  g_test_add_func ("/config/every-fault-at-once", test_every_fault_at_once);
  g_test_add_func ("/config/weaknesses", test_weaknesses);
  g_test_add_func ("/config/generated-runs-as-it-is", test_generated_runs_as_it_is);
  g_test_add_func ("/config/generated-shows-defaults", test_generated_shows_defaults);
  return g_test_run ();
}
