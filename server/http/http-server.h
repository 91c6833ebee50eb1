/* The edge: the only room that knows libmicrohttpd. Event loops (one per core, each a thread with a
 * GMainContext whose one source is the library's epoll descriptor) accept, frame and limit
 * requests, and hand each whole CmCall to a function. Held calls are suspended and cost no thread.
 */
#pragma once

#include "server/http/call.h"

G_BEGIN_DECLS

/* What a listener serves; also in CmCall so that the router answers only that. */
typedef enum {
  CM_SERVE_CLIENT = 1 << 0,
  CM_SERVE_FEDERATION = 1 << 1,
  CM_SERVE_ADMIN = 1 << 2,
} CmServe;

typedef struct {
  const char *name;
  const char *address;
  guint16 port;
  const char *tls_certificate; /* path, NULL: plain */
  const char *tls_key;
  CmServe serve;
} CmListener;

/* Decides about a request when its head is complete, before the body: the largest body that is
 * accepted (-1: answer *@reply now and read nothing). Runs on the loop. */
typedef gssize (*CmHeadFunc) (CmCall *call, CmReply **reply, gpointer data);
/* Takes a whole request (a reference of its own if it keeps it). Runs on the loop: must not block.
 */
typedef void (*CmCallFunc) (CmCall *call, gpointer data);

typedef struct _CmHttpServer CmHttpServer;

CmHttpServer *
cm_http_server_new (CmNode *node, guint loops, CmHeadFunc head, CmCallFunc whole, gpointer data);
/* Believes the X-Forwarded-For of peers in @ranges (of GInetAddressMask; a reference is taken).
 * Before listening. */
void cm_http_server_trust (CmHttpServer *server, GPtrArray *ranges);
/* How long a head may take (a body may too, and more for its size), and how long a connection may
 * lie idle. Before listening. */
void cm_http_server_set_patience (CmHttpServer *server, guint head_ms, guint idle_ms);
/* Binds and listens; call last. CM_ERROR_CONFIG with the listener's name. */
gboolean cm_http_server_listen (CmHttpServer *server, const CmListener *listener, GError **error);
/* The port that listener @name got, for a CmListener with port 0. 0 for an unknown name. */
guint16 cm_http_server_port (const CmHttpServer *server, const char *name);
/* Stops accepting, answers what was accepted (held calls are told they are gone), at most
 * @timeout_ms. */
void cm_http_server_stop (CmHttpServer *server, guint timeout_ms);
void cm_http_server_free (CmHttpServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmHttpServer, cm_http_server_free)

CmServe cm_call_serve (const CmCall *call);

/* Runs @func on one of the loops after @delay_ms, from a timer wheel (cheap: one per held call is
 * fine), and again after as long while it returns G_SOURCE_CONTINUE. The timer is the caller's, to
 * be released with cm_timer_cancel, once, whether it has run or not; that may be done within @func.
 */
typedef struct _CmTimer CmTimer;
CmTimer *
cm_http_server_timer (CmHttpServer *server, guint delay_ms, GSourceFunc func, gpointer data);
/* TRUE when it had not run and will not. Releases @timer. */
gboolean cm_timer_cancel (CmTimer *timer);

G_END_DECLS
