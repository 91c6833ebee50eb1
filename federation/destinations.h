/* Outbound queues: one sender per destination, transactions of at most 50 PDUs and 100 EDUs, one at
 * a time, in order.
 *
 * To whom an event goes is decided when it is written and stored once, however many servers that
 * are: an audience is a set of servers, named by its hash and shared by all events that went to the
 * same set; destination_event says which event went to which audience. What a destination was told
 * is one position in that list and not a queue of copies: after a failure, a restart or days of
 * absence it catches up, in order, on exactly the events that were addressed to it. Device
 * messages, device list changes and the like are kept in the database until acknowledged: 50,000 or
 * 500 MB for one server, then the oldest go; and for one that shares no room with this server until
 * it has taken nothing for a month. Typing, presence and receipts live in memory and are dropped
 * when they cannot be sent soon.
 *
 * A transaction that is tried again is the same transaction, with the same id. After a crash what
 * was sent and not acknowledged goes out anew, perhaps under another id: events and device messages
 * carry ids of their own, by which a receiver tells repeats. */
#pragma once

#include "federation/fed-client.h"
#include "schema/committer.h"

G_BEGIN_DECLS

typedef struct _CmDestinations CmDestinations;

/* Begins at once with what the last run left unsent. @client's back-off, and who was quick, are
 * read from table destination, and written there. Before the first write of @committer, to which it
 * listens. */
CmDestinations *cm_destinations_new (CmPool *pool, CmCommitter *committer, CmFedClient *client,
                                     const char *server_name, GError **error);
/* Sends no more; what was not acknowledged goes out after the next start. Waits for requests under
 * way: cm_outbound_stop ends them. While the committer is still there. */
void cm_destinations_stop (CmDestinations *destinations);
/* When nothing is written any more. */
void cm_destinations_free (CmDestinations *destinations);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmDestinations, cm_destinations_free)

/* Adds to @write that the event of number @event, which stands at position offset @offset of
 * @write, goes to @servers (other servers only; those that are in the room before or after it).
 * Call it once an event, and only for events of this server's that were accepted. */
void
cm_destinations_event (CmWrite *write, gint64 event, gint64 offset, const char *const *servers);
/* Adds to @write an EDU that must arrive, for each of @servers (m.direct_to_device,
 * m.device_list_update, m.signing_key_update).
 * @edu is {"edu_type","content"}. */
void cm_destinations_queue (CmWrite *write, const char *const *servers, GBytes *edu);
/* An EDU that need not survive: typing, presence, receipts. @key: a later one of the same key
 * replaces it. Cheap, any thread. */
void cm_destinations_ephemeral (CmDestinations *destinations, const char *server, const char *key,
                                GBytes *edu);

G_END_DECLS
