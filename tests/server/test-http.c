#include "http-support.h"

#include <gio/gio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EDGE  "/_matrix/client/v3/edge"
#define LANE  "/_matrix/client/v3/lane"
#define ECHO  "/_matrix/client/v3/echo"
#define HOST  "Host: test\r\n"
#define BEGIN "GET " EDGE " HTTP/1.1\r\n" HOST

static CmReply *
handle_hello (CmCall *call, GError **error)
{
  return cm_reply_empty ();
}

static CmReply *
handle_echo (CmCall *call, GError **error)
{
  GBytes *body = cm_call_body (call);

  return cm_reply_new (200, "application/octet-stream", body != NULL ? g_bytes_ref (body) : NULL);
}

static CmReply *
handle_param (CmCall *call, GError **error)
{
  const char *text = cm_call_param (call, "text");

  return cm_reply_new (200, "text/plain", g_bytes_new (text, strlen (text)));
}

static CmReply *
handle_headers (CmCall *call, GError **error)
{
  CmReply *reply = cm_reply_new (200, "text/plain\r\nX-Evil: 1", NULL);

  cm_reply_add_header (reply, "Content-Disposition", "a\r\nSet-Cookie: x");
  cm_reply_add_header (reply, "X-Good", "yes");
  return reply;
}

static CmReply *
handle_address (CmCall *call, GError **error)
{
  return cm_reply_new (200, "text/plain",
                       g_bytes_new (cm_call_address (call), strlen (cm_call_address (call))));
}

static const CmRoute routes[] = {
  { "GET", "/_matrix/client/v3/address", CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_NONE,
    handle_address, 0 },
  { "GET", EDGE, CM_AUTH_NONE, 0, CM_LANE_EDGE, CM_BODY_NONE, handle_hello, 0 },
  { "GET", LANE, CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_NONE, handle_hello, 0 },
  { "POST", ECHO, CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_RAW, handle_echo, 1024 * 1024 },
  { "GET", "/_matrix/client/v3/param/{text}", CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_NONE,
    handle_param, 0 },
  { "GET", "/_matrix/client/v3/headers", CM_AUTH_NONE, 0, CM_LANE_EDGE, CM_BODY_NONE,
    handle_headers, 0 },
  { "GET", "/plain", CM_AUTH_NONE, 0, CM_LANE_EDGE, CM_BODY_NONE, handle_hello, 0 },
  CM_ROUTES_END,
};

static void
assert_status (int fd, guint status)
{
  g_autoptr (TestAnswer) answer = test_read (fd, FALSE);

  g_assert_nonnull (answer);
  g_assert_cmpuint (answer->status, ==, status);
}

static void
test_answers (void)
{
  g_autoptr (TestEdge) edge = test_edge_new (2, routes, NULL);
  g_autoptr (TestAnswer) quick = test_ask (edge->port, "GET", EDGE, NULL);
  g_autoptr (TestAnswer) lane = test_ask (edge->port, "GET", LANE, NULL);
  g_autoptr (TestAnswer) head = test_ask (edge->port, "HEAD", LANE, NULL);
  g_autoptr (TestAnswer) echo = test_ask (edge->port, "POST", ECHO, "some text");

  g_assert_cmpstr (quick->body, ==, "{}");
  g_assert_nonnull (strstr (quick->head, "HTTP/1.1 200 OK\r\n"));
  g_assert_nonnull (strstr (quick->head, "\r\nContent-Type: application/json\r\n"));
  g_assert_cmpstr (lane->body, ==, "{}");
  g_assert_cmpuint (head->status, ==, 200);
  g_assert_nonnull (strstr (head->head, "\r\nContent-Length: 2\r\n"));
  g_assert_cmpstr (echo->body, ==, "some text");
}

/* "Web Browser Clients": on every answer, errors too. */
static void
test_cors (void)
{
  static const struct {
    const char *method, *target;
    guint status;
    gboolean cors;
  } table[] = {
    { "GET", EDGE, 200, TRUE },
    { "GET", "/_matrix/client/v3/nothing", 404, TRUE },
    { "DELETE", EDGE, 405, TRUE },
    { "OPTIONS", "/_matrix/client/v3/nothing", 204, TRUE },
    { "GET", "/.well-known/matrix/nothing", 404, TRUE },
    { "GET", "/plain", 200, FALSE },
  };
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (TestAnswer) answer = test_ask (edge->port, table[i].method, table[i].target, NULL);
    g_assert_cmpuint (answer->status, ==, table[i].status);
    g_assert_true (table[i].cors ==
                   (strstr (answer->head, "\r\nAccess-Control-Allow-Origin: *\r\n") != NULL));
    g_assert_true (
        table[i].cors ==
        (strstr (answer->head, "\r\nAccess-Control-Allow-Headers: X-Requested-With, Content-Type, "
                               "Authorization, Date\r\n") != NULL));
    g_assert_true (table[i].cors ==
                   (strstr (answer->head, "\r\nAccess-Control-Allow-Methods: ") != NULL));
  }
}

/* One connection, many requests: also those that were refused for reasons that do not touch the
 * framing. */
static void
test_keep_alive (void)
{
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);
  int fd = test_connect (edge->port);

  for (guint i = 0; i < 50; i++) {
    test_print (fd, "GET %s HTTP/1.1\r\n" HOST "\r\n", i % 2 ? EDGE : LANE);
    assert_status (fd, 200);
    test_print (fd, "POST /_matrix/client/v3/nothing HTTP/1.1\r\n" HOST
                    "Content-Length: 5\r\n\r\n12345");
    assert_status (fd, 404);
    test_print (fd, "POST " ECHO " HTTP/1.1\r\n" HOST
                    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    g_autoptr (TestAnswer) echo = test_read (fd, FALSE);
    g_assert_cmpstr (echo->body, ==, "abcde");
  }
  /* Pipelined: all in one piece, the answers in order. */
  for (guint i = 0; i < 20; i++)
    test_print (fd, "GET /_matrix/client/v3/param/%u HTTP/1.1\r\n" HOST "\r\n", i);
  for (guint i = 0; i < 20; i++) {
    g_autofree char *expected = g_strdup_printf ("%u", i);
    g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
    g_assert_cmpstr (answer->body, ==, expected);
  }
  close (fd);
}

static void
test_expect_continue (void)
{
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);
  int fd = test_connect (edge->port);
  char interim[64] = "";

  test_print (fd, "POST " ECHO " HTTP/1.1\r\n" HOST
                  "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  g_assert_cmpint (recv (fd, interim, strlen ("HTTP/1.1 100 Continue\r\n\r\n"), MSG_WAITALL), ==,
                   25);
  g_assert_cmpstr (interim, ==, "HTTP/1.1 100 Continue\r\n\r\n");
  test_print (fd, "abc");
  assert_status (fd, 200);
  /* One that is too large is refused before it is sent. */
  test_print (fd, "POST " ECHO " HTTP/1.1\r\n" HOST
                  "Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n");
  assert_status (fd, 413);
  g_assert_true (test_is_closed (fd, 2000));
  close (fd);
}

typedef struct {
  const char *request; /* what follows must not be taken for a second request */
  gsize length;        /* 0: strlen */
  guint status;        /* 0: closed without an answer is good as well */
} Bad;

#define SMUGGLED "GET /_matrix/client/v3/param/smuggled HTTP/1.1\r\n" HOST "\r\n"
#define POST     "POST " ECHO " HTTP/1.1\r\n" HOST

static void
assert_bad (guint16 port, const Bad *bad)
{
  int fd = test_connect (port);
  gsize length = bad->length != 0 ? bad->length : strlen (bad->request);

  g_test_message ("%s", bad->request);
  test_send (fd, bad->request, length);
  g_autoptr (TestAnswer) first = test_read (fd, FALSE);
  if (bad->status != 0) {
    g_assert_nonnull (first);
    g_assert_cmpuint (first->status, ==, bad->status);
  } else if (first != NULL) {
    g_assert_cmpuint (first->status, >=, 400);
  }
  g_autoptr (TestAnswer) second = first != NULL ? test_read (fd, FALSE) : NULL;
  g_assert_null (second);
  g_assert_true (test_is_closed (fd, 100));
  close (fd);
}

/* CVE-2026-1760: whatever makes the end of a request a matter of opinion is refused, and nothing
 * after it is read. */
static void
test_smuggling (void)
{
  static const char nul_name[] =
      POST "Transfer-Encoding\0: chunked\r\nContent-Length: 4\r\n\r\nabcd" SMUGGLED;
  static const char nul_value[] = POST "Content-Length: 4\0"
                                       "0\r\n\r\nabcd" SMUGGLED;
  static const Bad table[] = {
    { POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd" SMUGGLED, 0, 400 },
    { POST "Content-Length: 4\r\ncontent-length: 80\r\n\r\nabcd" SMUGGLED, 0, 400 },
    { POST "Content-Length: 4, 4\r\n\r\nabcd" SMUGGLED, 0, 400 },
    { POST "Content-Length: +4\r\n\r\nabcd" SMUGGLED, 0, 400 },
    { POST "Content-Length: 0x4\r\n\r\nabcd" SMUGGLED, 0, 400 },
    { POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 0,
      400 },
    { POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" SMUGGLED, 0,
      400 },
    { POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "Transfer-Encoding: \x0b"
           "chunked\r\n\r\n0\r\n\r\n" SMUGGLED,
      0, 400 },
    { POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { POST " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "X: y\r\n Transfer-Encoding: chunked\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "X: y\rTransfer-Encoding: chunked\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "Content-Length: 4\r\n\nabcd" SMUGGLED, 0, 400 },
    { POST "Content_Length@: 4\r\n\r\nabcd" SMUGGLED, 0, 400 },
    { POST "Transfer-Encoding: chunked\r\n\r\n-1\r\nabcd\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "Transfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "Transfer-Encoding: chunked\r\n\r\n4\r\nabcdef\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { POST "Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\nabcd\r\n0\r\n\r\n" SMUGGLED, 0,
      0 },
    { "POST " ECHO " HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" SMUGGLED, 0, 400 },
    { nul_name, sizeof nul_name - 1, 400 },
    { nul_value, sizeof nul_value - 1, 400 },
  };
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    assert_bad (edge->port, &table[i]);
}

/* CVE-2025-14523: one Host, which is a name; and no other place for one. */
static void
test_host_confusion (void)
{
  static const Bad table[] = {
    { BEGIN HOST "\r\n" SMUGGLED, 0, 400 },
    { BEGIN "host: other\r\n\r\n" SMUGGLED, 0, 400 },
    { "GET " EDGE " HTTP/1.1\r\n\r\n" SMUGGLED, 0, 400 },
    { "GET " EDGE " HTTP/1.1\r\nHost: a/b\r\n\r\n" SMUGGLED, 0, 400 },
    { "GET " EDGE " HTTP/1.1\r\nHost: a@b\r\n\r\n" SMUGGLED, 0, 400 },
    { "GET " EDGE " HTTP/1.1\r\nHost: a, b\r\n\r\n" SMUGGLED, 0, 400 },
    { "GET " EDGE " HTTP/1.1\r\nHost:\r\n\r\n" SMUGGLED, 0, 400 },
    { "GET http://other" EDGE " HTTP/1.1\r\n" HOST "\r\n" SMUGGLED, 0, 400 },
  };
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    assert_bad (edge->port, &table[i]);
}

static GString *
many_headers (guint n)
{
  GString *text = g_string_new (BEGIN);

  for (guint i = 0; i < n; i++)
    g_string_append_printf (text, "X-%u: y\r\n", i);
  return g_string_append (text, "\r\n");
}

/* class http-edge-and-slow */
static void
test_edge_table (void)
{
  static const char tls_hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n";
  g_autofree char *large = g_strnfill (70000, 'a');
  g_autofree char *large_header = g_strdup_printf (BEGIN "X: %s\r\n\r\n", large);
  g_autofree char *large_target = g_strdup_printf ("GET /%s HTTP/1.1\r\n" HOST "\r\n", large);
  g_autoptr (GString) many = many_headers (150);
  const Bad table[] = {
    { POST "Content-Length: -1\r\n\r\n", 0, 400 },
    { POST "Content-Length: 99999999999999999999\r\n\r\n", 0, 413 },
    { POST "Content-Length: 9999999999999999999\r\n\r\n", 0, 413 },
    { POST "Content-Length:\r\n\r\n", 0, 400 },
    { BEGIN "no colon\r\n\r\n", 0, 400 },
    { BEGIN ": no name\r\n\r\n", 0, 400 },
    { BEGIN "X: \x1b[31m\r\n\r\n", 0, 400 },
    { "GET " EDGE " HTTP/1.1\nHost: test\n\n", 0, 400 },
    { "GET " EDGE "\r\n\r\n", 0, 400 },
    { "GET " EDGE " HTTP/2.0\r\n" HOST "\r\n", 0, 505 },
    { "GET " EDGE " HTTP/0.9\r\n\r\n", 0, 505 },
    { "GET  " EDGE " HTTP/1.1\r\n" HOST "\r\n", 0, 400 },
    { "GET /a b HTTP/1.1\r\n" HOST "\r\n", 0, 0 },
    { "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", 0, 400 },
    { "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 0, 400 },
    { "GET * HTTP/1.1\r\n" HOST "\r\n", 0, 400 },
    { "BREW " EDGE " HTTP/1.1\r\n" HOST "\r\n", 0, 405 },
    { "CONNECT test:443 HTTP/1.1\r\n" HOST "\r\n", 0, 400 },
    { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 505 },
    { tls_hello, sizeof tls_hello - 1, 0 },
    { large_header, 0, 431 },
    { large_target, 0, 414 },
  };
  const Bad too_many = { many->str, 0, 431 };
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    assert_bad (edge->port, &table[i]);
  assert_bad (edge->port, &too_many);
}

/* class http-edge-and-slow: a path or query that does not decode is the client's mistake, and no
 * more than that. */
static void
test_escapes (void)
{
  static const char *const bad[] = {
    "/_matrix/client/v3/param/%",
    "/_matrix/client/v3/param/%4",
    "/_matrix/client/v3/param/%zz",
    "/_matrix/client/v3/param/%00",
    "/_matrix/client/v3/param/%ff",
    "/_matrix/client/v3/param/%c0%af",
    "/_matrix/client/v3/param/%ed%a0%80",
    EDGE "?a=%",
    EDGE "?%ff=b",
    EDGE "?a=b&c=%00",
  };
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (TestAnswer) answer = test_ask (edge->port, "GET", bad[i], NULL);
    g_assert_cmpuint (answer->status, ==, 400);
    g_assert_nonnull (strstr (answer->body, "M_INVALID_PARAM"));
  }
  g_autoptr (TestAnswer) good =
      test_ask (edge->port, "GET", "/_matrix/client/v3/param/a%2Fb+%C3%A4", NULL);
  g_assert_cmpstr (good->body, ==, "a/b+\xc3\xa4");
}

/* class header-injection: a value that would end its line is dropped, a type replaced; the rest
 * stands. */
static void
test_header_injection (void)
{
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  g_autoptr (TestAnswer) answer = test_ask (edge->port, "GET", "/_matrix/client/v3/headers", NULL);

  g_assert_cmpuint (answer->status, ==, 200);
  g_assert_null (strcasestr (answer->head, "evil"));
  g_assert_null (strcasestr (answer->head, "cookie"));
  g_assert_null (strcasestr (answer->head, "disposition"));
  g_assert_nonnull (strstr (answer->head, "\r\nX-Good: yes\r\n"));
  g_assert_nonnull (strstr (answer->head, "\r\nContent-Type: application/octet-stream\r\n"));
}

/* class rate-limit-bypass: only what a proxy of ours adds is believed, however much stands before
 * it. */
static void
test_forwarded (void)
{
  static const struct {
    const char *forwarded, *expected;
  } table[] = {
    { "192.0.2.1", "192.0.2.1" },
    { "198.51.100.1, 192.0.2.1", "192.0.2.1" },
    { "192.0.2.1, 127.0.0.9", "192.0.2.1" },
    { "192.0.2.1\r\nX-Forwarded-For: 192.0.2.2", "192.0.2.2" },
    { "2001:DB8::1", "2001:db8::1" },
    { "192.0.2.1, nonsense", "127.0.0.1" },
    { "", "127.0.0.1" },
    { "127.0.0.9", "127.0.0.9" },
  };
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);
  g_autoptr (GPtrArray) trusted = g_ptr_array_new_with_free_func (g_object_unref);
  const CmListener listener = { .name = "proxied",
                                .address = "127.0.0.1",
                                .serve = CM_SERVE_CLIENT };

  g_ptr_array_add (trusted, g_inet_address_mask_new_from_string ("127.0.0.0/8", NULL));
  cm_http_server_trust (edge->node.http, trusted);
  g_assert_true (cm_http_server_listen (edge->node.http, &listener, NULL));
  for (guint trust = 0; trust < 2; trust++)
    for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
      int fd = test_connect (trust ? cm_http_server_port (edge->node.http, "proxied") : edge->port);
      test_print (fd,
                  "GET /_matrix/client/v3/address HTTP/1.1\r\n" HOST "X-Forwarded-For: %s\r\n\r\n",
                  table[i].forwarded);
      g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
      g_assert_cmpstr (answer->body, ==, trust ? table[i].expected : "127.0.0.1");
      close (fd);
    }
}

static struct {
  GMutex lock;
  GPtrArray *lines;
} logged;

static GLogWriterOutput
keep_line (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer data)
{
  g_mutex_lock (&logged.lock);
  for (gsize i = 0; i < n_fields; i++)
    if (strcmp (fields[i].key, "MESSAGE") == 0 && (level & G_LOG_LEVEL_DEBUG) == 0)
      g_ptr_array_add (logged.lines, g_strdup (fields[i].value));
  g_mutex_unlock (&logged.lock);
  return G_LOG_WRITER_HANDLED;
}

static guint
count_lines (const char *part)
{
  guint n = 0;

  g_mutex_lock (&logged.lock);
  for (guint i = 0; i < logged.lines->len; i++)
    n += strstr (logged.lines->pdata[i], part) != NULL;
  g_mutex_unlock (&logged.lock);
  return n;
}

/* class log-and-error-disclosure: one line for each request, without its query and without what a
 * terminal would obey. */
static void
test_log (void)
{
  static const char *const requests[] = {
    BEGIN "User-Agent: \x1b[31m\r\nAuthorization: Bearer s3cret\r\n\r\n",
    "GET " LANE "?access_token=s3cret HTTP/1.1\r\n" HOST "\r\n",
    "GET /\x1b[31m?access_token=s3cret HTTP/1.1\r\n" HOST "\r\n",
    POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\nX: s3cret\r\n\r\n",
  };
  TestEdge *edge = test_edge_new (1, routes, NULL);
  guint before = logged.lines->len;

  for (guint i = 0; i < G_N_ELEMENTS (requests); i++) {
    int fd = test_connect (edge->port);
    test_print (fd, "%s", requests[i]);
    g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
    g_assert_nonnull (answer);
    close (fd);
  }
  test_edge_free (edge);
  g_assert_cmpuint (logged.lines->len - before, ==, G_N_ELEMENTS (requests));
  g_assert_cmpuint (count_lines ("GET " LANE " 200 "), >=, 1);
  g_assert_cmpuint (count_lines ("s3cret"), ==, 0);
  g_assert_cmpuint (count_lines ("\x1b"), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  logged.lines = g_ptr_array_new_with_free_func (g_free);
  g_log_set_writer_func (keep_line, NULL, NULL);
  g_test_add_func ("/http/answers", test_answers);
  g_test_add_func ("/http/cors", test_cors);
  g_test_add_func ("/http/keep-alive", test_keep_alive);
  g_test_add_func ("/http/expect-continue", test_expect_continue);
  g_test_add_func ("/http/request-smuggling/CVE-2026-1760", test_smuggling);
  g_test_add_func ("/http/host-confusion/CVE-2025-14523", test_host_confusion);
  g_test_add_func ("/http/http-edge-and-slow/table", test_edge_table);
  g_test_add_func ("/http/http-edge-and-slow/escapes", test_escapes);
  g_test_add_func ("/http/header-injection", test_header_injection);
  g_test_add_func ("/http/rate-limit-bypass/forwarded", test_forwarded);
  g_test_add_func ("/http/log-and-error-disclosure", test_log);
  return g_test_run ();
}
