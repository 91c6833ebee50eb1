/* How events are shown to a client: the one place that decides what stands in "unsigned", used by
 * /sync, /messages, /event and all the rest. What an answer needs of the database is gathered for
 * all of its events at once. */
#pragma once

#include "federation/rooms.h"
#include "server/http/call.h"

G_BEGIN_DECLS

typedef enum {
  CM_SHOW_NO_ROOM_ID = 1,      /* /sync */
  CM_SHOW_NO_AGGREGATIONS = 2, /* push, and wherever "m.relations" is not wanted */
  CM_SHOW_ONLY_EDITS = 4,      /* events that stand in others' aggregations */
  /* Lists of state: without m.relations, and without what the state before each event would have to
   * be read for (prev_content, replaces_state, membership). A list of thousands of members has as
   * many such states. */
  CM_SHOW_STATE = 8,
} CmShowFlags;

/* Who looks, and how. */
typedef struct {
  CmNode *node;
  const char *user_id; /* nullable: an application service's or an administrator's view, nobody's */
  const char *device_id; /* whose transaction ids are shown; nullable */
  CmShowFlags flags;
} CmViewer;

/**
 * cm_client_events: the client's form of each event of @events (of CmEvent; NULL items stay NULL).
 *
 * They must be visible to the viewer already (cm_timeline_filter_for_user). "unsigned" gets: age,
 * transaction_id (only for the device that sent it), prev_content with replaces_state and
 * prev_sender, redacted_because, membership (the viewer's at that event), m.relations
 * (aggregations.h). Returns: (transfer full) GBytes of JSON in the same order, for
 * cm_json_put_bytes; NULL with @error.
 */
GPtrArray *cm_client_events (const CmViewer *viewer, GPtrArray *events, GError **error);
/* One event. */
GBytes *cm_client_event (const CmViewer *viewer, CmEvent *event, GError **error);
/* cm_client_events, written as the array @key. */
gboolean cm_client_events_put (CmJsonWriter *writer, const char *key, const CmViewer *viewer,
                               GPtrArray *events, GError **error);

/* The stripped form (client-server, "Stripped state"): content, sender, state_key, type. */
void cm_client_event_put_stripped (CmJsonWriter *writer, const char *key, const CmEvent *event);

G_END_DECLS
