/* Events and their ancestors, for servers in the room (server-server, "Backfilling and retrieving
 * missing events", "Retrieving events"). */
#include "crypto/id.h"
#include "federation/timeline.h"
#include "schema/room-history.h"
#include "server/api/federation/room.h"
#include "server/rooms/find.h"
#include "server/routes.h"

#include <string.h>

#define MAX_BACKFILL 100
#define MAX_MISSING  50
#define MAX_IDS      50

/* A walk backwards through the graph, breadth first. */
typedef struct {
  CmRooms *rooms;
  const CmRoomView *view;
  GHashTable *seen; /* event ids that were met, or are not wanted */
  GPtrArray *found; /* of CmEvent */
  gsize limit;
  gint64 min_depth;
} Walk;

static void
walk_clear (Walk *walk)
{
  g_clear_pointer (&walk->seen, g_hash_table_unref);
  g_clear_pointer (&walk->found, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Walk, walk_clear)

static void
walk_init (Walk *walk, CmCall *call, const CmRoomView *view, gsize limit)
{
  *walk = (Walk){ .rooms = cm_call_node (call)->rooms, .view = view, .limit = limit };
  walk->seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  walk->found = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
}

static void
add_prev (Walk *walk, const CmEvent *event, GPtrArray *next)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_array (event->json, "prev_events"));
  while (cm_json_iter_next (&iter, NULL, &item)) {
    const char *id = cm_json_text (item);
    if (g_hash_table_add (walk->seen, g_strdup (id)))
      g_ptr_array_add (next, g_strdup (id));
  }
}

static gboolean
is_walkable (const Walk *walk, const CmEvent *event)
{
  return event != NULL && strcmp (event->room_id, walk->view->room_id) == 0 &&
         (event->flags & (CM_EVENT_OUTLIER | CM_EVENT_REJECTED)) == 0 &&
         event->depth >= walk->min_depth;
}

/* @ids: where to begin, of char *. @with_first: whether the events there are wanted themselves. */
static gboolean
walk_back (Walk *walk, GPtrArray *ids, gboolean with_first, GError **error)
{
  g_autoptr (GPtrArray) level = g_ptr_array_ref (ids);
  gboolean wanted = with_first;

  while (level->len > 0 && walk->found->len < walk->limit) {
    g_autoptr (GPtrArray) next = g_ptr_array_new_with_free_func (g_free);
    g_autoptr (GPtrArray) events = cm_event_store_find_many (
        cm_rooms_events (walk->rooms), (const char *const *) level->pdata, level->len, error);
    if (events == NULL)
      return FALSE;
    for (guint i = 0; i < events->len && walk->found->len < walk->limit; i++) {
      CmEvent *event = events->pdata[i];
      if (!is_walkable (walk, event))
        continue;
      if (wanted)
        g_ptr_array_add (walk->found, cm_event_ref (event));
      add_prev (walk, event, next);
    }
    g_ptr_array_unref (level);
    level = g_steal_pointer (&next);
    wanted = TRUE;
  }
  return TRUE;
}

static void
put_header (CmJsonWriter *writer, CmCall *call)
{
  cm_json_put_text (writer, "origin", cm_call_node (call)->server_name);
  cm_json_put_integer (writer, "origin_server_ts", g_get_real_time () / 1000);
}

/* What the server may not see is pruned. @backwards: the last of @events goes first. */
static gboolean
put_events (CmJsonWriter *writer, const char *key, CmCall *call, GPtrArray *events,
            gboolean backwards, GError **error)
{
  if (!cm_timeline_filter_for_server (cm_call_node (call)->rooms, events, cm_call_origin (call),
                                      error))
    return FALSE;
  cm_json_open_array (writer, key);
  for (guint i = 0; i < events->len; i++)
    cm_event_write (writer, NULL, events->pdata[backwards ? events->len - 1 - i : i],
                    CM_FORMAT_FEDERATION, NULL);
  cm_json_close (writer);
  return TRUE;
}

static gboolean
too_many (GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "At most %u events may be named", MAX_IDS);
  return FALSE;
}

/* GET /_matrix/federation/v1/backfill/{roomId} */
static CmReply *
backfill (CmCall *call, GError **error)
{
  g_autoptr (CmRoomView) view = cm_federation_joined_room (call, error);
  g_autoptr (GPtrArray) from = cm_call_query_all (call, "v");
  g_auto (Walk) walk = { 0 };
  gint64 limit;

  if (view == NULL || !cm_call_query_integer (call, "limit", 10, 0, MAX_BACKFILL, &limit, error))
    return NULL;
  if (from->len > MAX_IDS) {
    too_many (error);
    return NULL;
  }
  walk_init (&walk, call, view, (gsize) limit);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  put_header (writer, call);
  if (!walk_back (&walk, from, TRUE, error) ||
      !put_events (writer, "pdus", call, walk.found, FALSE, error))
    return NULL;
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* (transfer full) the ids of a list of the body; NULL with @error. */
static GPtrArray *
read_ids (const CmJson *body, const char *key, GError **error)
{
  const CmJson *list = cm_json_get_array (body, key);
  g_autoptr (GPtrArray) ids = g_ptr_array_new_with_free_func (g_free);
  const CmJson *item;
  CmJsonIter iter;

  if (list == NULL || cm_json_length (list) > MAX_IDS) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "%s must be an array of at most %u", key,
                 MAX_IDS);
    return NULL;
  }
  cm_json_iter_init (&iter, list);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    if (cm_id_is_event (cm_json_text (item)))
      g_ptr_array_add (ids, g_strdup (cm_json_text (item)));
  }
  return g_steal_pointer (&ids);
}

/* POST /_matrix/federation/v1/get_missing_events/{roomId} */
static CmReply *
get_missing_events (CmCall *call, GError **error)
{
  const CmJson *body = cm_call_json (call);
  g_autoptr (CmRoomView) view = cm_federation_joined_room (call, error);
  g_autoptr (GPtrArray) earliest = view != NULL ? read_ids (body, "earliest_events", error) : NULL;
  g_autoptr (GPtrArray) latest = earliest != NULL ? read_ids (body, "latest_events", error) : NULL;
  g_auto (Walk) walk = { 0 };

  if (latest == NULL)
    return NULL;
  gint64 limit = cm_json_get_integer (body, "limit", 10);
  walk_init (&walk, call, view, (gsize) CLAMP (limit, 0, MAX_MISSING));
  walk.min_depth = cm_json_get_integer (body, "min_depth", 0);
  for (guint i = 0; i < earliest->len; i++)
    g_hash_table_add (walk.seen, g_strdup (earliest->pdata[i]));
  for (guint i = 0; i < latest->len; i++)
    g_hash_table_add (walk.seen, g_strdup (latest->pdata[i]));
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  if (!walk_back (&walk, latest, FALSE, error) ||
      !put_events (writer, "events", call, walk.found, TRUE, error))
    return NULL;
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /_matrix/federation/v1/event/{eventId} */
static CmReply *
get_event (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *event_id = cm_call_param (call, "eventId");
  g_autoptr (CmEvent) known = cm_event_store_find (cm_rooms_events (node->rooms), event_id, error);
  g_autoptr (CmRoomView) view =
      known != NULL ? cm_federation_joined_room_of (call, known->room_id, error) : NULL;
  g_autoptr (CmEvent) event =
      view != NULL ? cm_federation_event (call, view, event_id, NULL, error) : NULL;

  if (event == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  put_header (writer, call);
  cm_json_open_array (writer, "pdus");
  cm_event_write (writer, NULL, event, CM_FORMAT_FEDERATION, NULL);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static GArray *
find_near (CmNode *node, const CmRoomView *view, gint64 ts, gboolean backwards, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  return db != NULL ? cm_room_events_near (db, view->room, ts, backwards,
                                           cm_committer_position (node->committer), 1, error)
                    : NULL;
}

/* GET /_matrix/federation/v1/timestamp_to_event/{roomId} */
static CmReply *
timestamp_to_event (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *dir = cm_call_query (call, "dir");
  gint64 ts;

  g_autoptr (CmRoomView) view = cm_federation_joined_room (call, error);
  if (view == NULL || !cm_call_query_integer (call, "ts", -1, 0, G_MAXINT64, &ts, error))
    return NULL;
  if (ts < 0 || (g_strcmp0 (dir, "f") != 0 && g_strcmp0 (dir, "b") != 0)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "ts and dir (f or b) are needed");
    return NULL;
  }
  g_autoptr (GArray) numbers = find_near (node, view, ts, strcmp (dir, "b") == 0, error);
  if (numbers == NULL)
    return NULL;
  gint64 number = numbers->len > 0 ? g_array_index (numbers, gint64, 0) : 0;
  g_autoptr (CmEvent) event = cm_event_store_get (cm_rooms_events (node->rooms), number, error);
  return event != NULL ? cm_event_time_reply (event) : NULL;
}

#define SIGNED CM_AUTH_FEDERATION, CM_LIMIT_FEDERATION, CM_LANE_FEDERATION

const CmRoute cm_routes_federation_events[] = {
  { "GET", "/_matrix/federation/v1/backfill/{roomId}", SIGNED, CM_BODY_NONE, backfill },
  { "POST", "/_matrix/federation/v1/get_missing_events/{roomId}", SIGNED, CM_BODY_JSON,
    get_missing_events },
  { "GET", "/_matrix/federation/v1/event/{eventId}", SIGNED, CM_BODY_NONE, get_event },
  { "GET", "/_matrix/federation/v1/timestamp_to_event/{roomId}", SIGNED, CM_BODY_NONE,
    timestamp_to_event },
  CM_ROUTES_END,
};
