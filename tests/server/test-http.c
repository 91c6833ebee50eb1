#include "http-support.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EDGE  "/_matrix/client/v3/edge"
#define LANE  "/_matrix/client/v3/lane"
#define HOLD  "/_matrix/client/v3/hold"
#define ECHO  "/_matrix/client/v3/echo"
#define HOST  "Host: test\r\n"
#define BEGIN "GET " EDGE " HTTP/1.1\r\n" HOST

/* What is held, for the tests to answer. */
static struct {
  GMutex lock;
  GPtrArray *calls;
  gint n_calls, n_gone;
} held;

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

static void
note_gone (CmCall *call, gpointer data)
{
  g_assert_true (cm_call_is_gone (call));
  g_atomic_int_inc (&held.n_gone);
}

static CmReply *
handle_hold (CmCall *call, GError **error)
{
  g_mutex_lock (&held.lock);
  g_ptr_array_add (held.calls, cm_call_ref (call));
  g_mutex_unlock (&held.lock);
  cm_call_on_gone (call, note_gone, NULL);
  g_atomic_int_inc (&held.n_calls);
  return CM_REPLY_LATER;
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
handle_fail (CmCall *call, GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_DATABASE, "SELECT secret FROM /etc/path");
  return NULL;
}

static const CmRoute routes[] = {
  { "GET", EDGE, CM_AUTH_NONE, 0, CM_LANE_EDGE, CM_BODY_NONE, handle_hello, 0 },
  { "GET", LANE, CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_NONE, handle_hello, 0 },
  { "GET", HOLD, CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_NONE, handle_hold, 0 },
  { "GET", "/_matrix/client/v3/hold_edge", CM_AUTH_NONE, 0, CM_LANE_EDGE, CM_BODY_NONE, handle_hold,
    0 },
  { "POST", ECHO, CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_RAW, handle_echo, 1024 * 1024 },
  { "GET", "/_matrix/client/v3/param/{text}", CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_NONE,
    handle_param, 0 },
  { "GET", "/_matrix/client/v3/headers", CM_AUTH_NONE, 0, CM_LANE_EDGE, CM_BODY_NONE,
    handle_headers, 0 },
  { "GET", "/_matrix/client/v3/fail", CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_NONE, handle_fail,
    0 },
  { "GET", "/plain", CM_AUTH_NONE, 0, CM_LANE_EDGE, CM_BODY_NONE, handle_hello, 0 },
  CM_ROUTES_END,
};

static TestEdge *
edge_new (guint loops)
{
  g_clear_pointer (&held.calls, g_ptr_array_unref);
  held.calls = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_call_unref);
  held.n_calls = held.n_gone = 0;
  return test_edge_new (loops, routes, NULL);
}

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
  g_autoptr (TestEdge) edge = edge_new (2);
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
  g_autoptr (TestEdge) edge = edge_new (1);

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
  g_autoptr (TestEdge) edge = edge_new (1);
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
  g_autoptr (TestEdge) edge = edge_new (1);
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
  g_autoptr (TestEdge) edge = edge_new (1);

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
  g_autoptr (TestEdge) edge = edge_new (1);

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
  g_autoptr (TestEdge) edge = edge_new (1);
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
  g_autoptr (TestEdge) edge = edge_new (1);

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (TestAnswer) answer = test_ask (edge->port, "GET", bad[i], NULL);
    g_assert_cmpuint (answer->status, ==, 400);
    g_assert_nonnull (strstr (answer->body, "M_INVALID_PARAM"));
  }
  g_autoptr (TestAnswer) good =
      test_ask (edge->port, "GET", "/_matrix/client/v3/param/a%2Fb+%C3%A4", NULL);
  g_assert_cmpstr (good->body, ==, "a/b+\xc3\xa4");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/http/answers", test_answers);
  g_test_add_func ("/http/cors", test_cors);
  g_test_add_func ("/http/keep-alive", test_keep_alive);
  g_test_add_func ("/http/expect-continue", test_expect_continue);
  g_test_add_func ("/http/request-smuggling/CVE-2026-1760", test_smuggling);
  g_test_add_func ("/http/host-confusion/CVE-2025-14523", test_host_confusion);
  g_test_add_func ("/http/http-edge-and-slow/table", test_edge_table);
  g_test_add_func ("/http/http-edge-and-slow/escapes", test_escapes);
  if (g_getenv ("BENCH")) {
    TestEdge *edge = test_edge_new (atoi (g_getenv ("BENCH")), routes, NULL);
    g_print ("port %u\n", edge->port);
    pause ();
  }
  return g_test_run ();
}
