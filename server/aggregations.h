/* Relations of events (client-server, "Relationship types"): the index, and what is bundled into a
 * parent's unsigned. */
#pragma once

#include "federation/rooms.h"
#include "server/client-event.h"

G_BEGIN_DECLS

/* Adds to @write what an event relates to, if it does (CmRoomHooks.event_added, through
 * room-hooks.c). */
void cm_aggregations_event_added (CmWrite *write, const CmEvent *event);

/**
 * cm_aggregations: the "m.relations" of each event of @events as the viewer may see it (bundled
 * aggregations: m.replace, m.thread, m.reference; no redacted or ignored children). Returns:
 * (transfer full) GBytes or NULL items, in the same order.
 */
GPtrArray *cm_aggregations (const CmViewer *viewer, GPtrArray *events, GError **error);

G_END_DECLS
