/* Signed requests to other servers. Blocking: worker threads only, and never while a database
 * connection or a room's lock is held. */
#pragma once

#include "crypto/ed25519.h"
#include "federation/backoff.h"
#include "federation/discovery.h"

G_BEGIN_DECLS

typedef struct _CmFedClient CmFedClient;

/* @discovery and @outbound stay the caller's. */
CmFedClient *cm_fed_client_new (CmOutbound *outbound, CmDiscovery *discovery,
                                const char *server_name, CmSigningKey *key);
void cm_fed_client_free (CmFedClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmFedClient, cm_fed_client_free)

typedef struct {
  const char *method;
  const char *target;        /* path and query, percent-encoded */
  const CmJson *content;     /* nullable */
  gsize max_bytes;           /* 0: 1 MiB */
  guint timeout_ms;          /* 0: 30 s */
  gboolean unsigned_request; /* key requests carry no signature */
  gboolean ignore_backoff;   /* ask although it failed lately */
} CmFedRequest;

/**
 * cm_fed_call: asks @server and reads a JSON object.
 * Errors: as cm_outbound_call; a 4xx answer keeps its errcode where a client may be told it
 * (FORBIDDEN, NOT_FOUND, UNRECOGNIZED, ...; else BAD_GATEWAY), the status is in @status (nullable;
 * 0 without an answer); a server that failed is left alone for a while (CM_ERROR_BAD_GATEWAY at
 * once), longer each time.
 */
CmJsonDoc *cm_fed_call (CmFedClient *client, const char *server, const CmFedRequest *request,
                        unsigned *status, GError **error);
/* As cm_fed_call for answers that are not JSON (media): the raw answer, 200 only. */
CmOutboundAnswer *cm_fed_call_raw (CmFedClient *client, const char *server,
                                   const CmFedRequest *request, GError **error);

/* (transfer full) "/_matrix/federation/v1/..." from a format whose %s are path segments, each
 * percent-encoded. */
char *cm_fed_path (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* Tells that @server was heard from (an inbound request): it may be tried again at once. */
void cm_fed_client_heard (CmFedClient *client, const char *server);
/* Which servers are left alone, and how long: shared by requests and queues. */
CmBackoff *cm_fed_client_backoff (CmFedClient *client);

G_END_DECLS
