/* The one guarded client for all outbound HTTP (libsoup): address filter after name resolution with
 * the connection pinned to the checked address, certificates checked, caps on decoded bytes, time
 * and redirects. Blocking calls for worker threads; libsoup runs on a loop of its own. */
#pragma once

#include "crypto/json.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct {
  const char *const *
      allow; /* address ranges exempt from the default refusal of private addresses, strv of CIDR */
  gboolean verify_tls;
  const char *ca_file; /* nullable: the system's */
  GResolver *resolver; /* nullable: the system's */
} CmOutboundPolicy;

typedef struct _CmOutbound CmOutbound;

CmOutbound *cm_outbound_new (const CmOutboundPolicy *policy, GError **error);
/* Ends all calls under way with CM_ERROR_UNAVAILABLE, and later ones at once: the first step of
 * shutting down. */
void cm_outbound_stop (CmOutbound *outbound);
void cm_outbound_free (CmOutbound *outbound);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmOutbound, cm_outbound_free)

typedef struct {
  const char *method;
  const char *url; /* absolute, escapes in capitals (%2F), else they become so; its host is what
                      certificates are checked against, unless tls_name is set */
  const char
      *connect_host;       /* nullable: connect there (name or address) instead of the URL's host */
  guint16 connect_port;    /* 0: the URL's */
  const char *tls_name;    /* nullable: SNI and certificate name */
  const char *host_header; /* nullable */
  const char *authorization; /* nullable */
  GBytes *body;              /* nullable */
  const char *content_type;  /* nullable: application/json when there is a body */
  gsize max_bytes;           /* of the decoded answer; 0: 1 MiB */
  guint timeout_ms;          /* total; 0: 30 s */
  guint max_redirects;       /* 0: none are followed */
  gboolean repeatable; /* a POST that may arrive twice: it may use a kept connection, and try again
                          when that was closed */
} CmOutboundRequest;

typedef struct {
  unsigned status;
  GBytes *body;
  char *content_type;
  char *content_disposition;
  char *location;
  gint64 max_age_s; /* from Cache-Control, -1 when absent */
} CmOutboundAnswer;

void cm_outbound_answer_free (CmOutboundAnswer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmOutboundAnswer, cm_outbound_answer_free)

/* Any HTTP status is an answer. CM_ERROR_BAD_GATEWAY (one generic message for refused addresses,
 * refused connections and bad certificates alike; details go to the log), CM_ERROR_GATEWAY_TIMEOUT,
 * CM_ERROR_TOO_LARGE. */
CmOutboundAnswer *
cm_outbound_call (CmOutbound *outbound, const CmOutboundRequest *request, GError **error);

/* TRUE when the address filter would let a connection to @address (IPv4 or IPv6 text) through. */
gboolean cm_outbound_allows (CmOutbound *outbound, const char *address);
/* (transfer full; g_resolver_free_targets) the SRV records of _@service._tcp.@host (GSrvTarget) in
 * the order to try them, NULL when there are none. */
GList *cm_outbound_find_service (CmOutbound *outbound, const char *service, const char *host);

G_END_DECLS
