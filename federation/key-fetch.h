/* Gets key documents: from their servers, side by side, and from the notaries, all at once. A
 * server is asked by one thread at a time, and not again for a while after it could not help. */
#pragma once

#include "federation/fed-client.h"
#include "federation/key-store.h"

G_BEGIN_DECLS

typedef struct _CmKeyFetch CmKeyFetch;

/* What is wanted: server -> set of key ids. */
typedef GHashTable CmWantedKeys;
CmWantedKeys *cm_wanted_keys_new (void);
void cm_wanted_keys_add (CmWantedKeys *wanted, const char *server, const char *key_id);

CmKeyFetch *cm_key_fetch_new (CmKeyStore *store, CmFedClient *client, const char *server_name,
                              const char *const *notaries);
void cm_key_fetch_free (CmKeyFetch *fetch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmKeyFetch, cm_key_fetch_free)

/* Fetches what can be had into the store; returns when it is there, or another thread's fetch of
 * the same server ended. A key that is in the store already but no longer good at @when_ms
 * (cm_server_key_is_good) is wanting as well. */
void cm_key_fetch_run (CmKeyFetch *fetch, CmWantedKeys *wanted, gint64 when_ms);
/* Fetches the current document of @server from itself, unless that was just tried or another thread
 * is at it. */
void cm_key_fetch_document (CmKeyFetch *fetch, const char *server);

G_END_DECLS
