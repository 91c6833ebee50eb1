/* What relates to an event, and the threads of a room. */
#include "schema/relation.h"
#include "server/client-event.h"
#include "server/node.h"
#include "server/rooms/history.h"
#include "server/rooms/page-token.h"
#include "server/routes.h"

#include <string.h>

#define DEFAULT_LIMIT 5
#define MAX_LIMIT     100
#define MAX_DEPTH     3 /* of recurse=true */

static gboolean
read_direction (CmCall *call, CmRelationQuery *query, GError **error)
{
  const char *dir = cm_call_query (call, "dir");

  query->backwards = dir == NULL || strcmp (dir, "b") == 0;
  if (query->backwards || strcmp (dir, "f") == 0)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "dir must be b or f");
  return FALSE;
}

static gboolean
read_type (CmCall *call, CmRelationQuery *query, GError **error)
{
  const char *type = cm_call_param (call, "eventType");
  g_autoptr (GError) failure = NULL;

  if (type == NULL)
    return TRUE;
  query->type = cm_sym_lookup (cm_call_node (call)->ids, type, &failure);
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (query->type == 0)
    query->type = -1; /* a type that no event has */
  return TRUE;
}

static gboolean
read_query (CmCall *call, const CmReadableRoom *room, CmRelationQuery *query, GError **error)
{
  const char *from = cm_call_query (call, "from");
  const char *to = cm_call_query (call, "to");
  gboolean recurse;

  *query = (CmRelationQuery){ .room = room->view->room,
                              .parent = cm_call_param (call, "eventId"),
                              .rel_type = cm_call_param (call, "relType") };
  if (!read_direction (call, query, error) || !read_type (call, query, error) ||
      !cm_call_query_boolean (call, "recurse", &recurse, error) ||
      !cm_call_query_integer (call, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT, &query->limit, error))
    return FALSE;
  query->depth = recurse ? MAX_DEPTH : 1;
  query->from = query->backwards ? CM_CUT_LAST : CM_CUT_FIRST;
  query->to = query->backwards ? CM_CUT_FIRST : CM_CUT_LAST;
  if ((from != NULL && !cm_page_token_parse (from, &query->from, error)) ||
      (to != NULL && !cm_page_token_parse (to, &query->to, error)))
    return FALSE;
  if (query->backwards)
    query->from = MIN (query->from, room->until);
  else
    query->to = MIN (query->to, room->until);
  return TRUE;
}

/* (transfer full) the events of @related that the caller may see. */
static GPtrArray *
visible_events (CmCall *call, GArray *related, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autofree gint64 *numbers = g_new (gint64, related->len + 1);

  for (guint i = 0; i < related->len; i++)
    numbers[i] = g_array_index (related, CmRelated, i).event;
  g_autoptr (GPtrArray) events =
      cm_event_store_get_many (cm_rooms_events (node->rooms), numbers, related->len, error);
  if (events == NULL ||
      !cm_timeline_filter_for_user (node->rooms, events, cm_call_user (call), error))
    return NULL;
  return g_steal_pointer (&events);
}

static void
put_next (CmJsonWriter *writer, const GArray *related, gint64 limit, gboolean backwards)
{
  if ((gint64) related->len < limit)
    return;
  gint64 last = g_array_index (related, CmRelated, related->len - 1).position;
  g_autofree char *token = cm_page_token (backwards ? last - 1 : last);
  cm_json_put_text (writer, "next_batch", token);
}

/* GET /rooms/{roomId}/relations/{eventId}[/{relType}[/{eventType}]] */
static CmReply *
get_relations (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  CmViewer viewer = cm_call_viewer (call);
  g_auto (CmReadableRoom) room = { 0 };
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_autoptr (GArray) related = NULL;
  CmRelationQuery query;

  if (!cm_call_readable_room (call, &room, error) || !read_query (call, &room, &query, error))
    return NULL;
  g_autoptr (CmEvent) parent =
      cm_readable_room_event (node, &room, viewer.user_id, query.parent, error);
  if (parent == NULL)
    return NULL;
  {
    g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
    related = db != NULL ? cm_relation_children (db, &query, error) : NULL;
  }
  g_autoptr (GPtrArray) events = related != NULL ? visible_events (call, related, error) : NULL;
  if (events == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  if (!cm_client_events_put (writer, "chunk", &viewer, events, error))
    return NULL;
  put_next (writer, related, query.limit, query.backwards);
  if (cm_call_query (call, "from") != NULL)
    cm_json_put_text (writer, "prev_batch", cm_call_query (call, "from"));
  if (query.depth > 1)
    cm_json_put_integer (writer, "recursion_depth", query.depth);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* The caller's sym when only threads that he took part in are wanted, else 0. */
static gboolean
read_participant (CmCall *call, gint64 *participant, GError **error)
{
  const char *include = cm_call_query (call, "include");

  *participant = 0;
  if (include == NULL || strcmp (include, "all") == 0)
    return TRUE;
  if (strcmp (include, "participated") != 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "include must be all or participated");
    return FALSE;
  }
  *participant = cm_sym (cm_call_node (call)->ids, cm_call_user (call), error);
  return *participant != 0;
}

/* GET /rooms/{roomId}/threads */
static CmReply *
get_threads (CmCall *call, GError **error)
{
  CmViewer viewer = cm_call_viewer (call);
  g_auto (CmReadableRoom) room = { 0 };
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const char *from = cm_call_query (call, "from");
  gint64 limit, participant, until = CM_CUT_LAST;
  g_autoptr (GArray) threads = NULL;

  if (!cm_call_readable_room (call, &room, error) ||
      !cm_call_query_integer (call, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT, &limit, error) ||
      !read_participant (call, &participant, error) ||
      (from != NULL && !cm_page_token_parse (from, &until, error)))
    return NULL;
  {
    g_autoptr (CmDb) db = cm_pool_get (viewer.node->pool, error);
    threads = db != NULL ? cm_relation_threads (db, room.view->room, MIN (until, room.until),
                                                participant, limit, error)
                         : NULL;
  }
  g_autoptr (GPtrArray) roots = threads != NULL ? visible_events (call, threads, error) : NULL;
  if (roots == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  if (!cm_client_events_put (writer, "chunk", &viewer, roots, error))
    return NULL;
  put_next (writer, threads, limit, TRUE);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

#define ROOM "/_matrix/client/v1/rooms/{roomId}"
#define READ CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE

const CmRoute cm_routes_relations[] = {
  { "GET", ROOM "/relations/{eventId}", READ, get_relations, 0 },
  { "GET", ROOM "/relations/{eventId}/{relType}", READ, get_relations, 0 },
  { "GET", ROOM "/relations/{eventId}/{relType}/{eventType}", READ, get_relations, 0 },
  { "GET", ROOM "/threads", READ, get_threads, 0 },
  CM_ROUTES_END,
};
