/* GET /notifications: what the user was notified of, found by holding his push rules against the
 * events of his rooms, the newest first. Nothing of it is stored. */
#include "schema/receipt.h"

#include "schema/push.h"
#include "server/client-event.h"
#include "server/node.h"
#include "server/push/matcher.h"
#include "server/push/push-rules.h"
#include "server/rooms/page-token.h"
#include "server/rooms/thread.h"
#include "server/routes.h"

#include <string.h>

#define DEFAULT_LIMIT 20
#define MAX_LIMIT     100
/* Events that one request looks at. */
#define MAX_EVENTS 500

typedef struct {
  CmCall *call;
  CmNode *node;
  CmMatcher *matcher;
  gboolean highlights; /* only these */
  gint64 limit;
  GPtrArray *events;  /* of CmEvent: what is shown */
  GPtrArray *actions; /* of GBytes, as many */
} Search;

static void
search_clear (Search *search)
{
  g_clear_pointer (&search->matcher, cm_matcher_unref);
  g_clear_pointer (&search->events, g_ptr_array_unref);
  g_clear_pointer (&search->actions, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Search, search_clear)

static gboolean
search_init (Search *search, CmCall *call, GError **error)
{
  const char *user_id = cm_call_user (call);

  *search = (Search){ .call = call, .node = cm_call_node (call) };
  search->highlights = g_strcmp0 (cm_call_query (call, "only"), "highlight") == 0;
  search->events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  search->actions = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  if (!cm_call_query_integer (call, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT, &search->limit, error))
    return FALSE;
  g_autoptr (CmRuleSet) set = cm_push_rules_load (search->node, user_id, NULL, error);
  if (set == NULL)
    return FALSE;
  search->matcher = cm_matcher_new (set, user_id);
  return TRUE;
}

/* Takes @event when it notifies. */
static void
consider (Search *search, CmEvent *event)
{
  const char *user_id = cm_call_user (search->call);
  g_autoptr (CmRoomView) view = cm_rooms_view (search->node->rooms, event->room_id, NULL);
  CmMatch match = { event, view, user_id };
  CmPushVerdict verdict;

  if (view == NULL || strcmp (event->sender, user_id) == 0 ||
      !cm_matcher_match (search->matcher, &match, &verdict) ||
      (search->highlights && !verdict.highlight))
    return;
  g_ptr_array_add (search->events, cm_event_ref (event));
  g_ptr_array_add (search->actions, g_bytes_ref (verdict.actions));
}

/* @from moves to where the next page begins; 0: there is none. */
static gboolean
search_events (Search *search, gint64 *from, GError **error)
{
  CmRooms *rooms = search->node->rooms;
  g_autoptr (CmRows) rows = NULL;
  {
    g_autoptr (CmDb) db = cm_pool_get (search->node->pool, error);
    rows = db != NULL ? cm_push_candidates (db, cm_call_requester (search->call)->user, *from,
                                            MAX_EVENTS, error)
                      : NULL;
  }
  if (rows == NULL)
    return FALSE;
  gsize count = cm_rows_count (rows);
  g_autofree gint64 *numbers = g_new (gint64, count + 1);
  for (gsize i = 0; i < count; i++)
    numbers[i] = cm_rows_integer (rows, i, 0);
  g_autoptr (GPtrArray) events =
      cm_event_store_get_many (cm_rooms_events (rooms), numbers, count, error);
  if (events == NULL)
    return FALSE;
  *from = count == MAX_EVENTS ? cm_rows_integer (rows, count - 1, 1) : 0;
  for (gsize i = 0; i < count; i++) {
    CmEvent *event = g_ptr_array_index (events, i);
    if (event != NULL)
      consider (search, event);
    if (search->events->len == search->limit && i + 1 < count) {
      *from = cm_rows_integer (rows, i, 1);
      break;
    }
  }
  return TRUE;
}

/* (transfer full) "room thread" -> gint64*: the position up to which it is read. */
static GHashTable *
find_read (const Search *search, GError **error)
{
  g_autoptr (GArray) rooms = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (CmDb) db = cm_pool_get (search->node->pool, error);

  for (guint i = 0; i < search->events->len; i++) {
    gint64 room = ((CmEvent *) g_ptr_array_index (search->events, i))->room_sym;
    g_array_append_val (rooms, room);
  }
  g_autoptr (CmRows) rows =
      db != NULL ? cm_receipts_read (db, cm_call_user (search->call), rooms, error) : NULL;
  if (rows == NULL)
    return NULL;
  GHashTable *read = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    gint64 position = cm_rows_integer (rows, i, 2);
    g_hash_table_replace (read,
                          g_strdup_printf ("%" G_GINT64_FORMAT " %s", cm_rows_integer (rows, i, 0),
                                           cm_rows_text (rows, i, 1)),
                          g_memdup2 (&position, sizeof position));
  }
  return read;
}

static gboolean
is_read (const Search *search, GHashTable *read, const CmEvent *event)
{
  g_autoptr (CmEvent) root = cm_thread_root (search->node->rooms, event);
  const char *threads[] = { "", root != NULL ? root->event_id : "main" };

  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++) {
    g_autofree char *key = g_strdup_printf ("%u %s", event->room_sym, threads[i]);
    const gint64 *position = g_hash_table_lookup (read, key);
    if (position != NULL && *position >= event->position)
      return TRUE;
  }
  return FALSE;
}

static CmReply *
write_reply (const Search *search, gint64 next, GError **error)
{
  CmViewer viewer = { search->node, cm_call_user (search->call), cm_call_device (search->call),
                      CM_SHOW_NO_ROOM_ID };
  g_autoptr (GPtrArray) texts = cm_client_events (&viewer, search->events, error);
  g_autoptr (GHashTable) read = texts != NULL ? find_read (search, error) : NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (read == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "notifications");
  for (guint i = 0; i < search->events->len; i++) {
    const CmEvent *event = g_ptr_array_index (search->events, i);
    cm_json_open_object (writer, NULL);
    cm_json_put_bytes (writer, "actions", g_ptr_array_index (search->actions, i));
    cm_json_put_bytes (writer, "event", g_ptr_array_index (texts, i));
    cm_json_put_null (writer, "profile_tag");
    cm_json_put_boolean (writer, "read", is_read (search, read, event));
    cm_json_put_text (writer, "room_id", event->room_id);
    cm_json_put_integer (writer, "ts", event->origin_server_ts);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  if (next != 0) {
    g_autofree char *token = cm_page_token (next - 1);
    cm_json_put_text (writer, "next_token", token);
  }
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static CmReply *
get_notifications (CmCall *call, GError **error)
{
  const char *text = cm_call_query (call, "from");
  gint64 from = G_MAXINT64 / 4;
  g_auto (Search) search = { 0 };

  if (text != NULL && !cm_page_token_parse (text, &from, error))
    return NULL;
  /* Exclusive: the token's position itself lies before the cut. */
  from++;
  if (!search_init (&search, call, error) || !search_events (&search, &from, error))
    return NULL;
  return write_reply (&search, from, error);
}

const CmRoute cm_routes_notifications[] = {
  { "GET", "/_matrix/client/v3/notifications", CM_AUTH_TOKEN, CM_LIMIT_HEAVY, CM_LANE_CLIENT,
    CM_BODY_NONE, get_notifications, 0 },
  CM_ROUTES_END,
};
