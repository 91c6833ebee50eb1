/* What a client wants of /sync (client-server, "Filtering": Filter), read once and checked
 * strictly: a filter of the wrong shape is refused when it is uploaded and when it is used. */
#pragma once

#include "server/rooms/event-filter.h"

G_BEGIN_DECLS

typedef struct {
  gatomicrefcount refs;
  char **rooms, **not_rooms; /* of "room"; NULL: not given */
  gboolean include_leave;
  gboolean federation_format;
  CmEventFilter *timeline;
  CmEventFilter *state;
  CmEventFilter *ephemeral;
  CmEventFilter *room_account_data;
  CmEventFilter *account_data;
  CmEventFilter *presence;
} CmSyncFilter;

/* @json NULL: the filter that lets everything through. CM_ERROR_BAD_JSON. */
CmSyncFilter *cm_sync_filter_new (const CmJson *json, GError **error);
CmSyncFilter *cm_sync_filter_ref (CmSyncFilter *filter);
void cm_sync_filter_unref (CmSyncFilter *filter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmSyncFilter, cm_sync_filter_unref)

gboolean cm_sync_filter_wants_room (const CmSyncFilter *filter, const char *room_id);
/* How many events of a room's timeline at most. */
guint cm_sync_filter_limit (const CmSyncFilter *filter);

G_END_DECLS
