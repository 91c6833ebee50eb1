/* GET /rooms/{roomId}/messages: history, page by page, also that of other servers. */
#include "federation/intake.h"
#include "schema/committer.h"
#include "schema/room-history.h"
#include "server/node.h"
#include "server/rooms/enter.h"
#include "server/rooms/history.h"
#include "server/rooms/page-token.h"
#include "server/router/hand-over.h"
#include "server/routes.h"

#include <string.h>

#define DEFAULT_LIMIT  10
#define MAX_LIMIT      1000
#define BACKFILL_LIMIT 100

static gboolean
read_direction (CmCall *call, gboolean *backwards, GError **error)
{
  const char *dir = cm_call_query (call, "dir");

  if (dir == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_MISSING_PARAM, "dir is missing");
    return FALSE;
  }
  *backwards = strcmp (dir, "b") == 0;
  if (*backwards || strcmp (dir, "f") == 0)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "dir must be b or f");
  return FALSE;
}

/* Without one, history is read from its end, or from its beginning. */
static gboolean
read_bounds (CmCall *call, CmHistoryQuery *query, GError **error)
{
  const char *from = cm_call_query (call, "from");
  const char *to = cm_call_query (call, "to");
  gint64 last = cm_committer_position (query->node->committer);

  query->from = query->backwards ? MIN (last, query->room->until) : CM_CUT_FIRST;
  query->to = query->backwards ? CM_CUT_FIRST : CM_CUT_LAST;
  return (from == NULL || from[0] == '\0' || cm_page_token_parse (from, &query->from, error)) &&
         (to == NULL || to[0] == '\0' || cm_page_token_parse (to, &query->to, error));
}

static gboolean
read_query (CmCall *call, const CmReadableRoom *room, const CmEventFilter *filter,
            CmHistoryQuery *query, GError **error)
{
  gint64 limit;

  *query = (CmHistoryQuery){
    .node = cm_call_node (call), .room = room, .user_id = cm_call_user (call), .filter = filter
  };
  if (!read_direction (call, &query->backwards, error) || !read_bounds (call, query, error) ||
      !cm_call_query_integer (call, "limit", DEFAULT_LIMIT, 0, MAX_LIMIT, &limit, error))
    return FALSE;
  query->limit = (gsize) (filter->limit > 0 ? MIN (limit, filter->limit) : limit);
  return TRUE;
}

static gboolean
put_members (CmJsonWriter *writer, const CmViewer *viewer, const CmHistoryQuery *query,
             GPtrArray *events, GError **error)
{
  CmViewer plain = *viewer;

  plain.flags |= CM_SHOW_STATE;
  if (!query->filter->lazy_load_members || events->len == 0)
    return TRUE;
  const CmEvent *first = events->pdata[0];
  g_autoptr (CmStateMap) state = cm_rooms_state_at (viewer->node->rooms, first->state_after, error);
  g_autoptr (GPtrArray) members =
      state != NULL ? cm_history_members (viewer->node, events, state, error) : NULL;
  return members != NULL && cm_client_events_put (writer, "state", &plain, members, error);
}

/* client-server, GET /messages: "end" is left out when there is nothing more. */
static CmReply *
reply_page (CmCall *call, const CmHistoryQuery *query, const CmHistoryPage *page, GError **error)
{
  CmViewer viewer = cm_call_viewer (call);
  g_autofree char *start = cm_page_token (query->from);
  g_autofree char *end = cm_page_token (page->end);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  if (!cm_client_events_put (writer, "chunk", &viewer, page->events, error) ||
      !put_members (writer, &viewer, query, page->events, error))
    return NULL;
  cm_json_put_text (writer, "start", start);
  if (page->moved)
    cm_json_put_text (writer, "end", end);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* Whether other servers may know what comes before the end of the page. */
static gboolean
could_be_continued (const CmHistoryQuery *query, const CmHistoryPage *page)
{
  gboolean missing = FALSE;

  if (!query->backwards || !page->at_end || page->events->len >= query->limit ||
      query->to != CM_CUT_FIRST || query->node->intake == NULL ||
      g_hash_table_size (query->room->view->servers) < 2)
    return FALSE;
  g_autoptr (CmDb) db = cm_pool_get (query->node->pool, NULL);
  return db != NULL && cm_room_has_missing_events (db, query->room->view->room, &missing, NULL) &&
         missing;
}

/* TRUE when there is more than before. What fails is no reason to withhold what there is. */
static gboolean
backfill (const CmHistoryQuery *query, const CmHistoryPage *page)
{
  const char *room_id = query->room->view->room_id;
  g_autoptr (GError) error = NULL;
  gboolean more =
      cm_intake_backfill (query->node->intake, room_id, page->end + 1, BACKFILL_LIMIT, &error);

  if (error != NULL)
    g_message ("No history of %s from elsewhere: %s", room_id, error->message);
  return more;
}

static CmReply *ask_elsewhere (CmCall *call, GError **error);

static CmReply *
answer (CmCall *call, gboolean may_wait, GError **error)
{
  g_auto (CmReadableRoom) room = { 0 };
  g_autoptr (CmEventFilter) filter = cm_call_event_filter (call, error);
  CmHistoryQuery query;

  if (filter == NULL || !cm_call_readable_room (call, &room, error) ||
      !read_query (call, &room, filter, &query, error))
    return NULL;
  g_autoptr (CmHistoryPage) page = cm_history_read (&query, error);
  if (page == NULL)
    return NULL;
  if (could_be_continued (&query, page)) {
    if (!may_wait)
      return cm_call_hand_over (call, CM_LANE_REMOTE, ask_elsewhere, error);
    if (backfill (&query, page)) {
      cm_history_page_free (page);
      page = cm_history_read (&query, error);
    }
  }
  return page != NULL ? reply_page (call, &query, page, error) : NULL;
}

static CmReply *
ask_elsewhere (CmCall *call, GError **error)
{
  return answer (call, TRUE, error);
}

static CmReply *
get_messages (CmCall *call, GError **error)
{
  return answer (call, FALSE, error);
}

const CmRoute cm_routes_messages[] = {
  { "GET", "/_matrix/client/v3/rooms/{roomId}/messages", CM_AUTH_TOKEN_GUEST, CM_LIMIT_READ,
    CM_LANE_CLIENT, CM_BODY_NONE, get_messages, 0 },
  CM_ROUTES_END,
};
