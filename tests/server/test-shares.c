/* What one client may take of the edge: connections, and answers that he does not read. */
#include "http-support.h"

#include "server/config/config.h"

#include <gio/gio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define V3    "/_matrix/client/v3/"
#define MIB   ((gsize) 1024 * 1024)
#define FILES 600
#define SHARE ((FILES - 256) / 4)

/* So many MiB of memory. */
static CmReply *
handle_big (CmCall *call, GError **error)
{
  gsize length = g_ascii_strtoull (cm_call_param (call, "size"), NULL, 10) * MIB;

  return cm_reply_new (200, "text/plain", g_bytes_new_take (g_malloc0 (length), length));
}

static CmReply *
handle_small (CmCall *call, GError **error)
{
  return cm_reply_empty ();
}

/* What is held, for the test to let go. */
static struct {
  GMutex lock;
  GPtrArray *calls;
  gint n_calls;
} held;

static CmReply *
handle_hold (CmCall *call, GError **error)
{
  g_mutex_lock (&held.lock);
  g_ptr_array_add (held.calls, cm_call_ref (call));
  g_mutex_unlock (&held.lock);
  g_atomic_int_inc (&held.n_calls);
  return CM_REPLY_LATER;
}

#define LANE CM_LIMIT_NONE, CM_LANE_CLIENT, CM_BODY_NONE

static const CmRoute routes[] = {
  { "GET", V3 "big/{size}", CM_AUTH_TOKEN_OPTIONAL, LANE, handle_big, 0 },
  { "GET", "/_matrix/federation/v1/big/{size}", CM_AUTH_FEDERATION, LANE, handle_big, 0 },
  { "POST", V3 "hold", CM_AUTH_NONE, CM_LIMIT_NONE, CM_LANE_CLIENT, CM_BODY_RAW, handle_hold,
    64 * MIB },
  { "GET", V3 "small", CM_AUTH_NONE, LANE, handle_small, 0 },
  CM_ROUTES_END,
};

static TestEdge *
edge_new (void)
{
  return test_edge_new (2, routes, NULL);
}

/* Asks, and reads of the answer no more than its status. */
static int
begin (TestEdge *edge, guint host, const char *target, const char *authorization, guint *status)
{
  int fd = test_connect_from (host, edge->port);
  char line[13] = "";

  test_print (fd, "GET %s HTTP/1.1\r\nHost: test\r\n%s%s%s\r\n", target,
              authorization != NULL ? "Authorization: " : "",
              authorization != NULL ? authorization : "", authorization != NULL ? "\r\n" : "");
  g_assert_cmpint (recv (fd, line, sizeof line - 1, MSG_WAITALL | MSG_PEEK), ==, sizeof line - 1);
  *status = (guint) g_ascii_strtoull (line + strlen ("HTTP/1.1 "), NULL, 10);
  return fd;
}

typedef struct {
  guint host;
  const char *target, *authorization;
  guint status;
} Reading;

static void
begin_all (TestEdge *edge, const Reading *table, guint n, int *fds)
{
  for (guint i = 0; i < n; i++) {
    guint status;
    fds[i] = begin (edge, table[i].host, table[i].target, table[i].authorization, &status);
    g_test_message ("%u: %s", i, table[i].target);
    g_assert_cmpuint (status, ==, table[i].status);
  }
}

/* class slow-reader-memory: what waits to be read is held by who asked for it, a user or else an
 * address, up to a share. */
static void
test_answers (void)
{
#define FEDERATION "/_matrix/federation/v1/big/"
  static const Reading table[] = {
    { 1, V3 "big/30", NULL, 200 },
    { 1, V3 "big/30", NULL, 200 },
    { 1, V3 "big/30", NULL, 429 },
    /* Whatever name a server has. */
    { 1, FEDERATION "30", "X-Matrix origin=remote.test", 429 },
    { 2, FEDERATION "30", "X-Matrix origin=remote.test", 200 },
    /* Users behind one address are in nobody's way but their own. */
    { 1, V3 "big/60", "Bearer good", 200 },
    { 3, V3 "big/30", "Bearer good", 429 },
    { 1, V3 "big/30", "Bearer other", 200 },
    { 1, V3 "small", NULL, 200 },
    { 1, V3 "big/0", NULL, 200 },
  };
  g_autoptr (TestEdge) edge = edge_new ();
  int fds[G_N_ELEMENTS (table)];

  begin_all (edge, table, G_N_ELEMENTS (table), fds);
  g_autoptr (TestAnswer) refused = test_read (fds[2], FALSE);
  g_assert_nonnull (strstr (refused->body, "M_LIMIT_EXCEEDED"));
  g_assert_nonnull (strstr (refused->body, "retry_after_ms"));
  g_assert_nonnull (strstr (refused->head, "\r\nRetry-After: "));
  /* That connection goes on. Who has read may ask again, and so may who hung up. */
  g_autoptr (TestAnswer) first = test_read (fds[0], FALSE);
  g_assert_cmpuint (first->length, ==, 30 * MIB);
  close (fds[1]);
  guint status = 429;
  for (guint turn = 0; turn < 100 && status != 200; turn++) {
    g_usleep (20000);
    test_print (fds[2], "GET " V3 "big/60 HTTP/1.1\r\nHost: test\r\n\r\n");
    g_autoptr (TestAnswer) answer = test_read (fds[2], FALSE);
    status = answer->status;
  }
  g_assert_cmpuint (status, ==, 200);
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    if (i != 1)
      close (fds[i]);
}

/* The state of the largest rooms is larger than a share. */
static void
test_answer_beyond_share (void)
{
  static const Reading table[] = {
    { 1, V3 "big/100", NULL, 200 },
    { 1, V3 "big/20", NULL, 429 },
    { 2, V3 "big/20", NULL, 200 },
    { 2, V3 "big/100", NULL, 429 },
  };
  g_autoptr (TestEdge) edge = edge_new ();
  int fds[G_N_ELEMENTS (table)];

  begin_all (edge, table, G_N_ELEMENTS (table), fds);
  g_autoptr (TestAnswer) answer = test_read (fds[0], FALSE);
  g_assert_cmpuint (answer->length, ==, 100 * MIB);
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    close (fds[i]);
}

/* All hosts together. */
static void
test_all_answers (void)
{
  g_autoptr (TestEdge) edge = edge_new ();
  int fds[9];
  guint status;

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    fds[i] = begin (edge, 1 + i, V3 "big/64", NULL, &status);
    g_assert_cmpuint (status, ==, i < 8 ? 200 : 429);
  }
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
}

/* class slow-reader-memory: nor is who reads nothing at all waited for. */
static void
test_silence (void)
{
  g_autoptr (TestEdge) edge = edge_new ();
  const CmListener listener = { .name = "brisk", .address = "127.0.0.1", .serve = CM_SERVE_CLIENT };
  guint status;

  cm_http_server_set_patience (edge->node.http, 5000, 500);
  g_assert_true (cm_http_server_listen (edge->node.http, &listener, NULL));
  edge->port = cm_http_server_port (edge->node.http, "brisk");
  int silent = begin (edge, 1, V3 "big/60", NULL, &status);
  g_assert_cmpuint (status, ==, 200);
  for (guint turn = 0; turn < 100; turn++) {
    int fd = begin (edge, 1, V3 "big/20", NULL, &status);
    close (fd);
    if (status == 200)
      break;
    g_usleep (100000);
  }
  g_assert_cmpuint (status, ==, 200);
  close (silent);
}

static void
upload (TestEdge *edge, gsize length, int *fd)
{
  g_autofree char *body = g_malloc0 (length);

  *fd = test_connect (edge->port);
  test_print (*fd, "POST " V3 "hold HTTP/1.1\r\nHost: test\r\nContent-Length: %zu\r\n\r\n", length);
  test_send (*fd, body, length);
}

/* class fed-body-memory: bodies count as long as they are held, and not only as long as their
 * clients wait. */
static void
test_left_bodies (void)
{
  g_autoptr (TestEdge) edge = edge_new ();
  int fd;

  held.calls = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_call_unref);
  for (gint i = 0; i < 3; i++) {
    upload (edge, 40 * MIB, &fd);
    g_assert_true (test_wait_for (&held.n_calls, i + 1, 5000));
    close (fd);
    for (guint turn = 0; turn < 500 && !cm_call_is_gone (held.calls->pdata[i]); turn++)
      g_usleep (10000);
    g_assert_true (cm_call_is_gone (held.calls->pdata[i]));
  }
  g_usleep (100000);
  upload (edge, 40 * MIB, &fd);
  g_autoptr (TestAnswer) refused = test_read (fd, FALSE);
  g_assert_cmpuint (refused->status, ==, 503);
  close (fd);
  g_ptr_array_set_size (held.calls, 0);
  upload (edge, 40 * MIB, &fd);
  g_assert_true (test_wait_for (&held.n_calls, 4, 5000));
  close (fd);
  g_ptr_array_unref (held.calls);
}

static gboolean
is_served (int fd)
{
  g_autoptr (TestAnswer) answer = NULL;

  if (test_print (fd, "GET " V3 "small HTTP/1.1\r\nHost: test\r\n\r\n"))
    answer = test_read (fd, FALSE);
  return answer != NULL && answer->status == 200;
}

/* An edge that has 344 connections to give. */
static TestEdge *
small_edge_new (void)
{
  struct rlimit usual, few;

  getrlimit (RLIMIT_NOFILE, &usual);
  few = usual;
  few.rlim_cur = FILES;
  setrlimit (RLIMIT_NOFILE, &few);
  TestEdge *edge = edge_new ();
  setrlimit (RLIMIT_NOFILE, &usual);
  return edge;
}

/* class http-edge-and-slow: one host cannot take every connection. */
static void
test_connections (void)
{
  g_autoptr (TestEdge) edge = small_edge_new ();
  int fds[SHARE + 20];
  guint served = 0;

  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    fds[i] = test_connect (edge->port);
    served += is_served (fds[i]);
  }
  g_assert_cmpuint (served, ==, SHARE);
  int other = test_connect_from (2, edge->port);
  g_assert_true (is_served (other));
  close (other);
  /* Who closes one may have another. */
  close (fds[0]);
  gboolean again = FALSE;
  for (guint turn = 0; turn < 100 && !again; turn++) {
    g_usleep (20000);
    fds[0] = test_connect (edge->port);
    again = is_served (fds[0]);
    if (!again)
      close (fds[0]);
  }
  g_assert_true (again);
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
}

/* A trusted proxy stands for all its clients. */
static void
test_proxy (void)
{
  g_autoptr (TestEdge) edge = small_edge_new ();
  g_autoptr (GPtrArray) ranges = g_ptr_array_new_with_free_func (g_object_unref);
  const CmListener listener = { .name = "proxied",
                                .address = "127.0.0.1",
                                .serve = CM_SERVE_CLIENT };
  int fds[SHARE + 20];

  g_ptr_array_add (ranges, g_inet_address_mask_new_from_string ("127.0.0.1", NULL));
  cm_http_server_trust (edge->node.http, ranges);
  g_assert_true (cm_http_server_listen (edge->node.http, &listener, NULL));
  guint16 port = cm_http_server_port (edge->node.http, "proxied");
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++) {
    fds[i] = test_connect (port);
    g_assert_true (is_served (fds[i]));
  }
  for (guint i = 0; i < G_N_ELEMENTS (fds); i++)
    close (fds[i]);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/shares/slow-reader-memory/answers", test_answers);
  g_test_add_func ("/shares/slow-reader-memory/beyond-share", test_answer_beyond_share);
  g_test_add_func ("/shares/slow-reader-memory/all", test_all_answers);
  g_test_add_func ("/shares/slow-reader-memory/silence", test_silence);
  g_test_add_func ("/shares/fed-body-memory", test_left_bodies);
  g_test_add_func ("/shares/http-edge-and-slow/connections", test_connections);
  g_test_add_func ("/shares/proxy", test_proxy);
  return g_test_run ();
}
