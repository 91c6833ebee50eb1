/* POST /search: in the rooms that the caller is in. */
#include "server/api/body.h"
#include "server/client-event.h"
#include "server/node.h"
#include "server/rooms/history.h"
#include "server/rooms/page-token.h"
#include "server/rooms/search.h"
#include "server/routes.h"

#include <string.h>

#define DEFAULT_LIMIT   10
#define MAX_LIMIT       50
#define DEFAULT_CONTEXT 5
#define MAX_CONTEXT     20
#define MAX_TERM        512

static const char *const all_keys[] = { "content.body", "content.name", "content.topic", NULL };

/* What the body asks for, and what was found. */
typedef struct {
  CmViewer viewer;
  const CmJson *criteria; /* search_categories.room_events */
  const CmJson *context;  /* its event_context; nullable */
  const char *term;
  gboolean by_rank;
  char **keys;
  gint64 offset, limit;
  CmEventFilter *filter;
  CmRoomSearchPage *found;
} Search;

static void
search_clear (Search *search)
{
  g_clear_pointer (&search->keys, g_strfreev);
  g_clear_pointer (&search->filter, cm_event_filter_free);
  g_clear_pointer (&search->found, cm_room_search_page_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Search, search_clear)

static gboolean
bad (GError **error, CmError code, const char *message)
{
  g_set_error_literal (error, CM_ERROR, code, message);
  return FALSE;
}

static gboolean
read_keys (Search *search, GError **error)
{
  const CmJson *keys = cm_json_get (search->criteria, "keys");
  g_autoptr (GStrvBuilder) chosen = g_strv_builder_new ();
  const CmJson *item;
  CmJsonIter iter;

  if (keys == NULL) {
    search->keys = g_strdupv ((char **) all_keys);
    return TRUE;
  }
  if (cm_json_type (keys) != CM_JSON_ARRAY)
    return bad (error, CM_ERROR_BAD_JSON, "keys must be a list");
  cm_json_iter_init (&iter, keys);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    const char *key = cm_json_text (item);
    if (key == NULL || !g_strv_contains (all_keys, key))
      return bad (error, CM_ERROR_INVALID_PARAM, "Unknown key to search in");
    g_strv_builder_add (chosen, key);
  }
  search->keys = g_strv_builder_end (chosen);
  return TRUE;
}

static gboolean
read_order (Search *search, GError **error)
{
  const char *order;

  if (!cm_body_text (search->criteria, "order_by", 16, &order, error))
    return FALSE;
  search->by_rank = order == NULL || strcmp (order, "rank") == 0;
  return search->by_rank || strcmp (order, "recent") == 0 ||
         bad (error, CM_ERROR_INVALID_PARAM, "order_by must be rank or recent");
}

static gboolean
read_offset (CmCall *call, Search *search, GError **error)
{
  const char *token = cm_call_query (call, "next_batch");

  if (token == NULL)
    return TRUE;
  return (token[0] == 'o' &&
          g_ascii_string_to_signed (token + 1, 10, 0, G_MAXINT32, &search->offset, NULL)) ||
         bad (error, CM_ERROR_INVALID_PARAM, "This is no pagination token");
}

static gboolean
read_search (CmCall *call, Search *search, GError **error)
{
  const CmJson *categories = cm_json_get_object (cm_call_json (call), "search_categories");

  search->viewer = cm_call_viewer (call);
  search->criteria = cm_json_get (categories, "room_events");
  search->context = cm_json_get_object (search->criteria, "event_context");
  if (categories == NULL)
    return bad (error, CM_ERROR_MISSING_PARAM, "search_categories is missing");
  if (search->criteria == NULL)
    return TRUE;
  if (cm_json_type (search->criteria) != CM_JSON_OBJECT)
    return bad (error, CM_ERROR_BAD_JSON, "room_events must be an object");
  if (!cm_body_need_text (search->criteria, "search_term", MAX_TERM, &search->term, error) ||
      !read_keys (search, error) || !read_order (search, error) ||
      !read_offset (call, search, error))
    return FALSE;
  search->filter = cm_event_filter_new (cm_json_get (search->criteria, "filter"), error);
  if (search->filter == NULL)
    return FALSE;
  search->limit =
      search->filter->limit > 0 ? MIN (search->filter->limit, MAX_LIMIT) : DEFAULT_LIMIT;
  return TRUE;
}

static gboolean
run_search (Search *search, GError **error)
{
  const CmRoomSearchQuery query = { .node = search->viewer.node,
                                    .user_id = search->viewer.user_id,
                                    .term = search->term,
                                    .keys = (const char *const *) search->keys,
                                    .by_rank = search->by_rank,
                                    .filter = search->filter,
                                    .offset = search->offset,
                                    .limit = search->limit };

  search->found = cm_room_search (&query, error);
  return search->found != NULL;
}

/* One side of a result's context; @cut gets where it ends. */
static gboolean
put_side (const Search *search, CmJsonWriter *writer, const CmReadableRoom *room,
          const CmEvent *event, gboolean backwards, gint64 *cut, GError **error)
{
  g_autoptr (CmEventFilter) everything = cm_event_filter_new (NULL, error);
  const char *name = backwards ? "before_limit" : "after_limit";
  gint64 limit = cm_json_get_integer (search->context, name, DEFAULT_CONTEXT);
  CmHistoryQuery query = { .node = search->viewer.node,
                           .room = room,
                           .user_id = search->viewer.user_id,
                           .filter = everything,
                           .from = backwards ? event->position - 1 : event->position,
                           .to = backwards ? CM_CUT_FIRST : CM_CUT_LAST,
                           .backwards = backwards,
                           .limit = (gsize) CLAMP (limit, 0, MAX_CONTEXT) };
  g_autoptr (CmHistoryPage) page = cm_history_read (&query, error);

  if (page == NULL)
    return FALSE;
  *cut = page->end;
  return cm_client_events_put (writer, backwards ? "events_before" : "events_after",
                               &search->viewer, page->events, error);
}

/* The name and picture that the sender had then. */
static gboolean
put_profile (const Search *search, CmJsonWriter *writer, const CmEvent *event, GError **error)
{
  CmRooms *rooms = search->viewer.node->rooms;
  g_autoptr (CmStateMap) state = cm_rooms_state_at (rooms, event->state_before, error);
  g_autoptr (CmEvent) member =
      state != NULL ? cm_rooms_event_in (rooms, state, "m.room.member", event->sender, NULL) : NULL;

  if (state == NULL)
    return FALSE;
  cm_json_open_object (writer, "profile_info");
  cm_json_open_object (writer, event->sender);
  if (member != NULL) {
    cm_json_put_text (writer, "displayname", cm_json_get_text (member->content, "displayname"));
    cm_json_put_text (writer, "avatar_url", cm_json_get_text (member->content, "avatar_url"));
  }
  cm_json_close (writer);
  cm_json_close (writer);
  return TRUE;
}

static gboolean
put_context (const Search *search, CmJsonWriter *writer, const CmEvent *event, GError **error)
{
  g_auto (CmReadableRoom) room = { 0 };
  gint64 first, last;

  if (!cm_readable_room_find (search->viewer.node, event->room_id, search->viewer.user_id, &room,
                              error))
    return FALSE;
  cm_json_open_object (writer, "context");
  if (!put_side (search, writer, &room, event, TRUE, &first, error) ||
      !put_side (search, writer, &room, event, FALSE, &last, error))
    return FALSE;
  g_autofree char *start = cm_page_token (first);
  g_autofree char *end = cm_page_token (last);
  cm_json_put_text (writer, "start", start);
  cm_json_put_text (writer, "end", end);
  if (cm_json_get_boolean (search->context, "include_profile", FALSE) &&
      !put_profile (search, writer, event, error))
    return FALSE;
  cm_json_close (writer);
  return TRUE;
}

static gboolean
put_results (const Search *search, CmJsonWriter *writer, GError **error)
{
  g_autoptr (GPtrArray) shown = cm_client_events (&search->viewer, search->found->events, error);

  if (shown == NULL)
    return FALSE;
  cm_json_open_array (writer, "results");
  for (guint i = 0; i < shown->len; i++) {
    cm_json_open_object (writer, NULL);
    cm_json_put_double (writer, "rank", g_array_index (search->found->ranks, double, i));
    cm_json_put_bytes (writer, "result", shown->pdata[i]);
    if (search->context != NULL &&
        !put_context (search, writer, search->found->events->pdata[i], error))
      return FALSE;
    cm_json_close (writer);
  }
  cm_json_close (writer);
  return TRUE;
}

/* The words of the term, as the index has them. */
static void
put_highlights (const Search *search, CmJsonWriter *writer)
{
  g_autofree char *lower = g_utf8_strdown (search->term, -1);
  const char *start = NULL;

  cm_json_open_array (writer, "highlights");
  for (const char *at = lower;; at = g_utf8_next_char (at)) {
    gboolean inside = *at != '\0' && g_unichar_isalnum (g_utf8_get_char (at));
    if (inside && start == NULL)
      start = at;
    if (!inside && start != NULL) {
      cm_json_put_string (writer, NULL, start, (gsize) (at - start));
      start = NULL;
    }
    if (*at == '\0')
      break;
  }
  cm_json_close (writer);
}

/* The current state of each room in the results. */
static gboolean
put_state (const Search *search, CmJsonWriter *writer, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  CmViewer viewer = search->viewer;

  viewer.flags = CM_SHOW_STATE;
  if (!cm_json_get_boolean (search->criteria, "include_state", FALSE))
    return TRUE;
  cm_json_open_object (writer, "state");
  for (guint i = 0; i < search->found->events->len; i++) {
    const CmEvent *event = search->found->events->pdata[i];
    if (!g_hash_table_add (seen, event->room_id))
      continue;
    g_autoptr (CmRoomView) view = cm_rooms_view (viewer.node->rooms, event->room_id, error);
    g_autoptr (GPtrArray) state = view != NULL ? cm_room_state_events (view, NULL, error) : NULL;
    if (state == NULL || !cm_client_events_put (writer, event->room_id, &viewer, state, error))
      return FALSE;
  }
  cm_json_close (writer);
  return TRUE;
}

/* The results of one group, by their place in the order. */
static void
put_group (const Search *search, CmJsonWriter *writer, const char *by)
{
  gboolean by_room = strcmp (by, "room_id") == 0;
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  gint64 order = 1;

  cm_json_open_object (writer, by);
  for (guint i = 0; i < search->found->events->len; i++) {
    const CmEvent *first = search->found->events->pdata[i];
    const char *value = by_room ? first->room_id : first->sender;
    if (!g_hash_table_add (seen, (gpointer) value))
      continue;
    cm_json_open_object (writer, value);
    cm_json_put_integer (writer, "order", order++);
    cm_json_open_array (writer, "results");
    for (guint j = i; j < search->found->events->len; j++) {
      const CmEvent *event = search->found->events->pdata[j];
      if (strcmp (by_room ? event->room_id : event->sender, value) == 0)
        cm_json_put_text (writer, NULL, event->event_id);
    }
    cm_json_close (writer);
    cm_json_close (writer);
  }
  cm_json_close (writer);
}

static void
put_groups (const Search *search, CmJsonWriter *writer)
{
  static const char *const groups[] = { "room_id", "sender" };
  const CmJson *wanted =
      cm_json_get_array (cm_json_get (search->criteria, "groupings"), "group_by");
  const CmJson *item;
  CmJsonIter iter;

  if (wanted == NULL)
    return;
  cm_json_open_object (writer, "groups");
  for (gsize i = 0; i < G_N_ELEMENTS (groups); i++) {
    gboolean asked = FALSE;
    cm_json_iter_init (&iter, wanted);
    while (cm_json_iter_next (&iter, NULL, &item))
      asked = asked || g_strcmp0 (cm_json_get_text (item, "key"), groups[i]) == 0;
    if (asked)
      put_group (search, writer, groups[i]);
  }
  cm_json_close (writer);
}

static gboolean
put_found (const Search *search, CmJsonWriter *writer, GError **error)
{
  g_autofree char *next = g_strdup_printf ("o%" G_GINT64_FORMAT, search->offset + search->limit);

  cm_json_open_object (writer, "room_events");
  cm_json_put_integer (writer, "count", search->found->count);
  put_highlights (search, writer);
  if (!put_results (search, writer, error) || !put_state (search, writer, error))
    return FALSE;
  put_groups (search, writer);
  if (search->found->more)
    cm_json_put_text (writer, "next_batch", next);
  cm_json_close (writer);
  return TRUE;
}

static CmReply *
search_rooms (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_auto (Search) search = { 0 };

  if (!read_search (call, &search, error))
    return NULL;
  if (search.criteria != NULL && !run_search (&search, error))
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "search_categories");
  if (search.criteria != NULL && !put_found (&search, writer, error))
    return NULL;
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_search[] = {
  { "POST", "/_matrix/client/v3/search", CM_AUTH_TOKEN, CM_LIMIT_HEAVY, CM_LANE_CLIENT,
    CM_BODY_JSON, search_rooms, 0 },
  CM_ROUTES_END,
};
