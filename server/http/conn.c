#include "server/http/conn.h"

#include "server/http/answer.h"
#include "server/http/head.h"
#include "server/http/port.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define REFUSE_US (5 * G_TIME_SPAN_SECOND)
/* A refused body up to here is read to its end, so that the connection can go on. */
#define SMALL_BODY (64 * 1024)
/* What a client may still send after a refusal before it is cut off: it should get to read the
 * answer first. */
#define MAX_DISCARDED (4 * 1024 * 1024)
/* Bodies beyond SMALL_BODY count in steps towards what the server holds of them at a time. */
#define CHARGE_STEP (1024 * 1024)

static gint64
deadline_in (gint64 us)
{
  return g_get_monotonic_time () + us;
}

static void
conn_watch (CmConn *conn)
{
  struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET, .data.ptr = conn };

  /* For the life of the connection; closing the descriptor ends it. */
  if (epoll_ctl (conn->daemon->loop->hangup_fd, EPOLL_CTL_ADD, conn->fd, &event) != 0)
    g_warning ("cannot watch a connection for its end: %m");
}

/* Who has vanished in the midst of an answer, or takes nothing of it at all, is not waited for as
 * long as somebody slow. */
static void
conn_limit_silence (const CmConn *conn)
{
  unsigned int ms = (unsigned int) (conn->daemon->port->idle_us / G_TIME_SPAN_MILLISECOND);

  if (setsockopt (conn->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms) != 0)
    g_debug ("cannot limit the silence of a connection: %m");
}

static CmConn *
conn_new (CmDaemon *daemon, struct MHD_Connection *mhd)
{
  CmConn *conn = g_new0 (CmConn, 1);
  CmLoop *loop = daemon->loop;

  conn->daemon = daemon;
  conn->mhd = mhd;
  conn->fd = MHD_get_connection_info (mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  conn->address =
      cm_port_peer (MHD_get_connection_info (mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
  conn->trusted_proxy = cm_port_trusts (daemon->port, conn->address);
  conn->deadline_us = deadline_in (daemon->port->head_us);
  conn->next = loop->conns;
  conn->link = &loop->conns;
  if (conn->next != NULL)
    conn->next->link = &conn->next;
  loop->conns = conn;
  conn_watch (conn);
  conn_limit_silence (conn);
  /* A proxy of ours has all its clients' connections. The library finds the socket closed. */
  if (!conn->trusted_proxy &&
      !cm_charge_take (&conn->place, daemon->port->places, conn->address, 1))
    shutdown (conn->fd, SHUT_RDWR);
  return conn;
}

static void
conn_free (CmConn *conn)
{
  *conn->link = conn->next;
  if (conn->next != NULL)
    conn->next->link = conn->link;
  cm_charge_return (&conn->place);
  g_free (conn->address);
  g_free (conn);
}

enum MHD_Result
cm_conn_accept (void *data, const struct sockaddr *address, socklen_t length)
{
  const CmPort *port = ((CmDaemon *) data)->port;

  return g_atomic_int_get (port->connections) < port->max_connections ? MHD_YES : MHD_NO;
}

void
cm_conn_notify (void *data, struct MHD_Connection *mhd, void **context,
                enum MHD_ConnectionNotificationCode code)
{
  CmDaemon *daemon = data;

  g_atomic_int_add (daemon->port->connections, code == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1);
  if (code == MHD_CONNECTION_NOTIFY_STARTED)
    *context = conn_new (daemon, mhd);
  else
    conn_free (g_steal_pointer (context));
}

void *
cm_conn_request_line (void *data, const char *target, struct MHD_Connection *mhd)
{
  CmDaemon *daemon = data;
  CmConn *conn = MHD_get_connection_info (mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;

  if (target == NULL)
    target = "";
  conn->call = cm_call_new (daemon->loop, daemon->port->node, daemon->port->serve, target);
  conn->call->conn = conn;
  conn->raw_target = target;
  conn->state = CONN_HEAD;
  conn->deadline_us = deadline_in (daemon->port->head_us);
  daemon->loop->n_calls++;
  return conn;
}

void
cm_conn_completed (void *data, struct MHD_Connection *mhd, void **context,
                   enum MHD_RequestTerminationCode code)
{
  CmConn *conn = g_steal_pointer (context);

  if (conn == NULL || conn->call == NULL)
    return;
  if (cm_call_get_reply (conn->call) == NULL)
    cm_call_set_gone (conn->call);
  conn->call->conn = NULL;
  g_clear_pointer (&conn->call, cm_call_unref);
  g_clear_pointer (&conn->refusal, cm_reply_free);
  g_clear_pointer (&conn->body, g_byte_array_unref);
  cm_charge_return (&conn->charge);
  cm_charge_return (&conn->answer_charge);
  conn->held = FALSE;
  conn->state = CONN_IDLE;
  conn->deadline_us = deadline_in (conn->daemon->port->idle_us);
  conn->daemon->loop->n_calls--;
}

static void
conn_log (const CmConn *conn, unsigned status)
{
  const CmCall *call = conn->call;
  const CmRequester *requester = call->requester;
  const char *who = requester == NULL            ? "-"
                    : requester->user_id != NULL ? requester->user_id
                    : requester->origin != NULL  ? requester->origin
                                                 : "-";

  /* Without the query, which may hold a token. */
  g_log_structured (G_LOG_DOMAIN, G_LOG_LEVEL_INFO, "MESSAGE",
                    "%s %.*s %u %" G_GINT64_FORMAT "us %s %s", call->method,
                    (int) call->path_length, conn->malformed ? "?" : call->target, status,
                    g_get_monotonic_time () - call->started_us, who, call->address);
}

/* Answers in the midst of the request and throws away what still comes: closing at once would reset
 * the connection, and the client would lose the answer. */
static void
conn_refuse_now (CmConn *conn, CmReply *reply)
{
  cm_answer_now (conn->mhd, conn->fd, reply, cm_answer_is_cors (conn->call->target));
  conn_log (conn, reply->status);
  cm_reply_free (reply);
  g_clear_pointer (&conn->body, g_byte_array_unref);
  conn->state = CONN_REFUSED;
  conn->discarded = 0;
  conn->deadline_us = deadline_in (REFUSE_US);
}

static void
conn_refuse (CmConn *conn, const CmHead *head, CmReply *reply)
{
  if (head->has_body && (conn->malformed || head->chunked || head->length > SMALL_BODY)) {
    conn_refuse_now (conn, reply);
    return;
  }
  conn->refusal = reply;
  conn->close |= conn->malformed;
}

static CmReply *
too_large (void)
{
  return cm_reply_error_status (413, cm_error_errcode (CM_ERROR_TOO_LARGE),
                                "The request body is too large");
}

static void
conn_set_address (CmConn *conn)
{
  g_autoptr (GPtrArray) forwarded = NULL;

  if (conn->trusted_proxy) {
    forwarded = cm_call_headers (conn->call, "X-Forwarded-For");
    conn->call->address = cm_port_client (conn->daemon->port, conn->address, forwarded);
  } else {
    conn->call->address = g_strdup (conn->address);
  }
}

/* The head is there: decides about the body. */
static enum MHD_Result
conn_take_head (CmConn *conn, const char *method, const char *version)
{
  const CmPort *port = conn->daemon->port;
  CmReply *reply;
  CmHead head;

  conn->state = CONN_BODY;
  conn->close = conn->daemon->loop->closing;
  reply = cm_head_read (conn->call, conn->mhd, method, conn->raw_target, version, &head);
  conn->raw_target = NULL;
  conn_set_address (conn);
  conn->malformed = reply != NULL;
  if (reply != NULL) {
    conn_refuse (conn, &head, reply);
    return MHD_YES;
  }
  gssize max = port->head (conn->call, &reply, port->data);
  if (max < 0) {
    conn_refuse (conn, &head, reply);
    return MHD_YES;
  }
  conn->max_body = MIN ((gsize) max, G_MAXINT32);
  if (head.length > conn->max_body)
    conn_refuse (conn, &head, too_large ());
  else if (head.has_body)
    conn->body = g_byte_array_sized_new ((guint) MIN (head.length, SMALL_BODY));
  return MHD_YES;
}

/* FALSE when the server holds too much of large bodies already. */
static gboolean
conn_charge (CmConn *conn)
{
  while (conn->body->len > SMALL_BODY + conn->charge.bytes) {
    if (!cm_charge_take (&conn->charge, conn->daemon->port->bodies, conn->call->address,
                         CHARGE_STEP))
      return FALSE;
  }
  return TRUE;
}

static enum MHD_Result
conn_take_body (CmConn *conn, const char *data, gsize length)
{
  if (conn->state == CONN_REFUSED) {
    conn->discarded += length;
    return conn->discarded <= MAX_DISCARDED ? MHD_YES : MHD_NO;
  }
  conn->deadline_us += (gint64) length * CM_CONN_US_PER_BYTE;
  if (conn->refusal != NULL)
    return MHD_YES;
  if (length > conn->max_body - conn->body->len) {
    conn_refuse_now (conn, too_large ());
    return MHD_YES;
  }
  g_byte_array_append (conn->body, (const guint8 *) data, (guint) length);
  if (!conn_charge (conn))
    conn_refuse_now (conn, cm_reply_error_status (503, cm_error_errcode (CM_ERROR_UNAVAILABLE),
                                                  "Too many uploads at a time"));
  return MHD_YES;
}

static enum MHD_Result
conn_answer (CmConn *conn, CmReply *reply)
{
  reply = cm_conn_afford (conn, reply);
  conn->deadline_us = deadline_in (conn->daemon->port->idle_us + cm_conn_reading_us (reply));
  conn_log (conn, cm_reply_status (reply));
  return cm_answer_queue (conn->mhd, reply, cm_answer_is_cors (conn->call->target), conn->close);
}

static void
conn_hand_over (CmConn *conn)
{
  const CmPort *port = conn->daemon->port;

  conn->state = CONN_HANDED;
  if (conn->refusal != NULL)
    return;
  if (conn->body != NULL)
    conn->call->body = g_byte_array_free_to_bytes (g_steal_pointer (&conn->body));
  /* The call may live on, with its body, when the client does not wait for the answer. */
  conn->call->body_charge = conn->charge;
  conn->charge = (CmCharge){ 0 };
  port->whole (conn->call, port->data);
}

/* The request is whole, or its answer is there. */
static enum MHD_Result
conn_take_whole (CmConn *conn)
{
  if (conn->state == CONN_BODY)
    conn_hand_over (conn);

  CmReply *reply = conn->refusal != NULL ? conn->refusal : cm_call_get_reply (conn->call);
  if (reply != NULL)
    return conn_answer (conn, reply);
  /* A connection that hung up, or that the end of the loop overtook, is not held. */
  if (conn->hung_up || g_atomic_int_get (&conn->daemon->loop->closed))
    return MHD_NO;
  conn->held = TRUE;
  conn->deadline_us = G_MAXINT64;
  MHD_suspend_connection (conn->mhd);
  return MHD_YES;
}

enum MHD_Result
cm_conn_request (void *daemon, struct MHD_Connection *mhd, const char *url, const char *method,
                 const char *version, const char *data, size_t *length, void **context)
{
  CmConn *conn = *context;

  if (conn == NULL || conn->call == NULL)
    return MHD_NO;
  if (conn->state == CONN_HEAD)
    return conn_take_head (conn, method, version);
  if (*length > 0) {
    gsize taken = *length;
    *length = 0;
    return conn_take_body (conn, data, taken);
  }
  return conn->state == CONN_REFUSED ? MHD_NO : conn_take_whole (conn);
}

gboolean
cm_conn_holds (const CmCall *call)
{
  return call->conn != NULL && call->conn->held;
}

static void
conn_resume (CmConn *conn)
{
  conn->held = FALSE;
  conn->daemon->resumed = TRUE;
  MHD_resume_connection (conn->mhd);
}

void
cm_conn_settle (CmCall *call)
{
  if (cm_call_is_gone (call))
    cm_call_set_gone (call);
  if (cm_conn_holds (call) && cm_call_get_reply (call) != NULL)
    conn_resume (call->conn);
}

void
cm_conn_hang_up (CmConn *conn)
{
  conn->hung_up = TRUE;
  if (!conn->held)
    return;
  cm_call_set_gone (conn->call);
  conn_resume (conn);
}

void
cm_conn_sweep (CmConn *conn, gint64 now_us)
{
  /* The library finds the socket closed and does the rest. */
  if (now_us > conn->deadline_us)
    shutdown (conn->fd, SHUT_RDWR);
}

void
cm_conn_close (CmConn *conn, gboolean now)
{
  conn->close = TRUE;
  if (!conn->held)
    return;
  cm_call_set_gone (conn->call);
  if (now)
    conn_resume (conn);
}
