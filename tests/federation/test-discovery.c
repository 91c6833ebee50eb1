#include "federation/discovery.h"
#include "tests/federation/fake-resolver.h"
#include "tests/federation/peer.h"

#include <string.h>

typedef struct {
  FakeResolver *resolver;
  Authority *authority;
  Peer *peer;
  CmOutbound *outbound;
  CmDiscovery *discovery;
  const char *answer; /* to each request; NULL: status 404 */
  gint asked;
} Fixture;

static gboolean
well_known (const PeerRequest *request, GOutputStream *out, gpointer data)
{
  Fixture *f = data;

  g_atomic_int_inc (&f->asked);
  g_assert_cmpstr (request->target, ==, "/.well-known/matrix/server");
  if (f->answer == NULL)
    return peer_reply (out, 404, NULL, "{\"m.server\":\"no.test:1\"}");
  return peer_reply (out, 200, NULL, f->answer);
}

static void
setup (Fixture *f, gconstpointer data)
{
  static const char *const allow[] = { "127.0.0.1", NULL };
  static const char *const resolve[] = { "fixed.test=127.0.0.5:99", "fixed.test:80=[::1]:7",
                                         "10.0.0.1=there.test", NULL };
  g_autoptr (GTlsCertificate) certificate = NULL;

  f->resolver = fake_resolver_new ();
  f->authority = authority_new ();
  certificate = authority_sign (f->authority, "DNS:a.test", 5);
  f->peer = peer_new (certificate, well_known, f);
  f->outbound = cm_outbound_new (&(CmOutboundPolicy){ .allow = allow,
                                                      .verify_tls = TRUE,
                                                      .ca_file = authority_file (f->authority),
                                                      .resolver = G_RESOLVER (f->resolver) },
                                 NULL);
  f->discovery = cm_discovery_new (f->outbound, resolve, NULL);
  g_assert_nonnull (f->discovery);
  cm_discovery_set_well_known_port (f->discovery, peer_port (f->peer));
}

static void
teardown (Fixture *f, gconstpointer data)
{
  cm_discovery_free (f->discovery);
  cm_outbound_free (f->outbound);
  peer_free (f->peer);
  g_object_unref (f->resolver);
  authority_free (f->authority);
}

/* "host|port|tls name|Host header", candidates separated by spaces. */
static char *
find (Fixture *f, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) list = cm_discovery_find (f->discovery, name, &error);
  g_autoptr (GString) text = g_string_new (NULL);

  g_assert_no_error (error);
  for (guint i = 0; i < list->len; i++) {
    const CmServerAddress *address = list->pdata[i];

    g_string_append_printf (text, "%s%s|%u|%s|%s", i ? " " : "", address->host, address->port,
                            address->tls_name, address->host_header);
  }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void
assert_found (Fixture *f, const char *name, const char *expected)
{
  g_autofree char *found = find (f, name);

  g_assert_cmpstr (found, ==, expected);
}

/* "Resolving server names", 1 and 2: nobody is asked. */
static void
test_names_that_say_all (Fixture *f, gconstpointer data)
{
  assert_found (f, "1.2.3.4", "1.2.3.4|8448|1.2.3.4|1.2.3.4");
  assert_found (f, "1.2.3.4:5", "1.2.3.4|5|1.2.3.4|1.2.3.4:5");
  assert_found (f, "[2001:db8::1]", "2001:db8::1|8448|2001:db8::1|[2001:db8::1]");
  assert_found (f, "[2001:db8::1]:5", "2001:db8::1|5|2001:db8::1|[2001:db8::1]:5");
  assert_found (f, "a.test:443", "a.test|443|a.test|a.test:443");
  g_assert_cmpint (f->asked, ==, 0);
}

static void
test_overrides (Fixture *f, gconstpointer data)
{
  static const char *const bad[] = { "a.test", NULL };
  g_autoptr (GError) error = NULL;

  assert_found (f, "fixed.test", "127.0.0.5|99|fixed.test|fixed.test");
  assert_found (f, "fixed.test:80", "::1|7|fixed.test|fixed.test:80");
  assert_found (f, "10.0.0.1", "there.test|8448|10.0.0.1|10.0.0.1");
  g_assert_null (cm_discovery_new (f->outbound, bad, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
}

/* 3.1 to 3.5 */
static void
test_delegation (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *answer;
    const char *found;
  } rows[] = {
    { "{\"m.server\":\"8.8.4.4\"}", "8.8.4.4|8448|8.8.4.4|8.8.4.4" },
    { "{\"m.server\":\"8.8.4.4:1\"}", "8.8.4.4|1|8.8.4.4|8.8.4.4:1" },
    { "{\"m.server\":\"[2606::1]:1\"}", "2606::1|1|2606::1|[2606::1]:1" },
    { "{\"m.server\":\"b.test:1\"}", "b.test|1|b.test|b.test:1" },
    { "{\"m.server\":\"fed.test\"}", "s1.test|11|fed.test|fed.test s2.test|22|fed.test|fed.test" },
    { "{\"m.server\":\"old.test\"}", "s3.test|33|old.test|old.test" },
    { "{\"m.server\":\"bare.test\"}", "bare.test|8448|bare.test|bare.test" },
  };

  fake_resolver_add (f->resolver, "a.test", "127.0.0.1");
  fake_resolver_add_service (f->resolver, "_matrix-fed._tcp.fed.test", "s2.test", 22, 20);
  fake_resolver_add_service (f->resolver, "_matrix-fed._tcp.fed.test", "s1.test", 11, 10);
  fake_resolver_add_service (f->resolver, "_matrix._tcp.fed.test", "no.test", 1, 1);
  fake_resolver_add_service (f->resolver, "_matrix._tcp.old.test", "s3.test", 33, 1);
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (CmDiscovery) fresh = cm_discovery_new (f->outbound, NULL, NULL);

    cm_discovery_set_well_known_port (fresh, peer_port (f->peer));
    cm_discovery_free (f->discovery);
    f->discovery = g_steal_pointer (&fresh);
    f->answer = rows[i].answer;
    assert_found (f, "a.test", rows[i].found);
  }
}

/* Whatever is wrong with the document: 4 to 6. */
static void
test_bad_well_known (Fixture *f, gconstpointer data)
{
  static const char *const answers[] = {
    NULL,
    "",
    "m.server",
    "[]",
    "{}",
    "{\"m.server\":1}",
    "{\"m.server\":\"\"}",
    "{\"m.server\":\"a b\"}",
    "{\"m.server\":\"b.test:99999\"}",
    "{\"m.server\":\"b.test:0\"}",
    "{\"m.server\":\"https://b.test\"}",
    "{\"m.server\":\"b.test\",\"m.server\":\"c.test\"}",
    "{\"m.server\":\"b.test/path\"}",
  };

  fake_resolver_add (f->resolver, "a.test", "127.0.0.1");
  fake_resolver_add_service (f->resolver, "_matrix-fed._tcp.a.test", "s.test", 1, 1);
  for (gsize i = 0; i < G_N_ELEMENTS (answers); i++) {
    g_autoptr (CmDiscovery) fresh = cm_discovery_new (f->outbound, NULL, NULL);

    cm_discovery_set_well_known_port (fresh, peer_port (f->peer));
    cm_discovery_free (f->discovery);
    f->discovery = g_steal_pointer (&fresh);
    f->answer = answers[i];
    assert_found (f, "a.test", "s.test|1|a.test|a.test");
  }
  g_assert_cmpint (f->asked, ==, G_N_ELEMENTS (answers));
}

static void
test_without_well_known (Fixture *f, gconstpointer data)
{
  fake_resolver_add_service (f->resolver, "_matrix-fed._tcp.fed.test", "s.test", 1, 1);
  fake_resolver_add_service (f->resolver, "_matrix._tcp.old.test", "s.test", 2, 1);
  fake_resolver_add_service (f->resolver, "_matrix-fed._tcp.none.test", ".", 3, 1);
  assert_found (f, "fed.test", "s.test|1|fed.test|fed.test");
  assert_found (f, "old.test", "s.test|2|old.test|old.test");
  assert_found (f, "none.test", "none.test|8448|none.test|none.test");
  assert_found (f, "bare.test", "bare.test|8448|bare.test|bare.test");
}

/* CVE-2024-52594 ssrf-federation: the document is not fetched from an inner address. */
static void
test_inner_address_cve_2024_52594 (Fixture *f, gconstpointer data)
{
  g_autoptr (GTlsCertificate) certificate = authority_sign (f->authority, "DNS:in.test", 5);
  g_autoptr (Peer) trap =
      peer_new_at ("127.0.0.2", peer_port (f->peer), certificate, well_known, f);

  fake_resolver_add (f->resolver, "in.test", "127.0.0.2");
  f->answer = "{\"m.server\":\"b.test:1\"}";
  assert_found (f, "in.test", "in.test|8448|in.test|in.test");
  g_assert_cmpuint (peer_accepted (trap), ==, 0);
}

static void
test_cached (Fixture *f, gconstpointer data)
{
  fake_resolver_add (f->resolver, "a.test", "127.0.0.1");
  f->answer = "{\"m.server\":\"b.test:1\"}";
  for (int i = 0; i < 5; i++)
    assert_found (f, "a.test", "b.test|1|b.test|b.test:1");
  g_assert_cmpint (f->asked, ==, 1);
  /* Nor does a server that is down make it be asked for at every try. */
  cm_discovery_failed (f->discovery, "a.test");
  assert_found (f, "a.test", "b.test|1|b.test|b.test:1");
  g_assert_cmpint (f->asked, ==, 1);
}

static void
test_no_server_name (Fixture *f, gconstpointer data)
{
  static const char *const names[] = { "", "a b", "a.test:", "a.test:99999", "http://a.test" };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (GError) error = NULL;

    g_assert_null (cm_discovery_find (f->discovery, names[i], &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
  }
}

#define ADD(name, func) g_test_add (name, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/discovery/names-that-say-all", test_names_that_say_all);
  ADD ("/discovery/overrides", test_overrides);
  ADD ("/discovery/delegation", test_delegation);
  ADD ("/discovery/bad-well-known", test_bad_well_known);
  ADD ("/discovery/without-well-known", test_without_well_known);
  ADD ("/discovery/inner-address-CVE-2024-52594", test_inner_address_cve_2024_52594);
  ADD ("/discovery/cached", test_cached);
  ADD ("/discovery/no-server-name", test_no_server_name);
  return g_test_run ();
}
