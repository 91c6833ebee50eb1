/* What a client wants of a run of events (client-server, "Filtering": EventFilter and
 * RoomEventFilter). The part that integers can say goes into the database's query; the rest is
 * looked at here. */
#pragma once

#include "crypto/json.h"
#include "federation/timeline.h"

G_BEGIN_DECLS

/* Lists are NULL where the filter does not have them: everything is wanted then. */
typedef struct {
  gint64 limit; /* 0: not given, or (has_limit) nothing is wanted */
  gboolean has_limit;
  char **types, **not_types;
  char **senders, **not_senders;
  char **rooms, **not_rooms;
  gboolean has_contains_url, contains_url;
  gboolean lazy_load_members, include_redundant_members;
  gboolean unread_thread_notifications;
} CmEventFilter;

/* @json NULL: the filter that lets everything through. CM_ERROR_BAD_JSON for members of a wrong
 * type. */
CmEventFilter *cm_event_filter_new (const CmJson *json, GError **error);
void cm_event_filter_free (CmEventFilter *filter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmEventFilter, cm_event_filter_free)

gboolean cm_event_filter_wants_room (const CmEventFilter *filter, const char *room_id);
/* For what is not an event of a room as well (account data, presence); @sender and @content may be
 * NULL. */
gboolean cm_event_filter_wants (const CmEventFilter *filter, const char *type, const char *sender,
                                const CmJson *content);

/* Sets @query's lists of syms; they belong to @query (cm_event_filter_unset_query). Sound, not
 * complete: what comes back must still be asked about with cm_event_filter_wants. */
gboolean cm_event_filter_set_query (const CmEventFilter *filter, CmIds *ids, CmTimelineQuery *query,
                                    GError **error);
void cm_event_filter_unset_query (CmTimelineQuery *query);

G_END_DECLS
