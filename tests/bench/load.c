/* A load generator: one thread, one epoll, keep-alive connections, so that what is measured is the
 * server.
 *
 *   load send    HOST PORT SECONDS < plan    each line "TOKEN ROOM" is one connection that sends
 * one message after the other load deliver HOST PORT ROUNDS  < plan    the first line "TOKEN ROOM"
 * sends ROUNDS messages; each further "TOKEN SINCE" follows /sync
 *
 * Prints one JSON object with counts and latencies in milliseconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
  int fd;
  char *token;
  char *rest; /* the room, or the sync token */
  GString *answer;
  gint64 began_us; /* when the present request was sent */
  gboolean busy;
} Connection;

typedef struct {
  int epoll;
  struct sockaddr_in address;
  GPtrArray *connections;
  GArray *latencies; /* of double, ms */
  guint64 errors;
  guint64 counter;
} Load;

static void
die (const char *what)
{
  perror (what);
  exit (1);
}

static Connection *
connection_new (Load *load, const char *token, const char *rest)
{
  Connection *connection = g_new0 (Connection, 1);
  connection->fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect (connection->fd, (struct sockaddr *) &load->address, sizeof load->address) != 0)
    die ("connect");
  setsockopt (connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof (int));
  connection->token = g_strdup (token);
  connection->rest = g_strdup (rest);
  connection->answer = g_string_new (NULL);
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
  if (epoll_ctl (load->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
    die ("epoll_ctl");
  g_ptr_array_add (load->connections, connection);
  return connection;
}

static void
transmit (Connection *connection, const char *request)
{
  g_string_truncate (connection->answer, 0);
  connection->began_us = g_get_monotonic_time ();
  connection->busy = TRUE;
  gsize length = strlen (request);
  while (length > 0) {
    ssize_t n = write (connection->fd, request, length);
    if (n < 0 && errno != EINTR)
      die ("write");
    if (n > 0) {
      request += n;
      length -= (gsize) n;
    }
  }
}

static void
send_message (Load *load, Connection *connection)
{
  static const char body[] = "{\"msgtype\":\"m.text\",\"body\":\"The quick brown fox jumps over "
                             "the lazy dog, again and again.\"}";
  g_autofree char *request = g_strdup_printf (
      "PUT /_matrix/client/v3/rooms/%s/send/m.room.message/load%d.%" G_GUINT64_FORMAT
      " HTTP/1.1\r\nHost: load\r\n"
      "Authorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
      connection->rest, (int) getpid (), ++load->counter, connection->token, sizeof body - 1, body);
  transmit (connection, request);
}

static void
follow (Connection *connection)
{
  g_autofree char *request = g_strdup_printf (
      "GET /_matrix/client/v3/sync?timeout=60000&since=%s HTTP/1.1\r\nHost: load\r\n"
      "Authorization: Bearer %s\r\n\r\n",
      connection->rest, connection->token);
  transmit (connection, request);
}

/* TRUE when the whole answer is here; @status gets its status, @body where its body starts. */
static gboolean
receive (Connection *connection, unsigned *status, const char **body)
{
  char buffer[65536];
  ssize_t n = read (connection->fd, buffer, sizeof buffer);
  if (n <= 0) {
    fprintf (stderr, "the server closed a connection\n");
    exit (1);
  }
  g_string_append_len (connection->answer, buffer, n);
  const char *end = strstr (connection->answer->str, "\r\n\r\n");
  if (end == NULL)
    return FALSE;
  const char *length = strcasestr (connection->answer->str, "\r\nContent-Length:");
  if (length == NULL || length > end) {
    fprintf (stderr, "an answer without Content-Length\n");
    exit (1);
  }
  gsize whole = (gsize) (end + 4 - connection->answer->str) + strtoull (length + 17, NULL, 10);
  if (connection->answer->len < whole)
    return FALSE;
  *status = (unsigned) strtoul (connection->answer->str + 9, NULL, 10);
  *body = end + 4;
  connection->busy = FALSE;
  return TRUE;
}

static void
note (Load *load, gint64 began_us)
{
  double ms = (double) (g_get_monotonic_time () - began_us) / 1000;
  g_array_append_val (load->latencies, ms);
}

static int
by_value (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

static double
percentile (const Load *load, double share)
{
  if (load->latencies->len == 0)
    return 0;
  guint index = (guint) (share * (load->latencies->len - 1));
  return g_array_index (load->latencies, double, index);
}

static void
print_result (Load *load, double seconds)
{
  g_array_sort (load->latencies, by_value);
  printf ("{\"count\": %u, \"errors\": %" G_GUINT64_FORMAT
          ", \"seconds\": %.3f, \"per_second\": %.0f, \"p50_ms\": %.2f, "
          "\"p95_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f}\n",
          load->latencies->len, load->errors, seconds, load->latencies->len / seconds,
          percentile (load, 0.5), percentile (load, 0.95), percentile (load, 0.99),
          percentile (load, 1));
}

static void
run_send (Load *load, double seconds)
{
  gint64 began = g_get_monotonic_time (), end = began + (gint64) (seconds * G_USEC_PER_SEC);
  for (guint i = 0; i < load->connections->len; i++)
    send_message (load, g_ptr_array_index (load->connections, i));

  guint busy = load->connections->len;
  while (busy > 0) {
    struct epoll_event events[64];
    int n = epoll_wait (load->epoll, events, G_N_ELEMENTS (events), 10000);
    if (n == 0)
      die ("no answer within ten seconds");
    for (int i = 0; i < n; i++) {
      Connection *connection = events[i].data.ptr;
      unsigned status;
      const char *body;
      if (!receive (connection, &status, &body))
        continue;
      if (status == 200)
        note (load, connection->began_us);
      else if (load->errors++ == 0)
        fprintf (stderr, "%s\n", connection->answer->str);
      if (g_get_monotonic_time () < end)
        send_message (load, connection);
      else
        busy--;
    }
  }
  print_result (load, (double) (g_get_monotonic_time () - began) / G_USEC_PER_SEC);
}

static char *
next_batch (const char *body)
{
  const char *at = strstr (body, "\"next_batch\":\"");
  if (at == NULL)
    return NULL;
  at += strlen ("\"next_batch\":\"");
  return g_strndup (at, strcspn (at, "\""));
}

/* One message, then every follower's answer that holds it. */
static void
deliver_once (Load *load, Connection *sender)
{
  guint waiting = load->connections->len - 1;
  g_autofree char *mark =
      g_strdup_printf ("round-%" G_GUINT64_FORMAT "-%d", ++load->counter, (int) getpid ());
  g_autofree char *body = g_strdup_printf ("{\"msgtype\":\"m.text\",\"body\":\"%s\"}", mark);
  g_autofree char *request =
      g_strdup_printf ("PUT /_matrix/client/v3/rooms/%s/send/m.room.message/%s HTTP/1.1\r\nHost: "
                       "load\r\nAuthorization: Bearer %s\r\n"
                       "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                       sender->rest, mark, sender->token, strlen (body), body);
  transmit (sender, request);
  gint64 began = sender->began_us;
  while (waiting > 0 || sender->busy) {
    struct epoll_event events[64];
    int n = epoll_wait (load->epoll, events, G_N_ELEMENTS (events), 20000);
    if (n == 0)
      die ("a message was not delivered within twenty seconds");
    for (int i = 0; i < n; i++) {
      Connection *connection = events[i].data.ptr;
      unsigned status;
      const char *answer;
      if (!receive (connection, &status, &answer) || connection == sender)
        continue;
      if (strstr (answer, mark) != NULL) {
        note (load, began);
        waiting--;
      }
      g_autofree char *since = next_batch (answer);
      if (since == NULL) {
        fprintf (stderr, "%s\n", connection->answer->str);
        exit (1);
      }
      g_free (g_steal_pointer (&connection->rest));
      connection->rest = g_steal_pointer (&since);
      follow (connection);
    }
  }
}

static void
run_deliver (Load *load, guint rounds)
{
  Connection *sender = g_ptr_array_index (load->connections, 0);
  for (guint i = 1; i < load->connections->len; i++)
    follow (g_ptr_array_index (load->connections, i));
  g_usleep (G_USEC_PER_SEC);
  gint64 began = g_get_monotonic_time ();
  for (guint i = 0; i < rounds; i++)
    deliver_once (load, sender);
  print_result (load, (double) (g_get_monotonic_time () - began) / G_USEC_PER_SEC);
}

int
main (int argc, char **argv)
{
  if (argc != 5) {
    fprintf (stderr, "usage: load send|deliver HOST PORT SECONDS|ROUNDS < plan\n");
    return 2;
  }
  Load load = { .epoll = epoll_create1 (EPOLL_CLOEXEC), .connections = g_ptr_array_new () };
  load.latencies = g_array_new (FALSE, FALSE, sizeof (double));
  load.address =
      (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons ((guint16) atoi (argv[3])) };
  inet_pton (AF_INET, argv[2], &load.address.sin_addr);

  char token[1024], rest[1024];
  while (scanf ("%1023s %1023s", token, rest) == 2)
    connection_new (&load, token, rest);
  if (g_str_equal (argv[1], "send"))
    run_send (&load, atof (argv[4]));
  else
    run_deliver (&load, (guint) atoi (argv[4]));
  return 0;
}
