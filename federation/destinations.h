/* Outbound queues: one sender per destination, transactions of at most 50 PDUs and 100 EDUs, one at a time, in order. What a destination
 * was told is a stream position in the database and not a queue of copies: after a failure, a restart or days of absence it catches
 * up on every event of the rooms it is in. Device messages and device list changes are kept in the database until acknowledged; receipts
 * are reread from their stream; typing and presence live in memory and are dropped when they cannot be sent soon. */
#pragma once

#include "federation/fed-client.h"
#include "schema/committer.h"

G_BEGIN_DECLS

typedef struct _CmDestinations CmDestinations;

CmDestinations *cm_destinations_new (CmPool *pool, CmCommitter *committer, CmFedClient *client, const char *server_name, GError **error);
/* Stops sending; what was not acknowledged goes out after the next start. */
void cm_destinations_free (CmDestinations *destinations);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmDestinations, cm_destinations_free)

/* Something new for @server is committed (from the committer's listener, CM_TOPIC_SERVER); cheap, any thread. */
void cm_destinations_wake (CmDestinations *destinations, const char *server);
/* An EDU that need not survive: typing, presence. @edu is {"edu_type","content"}; @key: a later one of the same key replaces it. */
void cm_destinations_ephemeral (CmDestinations *destinations, const char *server, const char *key, GBytes *edu);
/* Adds to @write an EDU that must arrive, for @server (m.direct_to_device, m.device_list_update, m.signing_key_update), and the topic that wakes it. */
void cm_destinations_queue (CmWrite *write, const char *server, GBytes *edu);
/* Adds to @write that the event of @write at position offset @offset concerns @server: {server} is remembered as "behind". */
void cm_destinations_event (CmWrite *write, const char *server, gint64 offset);

G_END_DECLS
