/* Single events: as they are, with what stands around them, and by time. */
#include "schema/room-history.h"
#include "server/client-event.h"
#include "server/node.h"
#include "server/rooms/find.h"
#include "server/rooms/history.h"
#include "server/rooms/page-token.h"
#include "server/routes.h"

#include <string.h>

#define DEFAULT_LIMIT 10
#define MAX_LIMIT     200
/* How many events around a time are tried for one that the caller may see. */
#define MAX_NEAR 100

static gboolean
not_found (GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Event not found");
  return FALSE;
}

/* GET /rooms/{roomId}/event/{eventId}: 404 also for who may not look into the room. */
static CmReply *
get_event (CmCall *call, GError **error)
{
  g_auto (CmReadableRoom) room = { 0 };
  CmViewer viewer = cm_call_viewer (call);
  g_autoptr (GError) failure = NULL;

  if (!cm_call_readable_room (call, &room, &failure)) {
    if (g_error_matches (failure, CM_ERROR, CM_ERROR_FORBIDDEN))
      not_found (error);
    else
      g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  g_autoptr (CmEvent) event = cm_readable_room_event (viewer.node, &room, viewer.user_id,
                                                      cm_call_param (call, "eventId"), error);
  g_autoptr (GBytes) shown = event != NULL ? cm_client_event (&viewer, event, error) : NULL;
  if (shown == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_put_bytes (writer, NULL, shown);
  return cm_reply_json (writer);
}

typedef struct {
  CmEvent *event;
  CmHistoryPage *before;
  CmHistoryPage *after;
} Context;

static void
context_clear (Context *context)
{
  g_clear_pointer (&context->event, cm_event_unref);
  g_clear_pointer (&context->before, cm_history_page_free);
  g_clear_pointer (&context->after, cm_history_page_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Context, context_clear)

static gboolean
read_context (CmCall *call, const CmReadableRoom *room, const CmEventFilter *filter,
              Context *context, GError **error)
{
  gint64 limit;

  if (!cm_call_query_integer (call, "limit", DEFAULT_LIMIT, 0, MAX_LIMIT, &limit, error))
    return FALSE;
  context->event = cm_readable_room_event (cm_call_node (call), room, cm_call_user (call),
                                           cm_call_param (call, "eventId"), error);
  if (context->event == NULL)
    return FALSE;
  CmHistoryQuery query = { .node = cm_call_node (call),
                           .room = room,
                           .user_id = cm_call_user (call),
                           .filter = filter,
                           .from = context->event->position - 1,
                           .to = CM_CUT_FIRST,
                           .backwards = TRUE,
                           .limit = (gsize) limit / 2 };
  context->before = cm_history_read (&query, error);
  if (context->before == NULL)
    return FALSE;
  query.from = context->event->position;
  query.to = CM_CUT_LAST;
  query.backwards = FALSE;
  query.limit = (gsize) (limit - limit / 2);
  context->after = cm_history_read (&query, error);
  return context->after != NULL;
}

/* (transfer full) the state at the last event: all of it that is wanted, or with lazy loading no
 * members but the senders. */
static GPtrArray *
state_of (CmNode *node, const Context *context, const CmEventFilter *filter, GError **error)
{
  GPtrArray *after = context->after->events;
  const CmEvent *last = after->len > 0 ? after->pdata[after->len - 1] : context->event;
  g_autoptr (CmStateMap) state = cm_rooms_state_at (node->rooms, last->state_after, error);
  g_autoptr (GPtrArray) shown = g_ptr_array_new ();
  gint64 member = state != NULL ? cm_sym (node->ids, "m.room.member", error) : 0;
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));

  if (member == 0)
    return NULL;
  g_ptr_array_extend (shown, context->before->events, NULL, NULL);
  g_ptr_array_add (shown, context->event);
  g_ptr_array_extend (shown, after, NULL, NULL);
  if (filter->lazy_load_members) {
    g_autoptr (GPtrArray) senders = cm_history_members (node, shown, state, error);
    if (senders == NULL)
      return NULL;
    for (guint i = 0; i < senders->len; i++)
      if (senders->pdata[i] != NULL)
        g_array_append_val (numbers, ((CmEvent *) senders->pdata[i])->number);
  }
  const CmStateEntry *entries = cm_state_map_entries (state);
  for (gsize i = 0; i < cm_state_map_size (state); i++)
    if (!filter->lazy_load_members || entries[i].type != (guint32) member)
      g_array_append_val (numbers, entries[i].event);
  return cm_event_store_get_many (cm_rooms_events (node->rooms), (const gint64 *) numbers->data,
                                  numbers->len, error);
}

static void
drop_unwanted (GPtrArray *events, const CmEventFilter *filter)
{
  for (guint i = events->len; i > 0; i--) {
    const CmEvent *event = events->pdata[i - 1];
    if (event == NULL ||
        !cm_event_filter_wants (filter, event->type, event->sender, event->content))
      g_ptr_array_remove_index (events, i - 1);
  }
}

/* GET /rooms/{roomId}/context/{eventId} */
static CmReply *
get_context (CmCall *call, GError **error)
{
  g_auto (CmReadableRoom) room = { 0 };
  g_auto (Context) context = { 0 };
  CmViewer viewer = cm_call_viewer (call);
  g_autoptr (CmEventFilter) filter = cm_call_event_filter (call, error);

  if (filter == NULL || !cm_call_readable_room (call, &room, error) ||
      !read_context (call, &room, filter, &context, error))
    return NULL;
  g_autoptr (GPtrArray) state = state_of (viewer.node, &context, filter, error);
  g_autoptr (GBytes) shown = state != NULL ? cm_client_event (&viewer, context.event, error) : NULL;
  if (shown == NULL)
    return NULL;
  drop_unwanted (state, filter);
  g_autofree char *start = cm_page_token (context.before->end);
  g_autofree char *end = cm_page_token (context.after->end);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_bytes (writer, "event", shown);
  cm_json_put_text (writer, "start", start);
  cm_json_put_text (writer, "end", end);
  if (!cm_client_events_put (writer, "events_before", &viewer, context.before->events, error) ||
      !cm_client_events_put (writer, "events_after", &viewer, context.after->events, error))
    return NULL;
  viewer.flags = CM_SHOW_STATE;
  if (!cm_client_events_put (writer, "state", &viewer, state, error))
    return NULL;
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* (transfer full) the nearest event that the caller may see. */
static CmEvent *
find_near (CmCall *call, const CmReadableRoom *room, gint64 ts, gboolean backwards, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (GArray) numbers = NULL;

  {
    g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
    numbers = db != NULL ? cm_room_events_near (db, room->view->room, ts, backwards, room->until,
                                                MAX_NEAR, error)
                         : NULL;
  }
  if (numbers == NULL)
    return NULL;
  g_autoptr (GPtrArray) events = cm_event_store_get_many (
      cm_rooms_events (node->rooms), (const gint64 *) numbers->data, numbers->len, error);
  if (events == NULL ||
      !cm_timeline_filter_for_user (node->rooms, events, cm_call_user (call), error))
    return NULL;
  if (events->len > 0)
    return cm_event_ref (events->pdata[0]);
  not_found (error);
  return NULL;
}

/* GET /rooms/{roomId}/timestamp_to_event */
static CmReply *
get_event_by_time (CmCall *call, GError **error)
{
  g_auto (CmReadableRoom) room = { 0 };
  const char *dir = cm_call_query (call, "dir");
  gint64 ts;

  if (!cm_call_readable_room (call, &room, error) ||
      !cm_call_query_integer (call, "ts", -1, 0, G_MAXINT64, &ts, error))
    return NULL;
  if (ts < 0 || dir == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_MISSING_PARAM, "ts and dir are needed");
    return NULL;
  }
  if (strcmp (dir, "f") != 0 && strcmp (dir, "b") != 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "dir must be b or f");
    return NULL;
  }
  g_autoptr (CmEvent) event = find_near (call, &room, ts, strcmp (dir, "b") == 0, error);
  return event != NULL ? cm_event_time_reply (event) : NULL;
}

#define READ CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE

const CmRoute cm_routes_context[] = {
  { "GET", "/_matrix/client/v3/rooms/{roomId}/event/{eventId}", CM_AUTH_TOKEN_GUEST, READ,
    get_event, 0 },
  { "GET", "/_matrix/client/v3/rooms/{roomId}/context/{eventId}", CM_AUTH_TOKEN_GUEST, READ,
    get_context, 0 },
  { "GET", "/_matrix/client/v1/rooms/{roomId}/timestamp_to_event", CM_AUTH_TOKEN, READ,
    get_event_by_time, 0 },
  CM_ROUTES_END,
};
