/* One request for /sync, read and checked, independent of the call that brought it. */
#pragma once

#include "server/http/call.h"
#include "server/sync/filter.h"
#include "server/sync/token.h"

G_BEGIN_DECLS

typedef struct {
  CmNode *node;
  char *user_id;
  char *device_id; /* nullable */
  gint64 user;     /* sym */
  gboolean initial;
  CmSyncToken since; /* zero when @initial */
  gboolean full_state;
  gboolean state_after; /* use_state_after */
  guint timeout_ms;
  CmSyncFilter *filter;
} CmSyncRequest;

/* CM_ERROR_INVALID_PARAM, CM_ERROR_BAD_JSON, CM_ERROR_NOT_FOUND (a filter). May use the database.
 */
CmSyncRequest *cm_sync_request_new (CmCall *call, GError **error);
void cm_sync_request_free (CmSyncRequest *request);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmSyncRequest, cm_sync_request_free)

/* (transfer full) the filter that @text names: an id that cm_filter_add gave out, or JSON itself;
 * NULL: everything. */
CmSyncFilter *
cm_sync_filter_named (CmNode *node, const char *user_id, const char *text, GError **error);

G_END_DECLS
