#include "federation/outbound.h"
#include "tests/federation/fake-resolver.h"
#include "tests/federation/peer.h"

#include <stdio.h>
#include <string.h>

typedef struct {
  FakeResolver *resolver;
  Authority *authority;
  CmOutbound *outbound;
} Fixture;

static void
setup (Fixture *f, gconstpointer data)
{
  static const char *const allow[] = { "127.0.0.1", NULL };

  f->resolver = fake_resolver_new ();
  f->authority = authority_new ();
  fake_resolver_add (f->resolver, "a.test", "127.0.0.1");
  fake_resolver_add (f->resolver, "b.test", "127.0.0.1");
  f->outbound = cm_outbound_new (&(CmOutboundPolicy){ .allow = allow,
                                                      .verify_tls = TRUE,
                                                      .ca_file = authority_file (f->authority),
                                                      .resolver = G_RESOLVER (f->resolver) },
                                 NULL);
  g_assert_nonnull (f->outbound);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  cm_outbound_free (f->outbound);
  g_object_unref (f->resolver);
  authority_free (f->authority);
}

static CmOutboundAnswer *
get (Fixture *f, const char *scheme, const char *host, Peer *peer, const char *path,
     guint max_redirects, GError **error)
{
  g_autofree char *url = g_strdup_printf ("%s://%s:%u%s", scheme, host, peer_port (peer), path);

  return cm_outbound_call (f->outbound,
                           &(CmOutboundRequest){ .method = "GET",
                                                 .url = url,
                                                 .timeout_ms = 20000,
                                                 .authorization = "secret",
                                                 .max_redirects = max_redirects },
                           error);
}

static const char *
body (const CmOutboundAnswer *answer)
{
  static char text[4096];

  g_snprintf (text, sizeof text, "%.*s", (int) g_bytes_get_size (answer->body),
              (const char *) g_bytes_get_data (answer->body, NULL));
  return text;
}

/* Answers with what it was asked. */
static gboolean
echo (const PeerRequest *request, GOutputStream *out, gpointer data)
{
  g_autofree char *host = peer_request_header (request, "Host");
  g_autofree char *authorization = peer_request_header (request, "Authorization");
  g_autofree char *type = peer_request_header (request, "Content-Type");
  g_autofree char *text =
      g_strdup_printf ("%s %s|%s|%s|%s|%.*s", request->method, request->target, host,
                       authorization ? authorization : "none", type ? type : "none",
                       request->body ? (int) g_bytes_get_size (request->body) : 0,
                       request->body ? (const char *) g_bytes_get_data (request->body, NULL) : "");

  return peer_reply (out, 200, "Content-Type: text/x\r\nCache-Control: public, max-age=77\r\n",
                     text);
}

static void
test_sends_as_told (Fixture *f, gconstpointer data)
{
  g_autoptr (GTlsCertificate) certificate = authority_sign (f->authority, "DNS:name.test", 5);
  g_autoptr (Peer) peer = peer_new (certificate, echo, NULL);
  g_autoptr (GBytes) content = g_bytes_new_static ("{}", 2);
  /* The target is signed (X-Matrix), so that not one character of it may change on the way. */
  const char *target = "/_matrix/x/%21a%2Fb%3Ac/$e+:@!*'(),;=~?q=%20a+b&r=%2F%C3%A4/?";
  g_autofree char *url = g_strdup_printf ("https://unused.test%s", target);
  g_autofree char *expected =
      g_strdup_printf ("PUT %s|other.test:99|X-Matrix x|application/json|{}", target);
  CmOutboundRequest request = {
    .method = "PUT",
    .url = url,
    .connect_host = "a.test",
    .connect_port = peer_port (peer),
    .tls_name = "name.test",
    .host_header = "other.test:99",
    .authorization = "X-Matrix x",
    .body = content,
  };

  for (int i = 0; i < 3; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CmOutboundAnswer) answer = cm_outbound_call (f->outbound, &request, &error);

    g_assert_no_error (error);
    g_assert_cmpuint (answer->status, ==, 200);
    g_assert_cmpstr (body (answer), ==, expected);
    g_assert_cmpstr (answer->content_type, ==, "text/x");
    g_assert_cmpint (answer->max_age_s, ==, 77);
  }
  g_assert_cmpuint (peer_accepted (peer), ==, 1);
}

static void
assert_unreachable (CmOutboundAnswer *answer, GError *error)
{
  g_assert_null (answer);
  g_assert_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY);
  g_assert_cmpstr (error->message, ==, "The server could not be reached");
}

/* tls-verification: only the right certificate gets a request; a connection of one name serves no
 * other. */
static void
test_tls_verification (Fixture *f, gconstpointer data)
{
  g_autoptr (Authority) stranger = authority_new ();
  g_autoptr (GTlsCertificate) right = authority_sign (f->authority, "DNS:a.test", 5);
  g_autoptr (GTlsCertificate) literal = authority_sign (f->authority, "IP:127.0.0.1", 5);
  g_autoptr (GTlsCertificate) expired = authority_sign (f->authority, "DNS:a.test", -1);
  g_autoptr (GTlsCertificate) foreign = authority_sign (stranger, "DNS:a.test", 5);
  const struct {
    GTlsCertificate *certificate;
    const char *host;
    gboolean good;
  } rows[] = {
    { right, "a.test", TRUE },    { right, "b.test", FALSE },    { expired, "a.test", FALSE },
    { foreign, "a.test", FALSE }, { right, "127.0.0.1", FALSE }, { literal, "127.0.0.1", TRUE },
    { literal, "a.test", FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (Peer) peer = peer_new (rows[i].certificate, echo, NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (CmOutboundAnswer) answer = get (f, "https", rows[i].host, peer, "/", 0, &error);

    g_test_message ("row %zu", i);
    if (rows[i].good)
      g_assert_no_error (error);
    else
      assert_unreachable (answer, error);
  }
  {
    g_autoptr (Peer) peer = peer_new (right, echo, NULL);
    g_autoptr (CmOutboundAnswer) first = get (f, "https", "a.test", peer, "/", 0, NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (CmOutboundAnswer) second = get (f, "https", "b.test", peer, "/", 0, &error);

    g_assert_nonnull (first);
    assert_unreachable (second, error);
  }
}

static void
test_verify_tls_off (Fixture *f, gconstpointer data)
{
  static const char *const allow[] = { "127.0.0.0/8", NULL };
  g_autoptr (GTlsCertificate) expired = authority_sign (f->authority, "DNS:x.test", -1);
  g_autoptr (Peer) peer = peer_new (expired, echo, NULL);
  g_autofree char *url = g_strdup_printf ("https://127.0.0.1:%u/", peer_port (peer));
  g_autoptr (CmOutbound) lax = cm_outbound_new (&(CmOutboundPolicy){ .allow = allow }, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmOutboundAnswer) answer =
      cm_outbound_call (lax, &(CmOutboundRequest){ .method = "GET", .url = url }, &error);

  g_assert_no_error (error);
  g_assert_cmpuint (answer->status, ==, 200);
}

/* ssrf-*: a refused address, a closed port, a bad scheme and no name at all look alike, and nobody
 * is called. */
static void
test_ssrf_refused_alike (Fixture *f, gconstpointer data)
{
  static const char *const urls[] = {
    "http://127.0.0.2:%u/",       "http://inner.test:%u/",    "http://[::1]:%u/",
    "http://[::ffff:7f00:2]:%u/", "http://127.2:%u/",         "http://2130706434:%u/",
    "http://0x7f000002:%u/",      "http://nowhere.test:%u/",  "file:///etc/passwd?%u",
    "http://a.test:1/?%u",        "http://u:p@127.0.0.1:%u/", "http://localhost:%u/",
  };
  g_autoptr (Peer) trap = peer_new_at ("127.0.0.2", 0, NULL, echo, NULL);

  fake_resolver_add (f->resolver, "inner.test", "127.0.0.2 169.254.169.254 10.0.0.1");
  fake_resolver_add (f->resolver, "127.2", "127.0.0.2");
  fake_resolver_add (f->resolver, "2130706434", "127.0.0.2");
  fake_resolver_add (f->resolver, "0x7f000002", "127.0.0.2");
  fake_resolver_add (f->resolver, "localhost", "127.0.0.2 ::1");
  for (gsize i = 0; i < G_N_ELEMENTS (urls); i++) {
    g_auto (GStrv) halves = g_strsplit (urls[i], "%u", 2);
    g_autofree char *url = g_strdup_printf ("%s%u%s", halves[0], peer_port (trap), halves[1]);
    g_autoptr (GError) error = NULL;
    g_autoptr (CmOutboundAnswer) answer =
        cm_outbound_call (f->outbound, &(CmOutboundRequest){ .method = "GET", .url = url }, &error);

    g_test_message ("%s", url);
    assert_unreachable (answer, error);
  }
  g_assert_cmpuint (peer_accepted (trap), ==, 0);
}

/* dns-rebinding: the name alternates between an allowed and a refused address. */
static void
test_dns_rebinding (Fixture *f, gconstpointer data)
{
  g_autoptr (Peer) peer = peer_new (NULL, echo, NULL);
  g_autoptr (Peer) trap = peer_new_at ("127.0.0.2", peer_port (peer), NULL, echo, NULL);
  guint answers = 0;

  for (int i = 0; i < 200; i++) {
    g_autofree char *name = g_strdup_printf ("r%d.test", i);

    fake_resolver_add (f->resolver, name,
                       i % 2 ? "127.0.0.1|127.0.0.2" : "127.0.0.1 127.0.0.2|127.0.0.2");
    for (int j = 0; j < 2; j++) {
      g_autoptr (CmOutboundAnswer) answer = get (f, "http", name, peer, "/", 0, NULL);

      answers += answer != NULL;
    }
  }
  g_assert_cmpuint (answers, ==, 400);
  g_assert_cmpuint (peer_accepted (trap), ==, 0);
}

static gboolean
redirect (const PeerRequest *request, GOutputStream *out, gpointer data)
{
  g_autofree char *header = NULL;

  if (!g_str_has_prefix (request->target, "/from"))
    return echo (request, out, data);
  header = g_strdup_printf ("Location: %s\r\n", (const char *) data);
  return peer_reply (out, 302, header, "");
}

/* CVE-2024-52594 ssrf-federation: redirects are followed by the count, with the filter, without
 * credentials. */
static void
test_redirects_cve_2024_52594 (Fixture *f, gconstpointer data)
{
  char location[128];
  g_autoptr (GTlsCertificate) certificate =
      authority_sign (f->authority, "DNS:a.test,DNS:b.test", 5);
  g_autoptr (Peer) plain = peer_new (NULL, redirect, location);
  g_autoptr (Peer) secure = peer_new (certificate, redirect, location);
  g_autoptr (Peer) trap = peer_new_at ("127.0.0.2", 0, NULL, echo, NULL);
  g_autoptr (GError) error = NULL;

  g_snprintf (location, sizeof location, "https://b.test:%u/to", peer_port (secure));
  {
    g_autoptr (CmOutboundAnswer) kept = get (f, "https", "a.test", secure, "/from", 0, NULL);
    g_autoptr (CmOutboundAnswer) followed = get (f, "https", "a.test", secure, "/from", 1, NULL);

    g_assert_cmpuint (kept->status, ==, 302);
    g_assert_cmpstr (kept->location, ==, location);
    g_assert_cmpuint (followed->status, ==, 200);
    g_assert_nonnull (strstr (body (followed), "GET /to|b.test:"));
    g_assert_nonnull (strstr (body (followed), "|none|"));
  }
  g_snprintf (location, sizeof location, "/from");
  {
    g_autoptr (CmOutboundAnswer) looped = get (f, "https", "a.test", secure, "/from", 5, NULL);

    g_assert_cmpuint (looped->status, ==, 302);
  }
  g_snprintf (location, sizeof location, "http://a.test:%u/to", peer_port (plain));
  {
    g_autoptr (CmOutboundAnswer) downgraded = get (f, "https", "a.test", secure, "/from", 5, NULL);

    g_assert_cmpuint (downgraded->status, ==, 302);
    g_assert_cmpuint (peer_accepted (plain), ==, 0);
  }
  g_snprintf (location, sizeof location, "http://127.0.0.2:%u/to", peer_port (trap));
  {
    g_autoptr (CmOutboundAnswer) trapped = get (f, "http", "a.test", plain, "/from", 5, &error);

    assert_unreachable (trapped, error);
    g_assert_cmpuint (peer_accepted (trap), ==, 0);
  }
}

static gboolean
endless (const PeerRequest *request, GOutputStream *out, gpointer data)
{
  static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  g_autofree char *junk = g_strnfill (0x1000, 'x');

  if (!g_output_stream_write_all (out, head, strlen (head), NULL, NULL, NULL))
    return FALSE;
  while (g_output_stream_write_all (out, "1000\r\n", 6, NULL, NULL, NULL) &&
         g_output_stream_write_all (out, junk, 0x1000, NULL, NULL, NULL) &&
         g_output_stream_write_all (out, "\r\n", 2, NULL, NULL, NULL))
    ;
  return FALSE;
}

static gboolean
endless_head (const PeerRequest *request, GOutputStream *out, gpointer data)
{
  static const char head[] = "HTTP/1.1 200 OK\r\n";

  g_output_stream_write_all (out, head, strlen (head), NULL, NULL, NULL);
  while (g_output_stream_write_all (out, "X-Junk: junk junk junk junk\r\n", 29, NULL, NULL, NULL))
    ;
  return FALSE;
}

/* 200 kB of gzip that swell to 200 MB. */
static GBytes *
make_bomb (void)
{
  g_autoptr (GZlibCompressor) zip = g_zlib_compressor_new (G_ZLIB_COMPRESSOR_FORMAT_GZIP, 9);
  g_autoptr (GOutputStream) memory = g_memory_output_stream_new_resizable ();
  g_autoptr (GOutputStream) out = g_converter_output_stream_new (memory, G_CONVERTER (zip));
  g_autofree char *zeros = g_malloc0 (1024 * 1024);

  for (int i = 0; i < 200; i++)
    g_output_stream_write_all (out, zeros, 1024 * 1024, NULL, NULL, NULL);
  g_output_stream_close (out, NULL, NULL);
  return g_memory_output_stream_steal_as_bytes (G_MEMORY_OUTPUT_STREAM (memory));
}

static gboolean
send_bomb (const PeerRequest *request, GOutputStream *out, gpointer bomb)
{
  gsize size;
  const void *bytes = g_bytes_get_data (bomb, &size);
  g_autofree char *head = g_strdup_printf (
      "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", size);

  g_output_stream_write_all (out, head, strlen (head), NULL, NULL, NULL);
  return g_output_stream_write_all (out, bytes, size, NULL, NULL, NULL);
}

static gsize
peak_memory_kib (void)
{
  g_autofree char *status = NULL;

  g_file_get_contents ("/proc/self/status", &status, NULL, NULL);
  return g_ascii_strtoull (strstr (status, "VmHWM:") + 6, NULL, 10);
}

static void
wait_for_hang_up (Peer *peer)
{
  for (int i = 0; i < 200 && peer_open (peer) > 0; i++)
    g_usleep (10000);
  g_assert_cmpuint (peer_open (peer), ==, 0);
}

static void
test_size_cve_2021_21274 (Fixture *f, gconstpointer data)
{
  g_autoptr (GBytes) bomb = make_bomb ();
  const PeerFunc funcs[] = { endless, send_bomb, endless_head };
  gsize before = peak_memory_kib ();

  for (gsize i = 0; i < G_N_ELEMENTS (funcs); i++) {
    g_autoptr (Peer) peer = peer_new (NULL, funcs[i], bomb);
    g_autoptr (GError) error = NULL;
    gint64 start = g_get_monotonic_time ();
    g_autoptr (CmOutboundAnswer) answer = get (f, "http", "a.test", peer, "/", 0, &error);

    g_assert_null (answer);
    g_assert_cmpint (error->code, ==,
                     funcs[i] == endless_head ? CM_ERROR_BAD_GATEWAY : CM_ERROR_TOO_LARGE);
    g_assert_cmpint (g_get_monotonic_time () - start, <, 2 * G_USEC_PER_SEC);
    wait_for_hang_up (peer);
  }
  g_assert_cmpuint (peak_memory_kib () - before, <, 40 * 1024);
}

static gboolean
exact (const PeerRequest *request, GOutputStream *out, gpointer data)
{
  g_autofree char *text = g_strnfill (1000, 'x');

  return peer_reply (out, 200, NULL, text);
}

static void
test_size_exact (Fixture *f, gconstpointer data)
{
  g_autoptr (Peer) peer = peer_new (NULL, exact, NULL);
  g_autofree char *url = g_strdup_printf ("http://a.test:%u/", peer_port (peer));
  CmOutboundRequest request = { .method = "GET", .url = url, .max_bytes = 1000 };
  g_autoptr (GError) error = NULL;
  g_autoptr (CmOutboundAnswer) fits = cm_outbound_call (f->outbound, &request, NULL);

  g_assert_cmpuint (g_bytes_get_size (fits->body), ==, 1000);
  request.max_bytes = 999;
  g_assert_null (cm_outbound_call (f->outbound, &request, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_TOO_LARGE);
}

static gboolean
say_nothing (const PeerRequest *request, GOutputStream *out, gpointer data)
{
  return TRUE;
}

static void
test_deadline (Fixture *f, gconstpointer data)
{
  g_autoptr (Peer) mute = peer_new (NULL, NULL, NULL); /* stalls the handshake */
  g_autoptr (Peer) slow = peer_new (NULL, say_nothing, NULL);
  const struct {
    const char *scheme;
    Peer *peer;
  } rows[] = { { "https", mute }, { "http", slow } };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *url =
        g_strdup_printf ("%s://a.test:%u/", rows[i].scheme, peer_port (rows[i].peer));
    gint64 start = g_get_monotonic_time ();

    g_assert_null (cm_outbound_call (
        f->outbound, &(CmOutboundRequest){ .method = "GET", .url = url, .timeout_ms = 200 },
        &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_GATEWAY_TIMEOUT);
    g_assert_cmpint (g_get_monotonic_time () - start, >, 190000);
    g_assert_cmpint (g_get_monotonic_time () - start, <, 2000000);
    wait_for_hang_up (rows[i].peer);
  }
}

static gpointer
call_mute (gpointer data)
{
  gpointer *pair = data;
  GError *error = NULL;
  CmOutboundAnswer *answer = get (pair[0], "http", "a.test", pair[1], "/", 0, &error);

  g_assert_null (answer);
  return error;
}

static void
test_stop (Fixture *f, gconstpointer data)
{
  g_autoptr (Peer) mute = peer_new (NULL, NULL, NULL);
  gpointer pair[] = { f, mute };
  GThread *thread = g_thread_new ("call", call_mute, pair);
  gint64 start = g_get_monotonic_time ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) later = NULL;

  while (peer_accepted (mute) == 0)
    g_usleep (1000);
  cm_outbound_stop (f->outbound);
  error = g_thread_join (thread);
  g_assert_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 2000000);
  g_assert_null (get (f, "http", "a.test", mute, "/", 0, &later));
  g_assert_error (later, CM_ERROR, CM_ERROR_UNAVAILABLE);
}

/* The first address refuses the connection, the second answers and comes first from then on. */
static void
test_next_address (Fixture *f, gconstpointer data)
{
  static const char *const allow[] = { "127.0.0.0/8", NULL };
  g_autoptr (CmOutbound) outbound = cm_outbound_new (
      &(CmOutboundPolicy){ .allow = allow, .resolver = G_RESOLVER (f->resolver) }, NULL);
  g_autoptr (Peer) peer = peer_new (NULL, echo, NULL);
  g_autofree char *url = g_strdup_printf ("http://two.test:%u/", peer_port (peer));

  fake_resolver_add (f->resolver, "two.test", "127.0.0.9 127.0.0.1");
  for (int i = 0; i < 2; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CmOutboundAnswer) answer = cm_outbound_call (
        outbound, &(CmOutboundRequest){ .method = "POST", .url = url, .repeatable = TRUE }, &error);

    g_assert_no_error (error);
    g_assert_cmpuint (answer->status, ==, 200);
  }
  g_assert_cmpuint (peer_accepted (peer), ==, 1);
}

static gpointer
call_often (gpointer data)
{
  gpointer *pair = data;

  for (int i = 0; i < 50; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CmOutboundAnswer) answer = get (pair[0], "https", "a.test", pair[1], "/", 0, &error);

    g_assert_no_error (error);
  }
  return NULL;
}

static void
test_many_threads (Fixture *f, gconstpointer data)
{
  g_autoptr (GTlsCertificate) certificate = authority_sign (f->authority, "DNS:a.test", 5);
  g_autoptr (Peer) peer = peer_new (certificate, echo, NULL);
  gpointer pair[] = { f, peer };
  GThread *threads[20];

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("call", call_often, pair);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpuint (peer_accepted (peer), <=, 8);
}

/* Stands first: whatever another test did before would make them known too. */
static void
test_types_come_before_threads (void)
{
  static const char *const names[] = { "GSocket", "GTask", "GInetSocketAddress",
                                       "GTlsClientConnectionGnutls" };
  g_autoptr (GError) error = NULL;
  g_autoptr (CmOutbound) outbound = cm_outbound_new (&(CmOutboundPolicy){ 0 }, &error);

  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    g_assert_cmpuint (g_type_from_name (names[i]), !=, G_TYPE_INVALID);
}

#define ADD(name, func) g_test_add (name, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/outbound/types-come-before-threads", test_types_come_before_threads);
  ADD ("/outbound/sends-as-told", test_sends_as_told);
  ADD ("/outbound/tls-verification", test_tls_verification);
  ADD ("/outbound/verify-tls-off", test_verify_tls_off);
  ADD ("/outbound/ssrf-refused-alike", test_ssrf_refused_alike);
  ADD ("/outbound/dns-rebinding", test_dns_rebinding);
  ADD ("/outbound/redirects-CVE-2024-52594", test_redirects_cve_2024_52594);
  ADD ("/outbound/size-CVE-2021-21274", test_size_cve_2021_21274);
  ADD ("/outbound/size-exact", test_size_exact);
  ADD ("/outbound/deadline", test_deadline);
  ADD ("/outbound/stop", test_stop);
  ADD ("/outbound/next-address", test_next_address);
  ADD ("/outbound/many-threads", test_many_threads);
  return g_test_run ();
}
