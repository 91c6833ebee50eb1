/* From a server name to where it listens (server-server, "Resolving server names"), with a cache;
 * and the [federation] resolve overrides. */
#pragma once

#include "federation/outbound.h"

G_BEGIN_DECLS

typedef struct {
  char *host; /* name or address literal to connect to */
  guint16 port;
  char *tls_name; /* what the certificate must say; also the Host header's name */
  char *host_header;
} CmServerAddress;

void cm_server_address_free (CmServerAddress *address);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmServerAddress, cm_server_address_free)

typedef struct _CmDiscovery CmDiscovery;
/* @resolve: strv of "name=host:port". */
CmDiscovery *cm_discovery_new (CmOutbound *outbound, const char *const *resolve, GError **error);
void cm_discovery_free (CmDiscovery *discovery);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmDiscovery, cm_discovery_free)

/* Where well-known documents are asked for: 443, but tests cannot listen there. Before the first
 * cm_discovery_find. */
void cm_discovery_set_well_known_port (CmDiscovery *discovery, guint16 port);

/* (transfer full) CmServerAddress candidates in the order to try (SRV may give several), at least
 * one. */
GPtrArray *cm_discovery_find (CmDiscovery *discovery, const char *server_name, GError **error);
/* None of the candidates could be reached: they are to be found anew next time, perhaps the server
 * has moved. */
void cm_discovery_failed (CmDiscovery *discovery, const char *server_name);

G_END_DECLS
