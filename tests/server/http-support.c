#include "http-support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The tokens "good" and "other" are users', "admin" an administrator's, "bot" an application
 * service's. */
static CmRequester *
test_token (CmNode *node, CmCall *call, const char *token, CmAuth auth, GError **error)
{
  g_autoptr (CmRequester) requester = g_new0 (CmRequester, 1);

  requester->user_id = g_strdup_printf ("@%s:test", token);
  requester->admin = strcmp (token, "admin") == 0;
  requester->appservice = strcmp (token, "bot") == 0 ? g_strdup ("bot") : NULL;
  if (strcmp (token, "good") == 0 || strcmp (token, "other") == 0 || requester->admin ||
      requester->appservice != NULL)
    return g_steal_pointer (&requester);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_UNKNOWN_TOKEN, "Unknown token");
  return NULL;
}

static CmRequester *
test_federation (CmNode *node, CmCall *call, GError **error)
{
  CmRequester *requester = g_new0 (CmRequester, 1);

  requester->origin = g_strdup ("remote.test");
  return requester;
}

TestEdge *
test_edge_new (guint loops, const CmRoute *routes, const CmRate *rates)
{
  static const CmAuthenticators authenticators = { test_token, test_federation };
  static const guint threads[CM_LANE_LAST] = { 0, 2, 1, 1, 1 };
  const CmListener listener = {
    .name = "test",
    .address = "127.0.0.1",
    .serve = CM_SERVE_CLIENT | CM_SERVE_FEDERATION,
  };
  g_autoptr (GError) error = NULL;
  TestEdge *edge = g_new0 (TestEdge, 1);

  edge->node.lanes = cm_lanes_new (threads);
  edge->node.limits = rates != NULL ? cm_limits_new (TRUE, rates) : NULL;
  edge->node.router = cm_router_new (&edge->node, &authenticators, &routes, 1);
  edge->node.http =
      cm_http_server_new (&edge->node, loops, cm_router_head, cm_router_call, edge->node.router);
  if (!cm_http_server_listen (edge->node.http, &listener, &error))
    g_error ("%s", error->message);
  edge->port = cm_http_server_port (edge->node.http, "test");
  return edge;
}

void
test_edge_free (TestEdge *edge)
{
  if (edge == NULL)
    return;
  cm_http_server_stop (edge->node.http, 1000);
  cm_lanes_free (edge->node.lanes);
  cm_http_server_free (edge->node.http);
  cm_router_free (edge->node.router);
  cm_limits_free (edge->node.limits);
  g_free (edge);
}

void
test_answer_free (TestAnswer *answer)
{
  if (answer == NULL)
    return;
  g_free (answer->head);
  g_free (answer->body);
  g_free (answer);
}

int
test_connect_from (guint host, guint16 port)
{
  struct sockaddr_in own = { .sin_family = AF_INET };
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = g_htons (port) };
  int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  own.sin_addr.s_addr = htonl ((INADDR_LOOPBACK & ~0xffu) + host);
  address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
  if (fd < 0 || bind (fd, (struct sockaddr *) &own, sizeof own) != 0 ||
      connect (fd, (struct sockaddr *) &address, sizeof address) != 0)
    g_error ("cannot connect: %m");
  return fd;
}

int
test_connect (guint16 port)
{
  return test_connect_from (1, port);
}

gboolean
test_send (int fd, const char *text, gsize length)
{
  while (length > 0) {
    gssize sent = send (fd, text, length, MSG_NOSIGNAL);
    if (sent < 0)
      return FALSE;
    text += sent;
    length -= (gsize) sent;
  }
  return TRUE;
}

gboolean
test_print (int fd, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_autofree char *text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  return test_send (fd, text, strlen (text));
}

/* Takes up to @length bytes, and of a head no more than that. 0 at the end or after five seconds.
 */
static gsize
read_some (int fd, char *buffer, gsize length, gboolean head)
{
  struct pollfd wait = { .fd = fd, .events = POLLIN };

  if (poll (&wait, 1, 5000) != 1)
    return 0;
  gssize got = recv (fd, buffer, length, head ? MSG_PEEK : 0);
  if (got <= 0 || !head)
    return (gsize) MAX (got, 0);
  const char *end = memmem (buffer, (gsize) got, "\r\n\r\n", 4);
  got = recv (fd, buffer, end != NULL ? (gsize) (end + 4 - buffer) : (gsize) got, 0);
  return (gsize) MAX (got, 0);
}

static char *
read_head (int fd)
{
  g_autoptr (GString) head = g_string_new (NULL);
  char buffer[2048];

  while (!g_str_has_suffix (head->str, "\r\n\r\n")) {
    gsize got = read_some (fd, buffer, sizeof buffer, TRUE);
    if (got == 0)
      return NULL;
    g_string_append_len (head, buffer, (gssize) got);
  }
  return g_string_free (g_steal_pointer (&head), FALSE);
}

TestAnswer *
test_read (int fd, gboolean without_body)
{
  char *head = read_head (fd);
  const char *length;

  if (head == NULL)
    return NULL;
  TestAnswer *answer = g_new0 (TestAnswer, 1);
  answer->head = head;
  answer->status = (guint) atoi (head + strlen ("HTTP/1.1 "));
  if (answer->status == 100) {
    test_answer_free (answer);
    return test_read (fd, without_body);
  }
  length = strcasestr (head, "\r\nContent-Length: ");
  if (!without_body && length != NULL)
    answer->length = (gsize) atol (length + strlen ("\r\nContent-Length: "));
  answer->body = g_malloc (answer->length + 1);
  for (gsize done = 0, got; done < answer->length; done += got)
    if ((got = read_some (fd, answer->body + done, answer->length - done, FALSE)) == 0)
      g_error ("the answer is cut off after %zu bytes", done);
  answer->body[answer->length] = '\0';
  return answer;
}

TestAnswer *
test_ask (guint16 port, const char *method, const char *target, const char *body)
{
  int fd = test_connect (port);

  test_print (fd, "%s %s HTTP/1.1\r\nHost: test\r\nContent-Length: %zu\r\n\r\n%s", method, target,
              body != NULL ? strlen (body) : 0, body != NULL ? body : "");
  TestAnswer *answer = test_read (fd, strcmp (method, "HEAD") == 0);
  close (fd);
  return answer;
}

gboolean
test_is_closed (int fd, guint timeout_ms)
{
  gint64 until_us = g_get_monotonic_time () + timeout_ms * G_TIME_SPAN_MILLISECOND;
  struct pollfd wait = { .fd = fd, .events = POLLIN };
  char buffer[4096];

  while (g_get_monotonic_time () < until_us)
    if (poll (&wait, 1, 50) == 1 && recv (fd, buffer, sizeof buffer, 0) <= 0)
      return TRUE;
  return FALSE;
}

gboolean
test_wait_for (gint *flag, gint value, guint timeout_ms)
{
  for (guint waited = 0; g_atomic_int_get (flag) != value; waited += 5) {
    if (waited > timeout_ms)
      return FALSE;
    g_usleep (5000);
  }
  return TRUE;
}
