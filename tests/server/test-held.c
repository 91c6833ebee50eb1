/* The edge over time: held calls, many at once, slow ones, large ones, its end. */
#include "http-support.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOLD      "/_matrix/client/v3/hold"
#define HOLD_EDGE "/_matrix/client/v3/hold_edge"
#define UPLOAD    "/_matrix/client/v3/upload"
#define LIMIT     (1024 * 1024)
#define MIB       (1024 * 1024)

typedef struct {
  TestEdge *edge;
  GMutex lock;
  GPtrArray *calls;
  gint n_calls, n_gone;
} Fixture;

/* The handlers know nothing but the call, so the node stands first in the fixture's edge, and this
 * leads to the fixture. */
static Fixture *fixture;

static void
note_gone (CmCall *call, gpointer data)
{
  g_assert_true (cm_call_is_gone (call));
  g_atomic_int_inc (&((Fixture *) data)->n_gone);
}

static CmReply *
handle_hold (CmCall *call, GError **error)
{
  g_mutex_lock (&fixture->lock);
  g_ptr_array_add (fixture->calls, cm_call_ref (call));
  g_mutex_unlock (&fixture->lock);
  cm_call_on_gone (call, note_gone, fixture);
  g_atomic_int_inc (&fixture->n_calls);
  return CM_REPLY_LATER;
}

static CmReply *
handle_param (CmCall *call, GError **error)
{
  const char *text = cm_call_param (call, "text");

  return cm_reply_new (200, "text/plain", g_bytes_new (text, strlen (text)));
}

static CmReply *
handle_length (CmCall *call, GError **error)
{
  gsize length = cm_call_body (call) != NULL ? g_bytes_get_size (cm_call_body (call)) : 0;
  char *text = g_strdup_printf ("%zu", length);

  return cm_reply_new (200, "text/plain", g_bytes_new_take (text, strlen (text)));
}

static const CmRoute routes[] = {
  { "GET", HOLD, CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_NONE, handle_hold, 0 },
  { "GET", HOLD_EDGE, CM_AUTH_NONE, 0, CM_LANE_EDGE, CM_BODY_NONE, handle_hold, 0 },
  { "GET", "/_matrix/client/v3/lane/{text}", CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_NONE,
    handle_param, 0 },
  { "GET", "/_matrix/client/v3/edge/{text}", CM_AUTH_NONE, 0, CM_LANE_EDGE, CM_BODY_NONE,
    handle_param, 0 },
  { "POST", UPLOAD, CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_RAW, handle_length, LIMIT },
  CM_ROUTES_END,
};

static void
set_up (Fixture *f, gconstpointer data)
{
  fixture = f;
  g_mutex_init (&f->lock);
  f->calls = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_call_unref);
  f->edge = test_edge_new (2, routes, NULL);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  test_edge_free (f->edge);
  g_ptr_array_unref (f->calls);
  g_mutex_clear (&f->lock);
}

static int
hold_from (Fixture *f, guint host, const char *target)
{
  int fd = test_connect_from (host, f->edge->port);

  test_print (fd, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", target);
  return fd;
}

static int
hold (Fixture *f, const char *target)
{
  return hold_from (f, 1, target);
}

static void
test_many_held (Fixture *f, gconstpointer data)
{
  enum { N = 2000 };
  int fds[N];

  for (guint i = 0; i < N; i++)
    fds[i] = hold_from (f, 1 + i % 8, i % 2 ? HOLD : HOLD_EDGE);
  g_assert_true (test_wait_for (&f->n_calls, N, 10000));
  /* They are in nobody's way. */
  g_autoptr (TestAnswer) other = test_ask (f->edge->port, "GET", "/_matrix/client/v3/lane/x", NULL);
  g_assert_cmpstr (other->body, ==, "x");
  for (guint i = 0; i < N; i++)
    cm_call_reply (g_ptr_array_index (f->calls, i), cm_reply_empty ());
  for (guint i = 0; i < N; i++) {
    g_autoptr (TestAnswer) answer = test_read (fds[i], FALSE);
    g_assert_nonnull (answer);
    g_assert_cmpstr (answer->body, ==, "{}");
    close (fds[i]);
  }
  g_assert_cmpint (f->n_gone, ==, 0);
}

static void
test_hang_up (Fixture *f, gconstpointer data)
{
  static const char *const targets[] = { HOLD, HOLD_EDGE };
  struct linger reset = { 1, 0 };

  for (guint i = 0; i < 4; i++) {
    int fd = hold (f, targets[i % 2]);
    g_assert_true (test_wait_for (&f->n_calls, (gint) i + 1, 5000));
    g_assert_cmpint (f->n_gone, ==, (gint) i);
    if (i >= 2) /* not only with FIN but with RST */
      setsockopt (fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close (fd);
    g_assert_true (test_wait_for (&f->n_gone, (gint) i + 1, 2000));
    CmCall *call = g_ptr_array_index (f->calls, i);
    g_assert_true (cm_call_is_gone (call));
    /* Too late, but no mistake; and who asks only now hears it too. */
    cm_call_reply (call, cm_reply_empty ());
  }
}

static void
test_gone_before_asking (Fixture *f, gconstpointer data)
{
  int fd = hold (f, HOLD);

  g_assert_true (test_wait_for (&f->n_calls, 1, 5000));
  close (fd);
  g_assert_true (test_wait_for (&f->n_gone, 1, 2000));
  cm_call_on_gone (g_ptr_array_index (f->calls, 0), note_gone, f);
  g_assert_true (test_wait_for (&f->n_gone, 2, 2000));
}

static void
test_answered_twice (Fixture *f, gconstpointer data)
{
  int fd = hold (f, HOLD);

  g_assert_true (test_wait_for (&f->n_calls, 1, 5000));
  CmCall *call = g_ptr_array_index (f->calls, 0);
  cm_call_reply (call, cm_reply_empty ());
  g_test_expect_message ("comity", G_LOG_LEVEL_WARNING, "*answered twice");
  cm_call_reply (call, cm_reply_new (500, NULL, NULL));
  g_test_assert_expected_messages ();
  g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
  g_assert_cmpuint (answer->status, ==, 200);
  close (fd);
}

/* What was accepted before the end is answered when whoever holds it lets go. */
static gpointer
answer_when_gone (gpointer data)
{
  Fixture *f = data;

  test_wait_for (&f->n_gone, 1, 5000);
  cm_call_reply (g_ptr_array_index (f->calls, 0), cm_reply_empty ());
  return NULL;
}

static void
test_stop_tells (Fixture *f, gconstpointer data)
{
  int fd = hold (f, HOLD);

  g_assert_true (test_wait_for (&f->n_calls, 1, 5000));
  GThread *thread = g_thread_new ("answer", answer_when_gone, f);
  cm_http_server_stop (f->edge->node.http, 5000);
  g_thread_join (thread);
  g_assert_cmpint (f->n_gone, ==, 1);
  g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
  g_assert_nonnull (answer);
  g_assert_cmpstr (answer->body, ==, "{}");
  g_assert_true (test_is_closed (fd, 1000));
  close (fd);
}

static void
test_stop_ends (Fixture *f, gconstpointer data)
{
  int fd = hold (f, HOLD);
  int idle = test_connect (f->edge->port);
  gint64 begin_us = g_get_monotonic_time ();

  g_assert_true (test_wait_for (&f->n_calls, 1, 5000));
  cm_http_server_stop (f->edge->node.http, 200);
  g_assert_cmpint (g_get_monotonic_time () - begin_us, <, 3 * G_TIME_SPAN_SECOND);
  g_assert_true (test_is_closed (fd, 1000));
  g_assert_true (test_is_closed (idle, 1000));
  cm_call_reply (g_ptr_array_index (f->calls, 0), cm_reply_empty ());
  close (fd);
  close (idle);
}

static gpointer
ask_often (gpointer data)
{
  guint16 port = (guint16) GPOINTER_TO_UINT (data);
  int fd = test_connect (port);

  for (guint i = 0; i < 200; i++) {
    g_autofree char *text = g_strdup_printf ("%p-%u", g_thread_self (), i);
    test_print (fd, "GET /_matrix/client/v3/%s/%s HTTP/1.1\r\nHost: test\r\n\r\n",
                i % 3 ? "lane" : "edge", text);
    g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
    g_assert_nonnull (answer);
    g_assert_cmpstr (answer->body, ==, text);
  }
  close (fd);
  return NULL;
}

static void
test_parallel (Fixture *f, gconstpointer data)
{
  GThread *threads[50];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("ask", ask_often, GUINT_TO_POINTER ((guint) f->edge->port));
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

static glong
memory_kib (void)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/* CVE-2024-52805: 300 MB in chunks, without a token: refused within a few MB, and not held in
 * memory. */
static void
test_endless_chunks (Fixture *f, gconstpointer data)
{
  g_autofree char *chunk = g_malloc (64 * 1024 + 16);
  int fd = test_connect (f->edge->port);
  glong before_kib = memory_kib ();
  gsize sent = 0;

  gsize length = (gsize) g_snprintf (chunk, 16, "10000\r\n");
  memset (chunk + length, 'a', 64 * 1024);
  memcpy (chunk + length + 64 * 1024, "\r\n", 2);
  test_print (fd, "POST %s HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n", UPLOAD);
  while (sent < 300 * MIB && test_send (fd, chunk, length + 64 * 1024 + 2))
    sent += 64 * 1024;
  g_assert_cmpuint (sent, <, 20 * MIB);
  g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
  g_assert_nonnull (answer);
  g_assert_cmpuint (answer->status, ==, 413);
  g_assert_nonnull (strstr (answer->body, "M_TOO_LARGE"));
  g_assert_nonnull (strstr (answer->head, "Access-Control-Allow-Origin: *\r\n"));
  g_assert_cmpint (memory_kib () - before_kib, <, 16 * 1024);
  close (fd);
}

static void
test_body_sizes (Fixture *f, gconstpointer data)
{
  static const struct {
    gsize length;
    guint status;
  } table[] = {
    { 0, 200 }, { 1, 200 }, { 20000, 200 }, { LIMIT, 200 }, { LIMIT + 1, 413 }, { 200 * MIB, 413 },
  };
  g_autofree char *body = g_strnfill (LIMIT + 1, 'a');

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    int fd = test_connect (f->edge->port);
    test_print (fd,
                "POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: multipart/form-data\r\n"
                "Content-Length: %zu\r\n\r\n",
                UPLOAD, table[i].length);
    test_send (fd, body, MIN (table[i].length, LIMIT + 1));
    g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
    g_assert_nonnull (answer);
    g_assert_cmpuint (answer->status, ==, table[i].status);
    if (answer->status == 200)
      g_assert_cmpuint (g_ascii_strtoull (answer->body, NULL, 10), ==, table[i].length);
    else
      g_assert_true (test_is_closed (fd, 1000));
    close (fd);
  }
}

/* CVE-2024-52805: a body that would swell is refused by its coding. */
static void
test_coded_body (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *coding;
    guint status;
  } table[] = { { "gzip", 415 }, { "br", 415 }, { "deflate, gzip", 415 }, { "Identity", 200 } };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    int fd = test_connect (f->edge->port);
    test_print (fd,
                "POST %s HTTP/1.1\r\nHost: test\r\nContent-Encoding: %s\r\n"
                "Content-Length: 4\r\n\r\n\x1f\x8b\x08\x02",
                UPLOAD, table[i].coding);
    g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
    g_assert_cmpuint (answer->status, ==, table[i].status);
    close (fd);
  }
}

/* class http-edge-and-slow: connections do not take the descriptors that the database and other
 * servers are reached with, however many listeners and loops share them. */
static void
test_too_many (void)
{
  enum { FILES = 600, MOST = FILES - 256, TRIED = MOST + 40 };
  struct rlimit usual, few;
  Fixture f = { 0 };
  int fds[TRIED];
  guint answered = 0;

  getrlimit (RLIMIT_NOFILE, &usual);
  few = usual;
  few.rlim_cur = FILES;
  setrlimit (RLIMIT_NOFILE, &few);
  set_up (&f, NULL);
  const CmListener listener = { .name = "more", .address = "127.0.0.1", .serve = CM_SERVE_CLIENT };
  g_assert_true (cm_http_server_listen (f.edge->node.http, &listener, NULL));
  setrlimit (RLIMIT_NOFILE, &usual);

  guint16 ports[] = { f.edge->port, cm_http_server_port (f.edge->node.http, "more") };
  for (guint i = 0; i < TRIED; i++) {
    fds[i] = test_connect_from (1 + i % 8, ports[i % 2]);
    g_autoptr (TestAnswer) answer = NULL;
    if (test_print (fds[i], "GET /_matrix/client/v3/edge/x HTTP/1.1\r\nHost: test\r\n\r\n"))
      answer = test_read (fds[i], FALSE);
    answered += answer != NULL && answer->status == 200;
  }
  g_assert_cmpuint (answered, ==, MOST);
  close (fds[0]);
  gboolean again = FALSE;
  for (guint turn = 0; turn < 100 && !again; turn++) {
    g_usleep (20000);
    int fd = test_connect (ports[0]);
    g_autoptr (TestAnswer) answer = NULL;
    if (test_print (fd, "GET /_matrix/client/v3/edge/x HTTP/1.1\r\nHost: test\r\n\r\n"))
      answer = test_read (fd, FALSE);
    again = answer != NULL;
    close (fd);
  }
  g_assert_true (again);
  for (guint i = 1; i < TRIED; i++)
    close (fds[i]);
  tear_down (&f, NULL);
}

/* class http-edge-and-slow: who dawdles over a head or a body is cut off though each byte comes in
 * time; who is held is not. */
static void
test_slow (void)
{
  static const char *const begins[] = {
    "",
    "GET ",
    "GET /_matrix/client/v3/edge/x HTTP/1.1\r\nHost: test\r\n",
    "POST " UPLOAD " HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n",
    "POST " UPLOAD " HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n",
  };
  Fixture f = { 0 };
  int fds[G_N_ELEMENTS (begins)];
  gboolean closed[G_N_ELEMENTS (begins)] = { FALSE };

  set_up (&f, NULL);
  cm_http_server_set_patience (f.edge->node.http, 600, 600);
  const CmListener listener = { .name = "slow", .address = "127.0.0.1", .serve = CM_SERVE_CLIENT };
  g_assert_true (cm_http_server_listen (f.edge->node.http, &listener, NULL));
  guint16 usual = f.edge->port;
  f.edge->port = cm_http_server_port (f.edge->node.http, "slow");

  int held = hold (&f, HOLD);
  for (guint i = 0; i < G_N_ELEMENTS (begins); i++) {
    fds[i] = test_connect (f.edge->port);
    test_print (fds[i], "%s", begins[i]);
  }
  for (guint turn = 0; turn < 30; turn++)
    for (guint i = 0; i < G_N_ELEMENTS (begins); i++)
      closed[i] = closed[i] || !test_print (fds[i], "a") || test_is_closed (fds[i], 20);
  for (guint i = 0; i < G_N_ELEMENTS (begins); i++) {
    g_assert_true (closed[i]);
    close (fds[i]);
  }
  cm_call_reply (g_ptr_array_index (f.calls, 0), cm_reply_empty ());
  g_autoptr (TestAnswer) answer = test_read (held, FALSE);
  g_assert_cmpuint (answer->status, ==, 200);
  close (held);
  f.edge->port = usual;
  tear_down (&f, NULL);
}

static gboolean
count (gpointer data)
{
  return g_atomic_int_add ((gint *) data, 1) < 2 ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void
test_timers (Fixture *f, gconstpointer data)
{
  gint ran = 0, never = 0;
  CmTimer *timer = cm_http_server_timer (f->edge->node.http, 30, count, &ran);
  CmTimer *cancelled = cm_http_server_timer (f->edge->node.http, 30, count, &never);

  g_assert_true (cm_timer_cancel (cancelled));
  g_assert_true (test_wait_for (&ran, 3, 5000));
  g_usleep (100000);
  g_assert_cmpint (g_atomic_int_get (&ran), ==, 3);
  g_assert_cmpint (g_atomic_int_get (&never), ==, 0);
  g_assert_false (cm_timer_cancel (timer));
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  struct rlimit limit;

  g_test_init (&argc, &argv, NULL);
  /* Both ends of each connection are ours. */
  getrlimit (RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit (RLIMIT_NOFILE, &limit);
  ADD ("/held/many", test_many_held);
  ADD ("/held/hang-up", test_hang_up);
  ADD ("/held/gone-before-asking", test_gone_before_asking);
  ADD ("/held/answered-twice", test_answered_twice);
  ADD ("/held/stop-tells", test_stop_tells);
  ADD ("/held/stop-ends", test_stop_ends);
  ADD ("/held/parallel", test_parallel);
  ADD ("/held/inbound-body-size/CVE-2024-52805/chunks", test_endless_chunks);
  ADD ("/held/inbound-body-size/CVE-2024-52805/lengths", test_body_sizes);
  ADD ("/held/inbound-body-size/CVE-2024-52805/coded", test_coded_body);
  g_test_add_func ("/held/http-edge-and-slow/slow", test_slow);
  g_test_add_func ("/held/http-edge-and-slow/too-many", test_too_many);
  ADD ("/held/timers", test_timers);
  return g_test_run ();
}
