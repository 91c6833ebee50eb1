#include "tests/fuzz/fuzz.h"

#include "server/sync/filter.h"

/* Filters of /sync, /messages and the rest: refused, or good for whatever is asked of them. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) doc = cm_json_parse_object ((const char *) data, size, NULL);

  if (doc == NULL)
    return 0;
  const CmJson *json = cm_json_doc_root (doc);
  g_autoptr (CmSyncFilter) filter = cm_sync_filter_new (json, &error);
  FUZZ_EXPECT (!filter == !!error);
  g_autoptr (CmEventFilter) events = cm_event_filter_new (json, NULL);
  if (events != NULL) {
    cm_event_filter_wants (events, "m.room.message", "@a:b", json);
    cm_event_filter_wants_room (events, "!a:b");
  }
  if (filter == NULL)
    return 0;
  FUZZ_EXPECT (cm_sync_filter_limit (filter) < 100000);
  cm_sync_filter_wants_room (filter, "!a:b");
  cm_event_filter_wants (filter->timeline, "m.room.member", "@a:b", json);
  return 0;
}
