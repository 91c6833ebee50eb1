/* The loop on which libsoup runs: one thread, and a SoupSession for each pool of connections. A
 * pool's connections all lead to the same named server, so that one whose certificate was checked
 * for one name never serves another's request. */
#pragma once

#include "federation/outbound.h"

G_BEGIN_DECLS

typedef struct _CmOutboundLoop CmOutboundLoop;

/* @database: (nullable) who vouches for certificates; NULL: the system's authorities. */
CmOutboundLoop *cm_outbound_loop_new (gboolean verify_tls, GTlsDatabase *database);
void cm_outbound_loop_free (CmOutboundLoop *loop);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmOutboundLoop, cm_outbound_loop_free)

/* One request to one address. */
typedef struct {
  const char *pool;     /* names the pool: scheme, name, port and certificate's name */
  GUri *uri;            /* its host is the address to connect to */
  const char *tls_name; /* SNI, and what the certificate must say */
  const char *host_header;
  const char *method;
  const char *authorization; /* nullable */
  GBytes *body;              /* nullable */
  const char *content_type;  /* nullable */
  gboolean repeatable;
  gsize max_bytes;
  guint connect_ms; /* until the connection stands, certificate checked */
} CmExchange;

/* Blocks until the answer is there. @connected (nullable) tells whether a failure came after the
 * connection stood. Errors are CM_ERROR_TOO_LARGE or those of GIO. */
CmOutboundAnswer *
cm_outbound_loop_run (CmOutboundLoop *loop, const CmExchange *exchange, GCancellable *cancellable,
                      gboolean *connected, GError **error);

/* (transfer full) a source on the loop that cancels @cancellable after @ms; destroy it when it is
 * no longer wanted. */
GSource *cm_outbound_loop_cancel_after (CmOutboundLoop *loop, GCancellable *cancellable, guint ms);

G_END_DECLS
