/* Other servers' signing keys: fetched directly, else through the trusted notaries; kept in memory
 * and in the database; each document must be of the asked name and self-signed, and is trusted at
 * most seven days. Also this server's own key document. */
#pragma once

#include "crypto/ed25519.h"
#include "federation/fed-client.h"
#include "schema/db.h"

G_BEGIN_DECLS

typedef struct _CmKeyRing CmKeyRing;

CmKeyRing *
cm_key_ring_new (CmPool *pool, CmFedClient *client, const char *server_name, CmSigningKey *own,
                 const char *const *trusted_key_servers, GError **error);
void cm_key_ring_free (CmKeyRing *ring);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmKeyRing, cm_key_ring_free)

/**
 * cm_key_ring_get: (transfer full) the public key (base64) @key_id of @server, valid at @when_ms
 * (ms since 1970; of an event its origin_server_ts; 0: now, and then only a key that is not
 * expired). May fetch: blocking. CM_ERROR_UNAUTHORIZED when there is none; failures are cached a
 * while.
 */
char *cm_key_ring_get (CmKeyRing *ring, const char *server, const char *key_id, gint64 when_ms,
                       GError **error);
/* The same of another server's key that is good now, if it is in memory or in the database: nobody
 * is asked for it. */
char *cm_key_ring_kept (CmKeyRing *ring, const char *server, const char *key_id, GError **error);
/* Fetches what is missing for many (server, key id) pairs at once, each server asked once, in
 * parallel. Failures show at cm_key_ring_get. */
void cm_key_ring_prefetch (CmKeyRing *ring, const char *const *servers, const char *const *key_ids,
                           gsize count);
/* Checks one server's signature on signed JSON (any key of its that signed and that is known or can
 * be fetched). */
gboolean cm_key_ring_verify_json (CmKeyRing *ring, const CmJson *object, const char *server,
                                  gint64 when_ms, GError **error);

/* GET /_matrix/key/v2/server: this server's signed key document (transfer full). */
CmJsonDoc *cm_key_ring_own_document (CmKeyRing *ring, GError **error);
/* Notary: (transfer full) the newest key document of @server, signed by this server too, NULL
 * without @error when none can be had in which @key_id (NULL: any) stands; @minimum_valid_until_ms
 * as in the query. @may_ask: whether @server may be asked, which takes time. */
CmJsonDoc *cm_key_ring_document (CmKeyRing *ring, const char *server, const char *key_id,
                                 gint64 minimum_valid_until_ms, gboolean may_ask, GError **error);

G_END_DECLS
