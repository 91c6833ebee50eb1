#include "server/http/http-server.h"

#include "server/config/config.h"
#include "server/http/conn.h"
#include "server/http/port.h"
#include "server/node.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define HEAD_US (30 * G_TIME_SPAN_SECOND)
#define IDLE_US (60 * G_TIME_SPAN_SECOND)
#define BACKLOG 4096
/* Of the library, per connection: the head of a request must fit, and it is cleared after each. */
#define CONNECTION_MEMORY (16 * 1024)
/* Descriptors that are not for clients: the database, outbound requests, files. */
#define RESERVED_FDS    256
#define MAX_CONNECTIONS 1000000
/* Bytes of large bodies that are held in memory at a time. */
#define MAX_BODIES ((gsize) 512 * 1024 * 1024)
/* And of large answers, with the share of one who asks. */
#define MAX_ANSWERS    ((gsize) 512 * 1024 * 1024)
#define ANSWERS_OF_ONE (MAX_ANSWERS / 8)
/* One address gets so much of the connections. */
#define PLACES_SHARE   4
#define TLS_PRIORITIES "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct _CmHttpServer {
  CmNode *node;
  CmHeadFunc head;
  CmCallFunc whole;
  gpointer data;
  guint n_loops;
  CmLoop **loops;
  GPtrArray *ports;   /* of CmPort */
  GPtrArray *trusted; /* of GInetAddressMask, nullable */
  gint64 head_us, idle_us;
  CmBudget *bodies, *answers, *places;
  gint connections; /* atomic */
  gint max_connections;
  guint next_loop; /* atomic: whose turn it is for a timer */
  gboolean stopped;
};

typedef struct {
  char *certificate;
  char *key;
} TlsFiles;

static void
port_free (gpointer data)
{
  CmPort *port = data;

  g_free (port->name);
  g_free (port);
}

static gboolean
config_error (GError **error, const CmListener *listener, const char *what, const char *why)
{
  g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "Listener %s: %s: %s", listener->name, what, why);
  return FALSE;
}

/* libmicrohttpd's messages are about what clients do wrong: of no interest unless one looks for it.
 */
G_GNUC_PRINTF (2, 0)
static void
log_library (void *data, const char *format, va_list arguments)
{
  g_logv (G_LOG_DOMAIN, G_LOG_LEVEL_DEBUG, format, arguments);
}

/* Paths stay raw: ids hold %2F, and federation signs what stood in the request line. */
static size_t
leave_raw (void *data, struct MHD_Connection *mhd, char *text)
{
  return strlen (text);
}

/* What one address may have under way: a part of all, and a whole upload at least. */
static gsize
max_bodies_of_one (const CmNode *node)
{
  gsize upload = node->config != NULL ? (gsize) node->config->media.max_upload : 0;

  return MAX (MAX_BODIES / 4, upload + 1024 * 1024);
}

/* Of all listeners together: each loop of each listener counts only its own. */
static gint
connection_limit (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return MAX_CONNECTIONS;
  return (gint) CLAMP (limit.rlim_cur, 2 * RESERVED_FDS, MAX_CONNECTIONS) - RESERVED_FDS;
}

CmHttpServer *
cm_http_server_new (CmNode *node, guint loops, CmHeadFunc head, CmCallFunc whole, gpointer data)
{
  CmHttpServer *server = g_new0 (CmHttpServer, 1);

  /* A client that goes away while we write is no reason to die. */
  signal (SIGPIPE, SIG_IGN);
  server->node = node;
  server->head = head;
  server->whole = whole;
  server->data = data;
  server->head_us = HEAD_US;
  server->idle_us = IDLE_US;
  server->n_loops = MAX (loops, 1);
  server->loops = g_new0 (CmLoop *, server->n_loops);
  server->ports = g_ptr_array_new_with_free_func (port_free);
  server->bodies = cm_budget_new (MAX_BODIES, max_bodies_of_one (node));
  server->answers = cm_budget_new (MAX_ANSWERS, ANSWERS_OF_ONE);
  server->max_connections = connection_limit ();
  server->places = cm_budget_new ((gsize) server->max_connections,
                                  (gsize) server->max_connections / PLACES_SHARE);
  for (guint i = 0; i < server->n_loops; i++)
    server->loops[i] = cm_loop_new (i);
  return server;
}

void
cm_http_server_trust (CmHttpServer *server, GPtrArray *ranges)
{
  server->trusted = g_ptr_array_ref (ranges);
}

void
cm_http_server_set_patience (CmHttpServer *server, guint head_ms, guint idle_ms)
{
  server->head_us = head_ms * G_TIME_SPAN_MILLISECOND;
  server->idle_us = idle_ms * G_TIME_SPAN_MILLISECOND;
}

static CmPort *
port_new (CmHttpServer *server, const CmListener *listener)
{
  CmPort *port = g_new0 (CmPort, 1);

  port->server = server;
  port->node = server->node;
  port->head = server->head;
  port->whole = server->whole;
  port->data = server->data;
  port->name = g_strdup (listener->name);
  port->number = listener->port;
  port->serve = listener->serve;
  port->bodies = server->bodies;
  port->answers = server->answers;
  port->answers_of_one = ANSWERS_OF_ONE;
  port->connections = &server->connections;
  port->max_connections = server->max_connections;
  port->places = server->places;
  port->trusted = server->trusted;
  port->head_us = server->head_us;
  port->idle_us = server->idle_us;
  return port;
}

/* @shared: others may have the port too, if they say so as well. */
static int
bind_socket (const struct addrinfo *info, gboolean shared)
{
  int on = 1, off = 0;
  int fd = socket (info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  if (fd < 0)
    return -1;
  if (info->ai_family == AF_INET6)
    setsockopt (fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      (shared && setsockopt (fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0) ||
      bind (fd, info->ai_addr, info->ai_addrlen) != 0) {
    int saved = errno;
    close (fd);
    errno = saved;
    return -1;
  }
  return fd;
}

/* A socket of one loop. The first is not shared until it is known that nobody else is there: two
 * programs of one user would have half of the connections each, and no error. */
static int
listen_socket (const struct addrinfo *info, gboolean first)
{
  int probe = first ? bind_socket (info, FALSE) : -1;

  if (first && probe < 0)
    return -1;
  if (first)
    close (probe);
  int fd = bind_socket (info, TRUE);
  if (fd >= 0 && listen (fd, BACKLOG) == 0)
    return fd;
  int saved = errno;
  if (fd >= 0)
    close (fd);
  errno = saved;
  return -1;
}

static guint16
socket_port (int fd)
{
  struct sockaddr_storage address;
  socklen_t length = sizeof address;

  if (getsockname (fd, (struct sockaddr *) &address, &length) != 0)
    return 0;
  return g_ntohs (address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *) &address)->sin6_port
                                                : ((struct sockaddr_in *) &address)->sin_port);
}

/* One socket for each loop, all on the same port; @port->number gets it. */
static gboolean
bind_sockets (CmPort *port, const CmListener *listener, int *fds, guint n, GError **error)
{
  struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM };
  const char *address = listener->address != NULL ? listener->address : "::";

  for (guint i = 0; i < n; i++) {
    g_autofree char *service = g_strdup_printf ("%u", port->number);
    struct addrinfo *info = NULL;
    int code = getaddrinfo (address, service, &hints, &info);
    if (code != 0)
      return config_error (error, listener, address, gai_strerror (code));
    fds[i] = listen_socket (info, i == 0);
    freeaddrinfo (info);
    if (fds[i] < 0) {
      const char *problem = g_strerror (errno);
      g_autofree char *what = g_strdup_printf ("cannot listen on %s port %s", address, service);
      return config_error (error, listener, what, problem);
    }
    port->number = socket_port (fds[i]);
  }
  return TRUE;
}

/* The library copies the options; the TLS files must live while it runs. */
static struct MHD_Daemon *
start_daemon (CmHttpServer *server, CmDaemon *daemon, const TlsFiles *tls, int fd)
{
  unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
  struct MHD_OptionItem tls_options[] = {
    { MHD_OPTION_HTTPS_MEM_KEY, 0, tls->key },
    { MHD_OPTION_HTTPS_MEM_CERT, 0, tls->certificate },
    { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *) TLS_PRIORITIES },
    { MHD_OPTION_END, 0, NULL },
  };

  if (tls->key != NULL)
    flags |= MHD_USE_TLS;
  return MHD_start_daemon (
      flags, 0, cm_conn_accept, daemon, cm_conn_request, daemon,
      /* First, so that it hears about the others. */
      MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
      MHD_OPTION_NOTIFY_CONNECTION, cm_conn_notify, daemon, MHD_OPTION_NOTIFY_COMPLETED,
      cm_conn_completed, daemon, MHD_OPTION_URI_LOG_CALLBACK, cm_conn_request_line, daemon,
      MHD_OPTION_UNESCAPE_CALLBACK, leave_raw, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      (size_t) CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT,
      (unsigned int) daemon->port->max_connections, MHD_OPTION_STRICT_FOR_CLIENT, 1,
      MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
      tls->key != NULL ? tls_options : &tls_options[3], MHD_OPTION_END);
}

static gboolean
read_tls (const CmListener *listener, TlsFiles *tls, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (listener->tls_certificate == NULL)
    return TRUE;
  if (listener->tls_key == NULL)
    return config_error (error, listener, "tls_key", "missing");
  if (!g_file_get_contents (listener->tls_certificate, &tls->certificate, NULL, &local) ||
      !g_file_get_contents (listener->tls_key, &tls->key, NULL, &local))
    return config_error (error, listener, "TLS", local->message);
  return TRUE;
}

static gboolean
start_port (CmHttpServer *server, CmPort *port, const CmListener *listener, int *fds,
            GError **error)
{
  TlsFiles tls = { NULL, NULL };
  gboolean ok = read_tls (listener, &tls, error);

  for (guint i = 0; ok && i < server->n_loops; i++) {
    CmDaemon *daemon = g_new0 (CmDaemon, 1);
    daemon->loop = server->loops[i];
    daemon->port = port;
    daemon->mhd = start_daemon (server, daemon, &tls, fds[i]);
    if (daemon->mhd == NULL) {
      g_free (daemon);
      ok = config_error (error, listener, "cannot start", "see the log at debug level");
    } else {
      fds[i] = -1;
      cm_loop_add_daemon (server->loops[i], daemon);
    }
  }
  g_free (tls.certificate);
  g_free (tls.key);
  return ok;
}

gboolean
cm_http_server_listen (CmHttpServer *server, const CmListener *listener, GError **error)
{
  g_autofree int *fds = g_new (int, server->n_loops);
  CmPort *port = port_new (server, listener);

  for (guint i = 0; i < server->n_loops; i++)
    fds[i] = -1;
  g_ptr_array_add (server->ports, port);
  gboolean ok = bind_sockets (port, listener, fds, server->n_loops, error) &&
                start_port (server, port, listener, fds, error);
  for (guint i = 0; i < server->n_loops; i++)
    if (fds[i] >= 0)
      close (fds[i]);
  return ok;
}

guint16
cm_http_server_port (const CmHttpServer *server, const char *name)
{
  for (guint i = 0; i < server->ports->len; i++) {
    const CmPort *port = g_ptr_array_index (server->ports, i);
    if (strcmp (port->name, name) == 0)
      return port->number;
  }
  return 0;
}

CmTimer *
cm_http_server_timer (CmHttpServer *server, guint delay_ms, GSourceFunc func, gpointer data)
{
  guint turn = (guint) g_atomic_int_add ((gint *) &server->next_loop, 1);

  return cm_loop_timer (server->loops[turn % server->n_loops], delay_ms, func, data);
}

void
cm_http_server_stop (CmHttpServer *server, guint timeout_ms)
{
  if (server->stopped)
    return;
  server->stopped = TRUE;
  for (guint i = 0; i < server->n_loops; i++)
    cm_loop_close (server->loops[i], timeout_ms);
  for (guint i = 0; i < server->n_loops; i++)
    cm_loop_join (server->loops[i]);
}

void
cm_http_server_free (CmHttpServer *server)
{
  if (server == NULL)
    return;
  cm_http_server_stop (server, 0);
  for (guint i = 0; i < server->n_loops; i++)
    cm_loop_unref (server->loops[i]);
  g_free (server->loops);
  g_ptr_array_unref (server->ports);
  cm_budget_unref (server->bodies);
  cm_budget_unref (server->answers);
  cm_budget_unref (server->places);
  g_clear_pointer (&server->trusted, g_ptr_array_unref);
  g_free (server);
}
