/* Spaces and previews of rooms. */
#include "crypto/id.h"
#include "server/node.h"
#include "server/rooms/alias.h"
#include "server/rooms/find.h"
#include "server/rooms/outside.h"
#include "server/rooms/space.h"
#include "server/routes.h"

#include <string.h>

#define DEFAULT_LIMIT 50
#define MAX_LIMIT     100
#define MAX_DEPTH     10
/* Rooms that one walk looks at: what a page token can reach. */
#define MAX_ROOMS 500
/* For so long a walk asks other servers, then it shows what this one knows. */
#define ASKING_US (20 * G_TIME_SPAN_SECOND)

/* A room that the walk has still to visit. */
typedef struct {
  char *room_id;
  char **via;
  gint64 depth;
} Stop;

static void
stop_free (Stop *stop)
{
  g_free (stop->room_id);
  g_strfreev (stop->via);
  g_free (stop);
}

typedef struct {
  CmNode *node;
  const char *user_id;
  gboolean suggested_only;
  gint64 max_depth;
  gint64 limit;
  gint64 skip;      /* rooms that earlier pages had */
  gint64 deadline;  /* monotonic */
  GPtrArray *stack; /* of Stop, the next one last */
  GHashTable *seen;
} Walk;

static void
walk_clear (Walk *walk)
{
  g_clear_pointer (&walk->stack, g_ptr_array_unref);
  g_clear_pointer (&walk->seen, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Walk, walk_clear)

static void
push (Walk *walk, const char *room_id, const CmJson *via, gint64 depth)
{
  g_autoptr (GStrvBuilder) servers = g_strv_builder_new ();
  Stop *stop = g_new0 (Stop, 1);
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, via);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (cm_id_is_server_name (cm_json_text (item)))
      g_strv_builder_add (servers, cm_json_text (item));
  stop->room_id = g_strdup (room_id);
  stop->via = g_strv_builder_end (servers);
  stop->depth = depth;
  g_ptr_array_add (walk->stack, stop);
}

/* Depth first: the first child is to be next. */
static void
push_children (Walk *walk, const CmJson *room, gint64 depth)
{
  const CmJson *children = cm_json_get_array (room, "children_state");
  g_autoptr (GPtrArray) nodes = g_ptr_array_new ();
  const CmJson *item;
  CmJsonIter iter;

  if (g_strcmp0 (cm_json_get_text (room, "room_type"), "m.space") != 0 || depth >= walk->max_depth)
    return;
  cm_json_iter_init (&iter, children);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (cm_id_is_room (cm_json_get_text (item, "state_key")))
      g_ptr_array_add (nodes, (gpointer) item);
  for (guint i = nodes->len; i > 0; i--) {
    const CmJson *child = nodes->pdata[i - 1];
    push (walk, cm_json_get_text (child, "state_key"),
          cm_json_get_array (cm_json_get (child, "content"), "via"), depth + 1);
  }
}

/* Through whom to ask about @stop; nobody when there is no more time. */
static const char *const *
via_of (const Walk *walk, const Stop *stop)
{
  return g_get_monotonic_time () < walk->deadline ? (const char *const *) stop->via : NULL;
}

/* (transfer full) the next room that may be shown; NULL when there is none. */
static CmJsonDoc *
step (Walk *walk)
{
  while (walk->stack->len > 0 && g_hash_table_size (walk->seen) < MAX_ROOMS) {
    Stop *stop = g_ptr_array_steal_index (walk->stack, walk->stack->len - 1);
    g_autoptr (CmJsonDoc) room = NULL;
    if (g_hash_table_add (walk->seen, g_strdup (stop->room_id)))
      room = cm_space_find (walk->node, stop->room_id, via_of (walk, stop), walk->user_id,
                            walk->suggested_only, NULL);
    if (room != NULL)
      push_children (walk, cm_json_doc_root (room), stop->depth);
    stop_free (stop);
    if (room != NULL)
      return g_steal_pointer (&room);
  }
  return NULL;
}

/* The token repeats what must not change between pages, and how many rooms there were before. */
static char *
make_token (const Walk *walk, gint64 shown)
{
  return g_strdup_printf ("h%" G_GINT64_FORMAT "_%" G_GINT64_FORMAT "_%d", shown, walk->max_depth,
                          walk->suggested_only);
}

static gboolean
read_token (const char *token, Walk *walk, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (token[0] == 'h' ? token + 1 : "", "_", -1);

  if (g_strv_length (parts) == 3 &&
      g_ascii_string_to_signed (parts[0], 10, 0, MAX_ROOMS, &walk->skip, NULL)) {
    g_autofree char *same = make_token (walk, walk->skip);
    if (strcmp (same, token) == 0)
      return TRUE;
  }
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
               "from is unknown, or max_depth or suggested_only has changed");
  return FALSE;
}

static gboolean
read_walk (CmCall *call, Walk *walk, GError **error)
{
  const char *from = cm_call_query (call, "from");

  *walk = (Walk){ .node = cm_call_node (call),
                  .user_id = cm_call_user (call),
                  .deadline = g_get_monotonic_time () + ASKING_US,
                  .suggested_only = g_strcmp0 (cm_call_query (call, "suggested_only"), "true") == 0,
                  .stack = g_ptr_array_new_with_free_func ((GDestroyNotify) stop_free),
                  .seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL) };
  return cm_call_query_integer (call, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT, &walk->limit, error) &&
         cm_call_query_integer (call, "max_depth", MAX_DEPTH, 0, MAX_DEPTH, &walk->max_depth,
                                error) &&
         (from == NULL || read_token (from, walk, error));
}

static gboolean
put_rooms (Walk *walk, CmJsonWriter *writer, GError **error)
{
  gint64 found = 0;
  CmJsonDoc *room;

  cm_json_open_array (writer, "rooms");
  while ((room = step (walk)) != NULL) {
    if (found >= walk->skip && found < walk->skip + walk->limit)
      cm_json_put_node (writer, NULL, cm_json_doc_root (room));
    cm_json_doc_unref (room);
    if (++found > walk->skip + walk->limit)
      break;
  }
  cm_json_close (writer);
  if (found == 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "You may not look at this room");
    return FALSE;
  }
  if (found > walk->skip + walk->limit) {
    g_autofree char *token = make_token (walk, walk->skip + walk->limit);
    cm_json_put_text (writer, "next_batch", token);
  }
  return TRUE;
}

/* GET /rooms/{roomId}/hierarchy */
static CmReply *
get_hierarchy (CmCall *call, GError **error)
{
  const char *room_id = cm_call_param (call, "roomId");
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_auto (Walk) walk = { 0 };

  if (!cm_id_is_room (room_id)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "This is no room id");
    return NULL;
  }
  if (!read_walk (call, &walk, error))
    return NULL;
  push (&walk, room_id, NULL, 0);
  cm_json_open_object (writer, NULL);
  if (!put_rooms (&walk, writer, error))
    return NULL;
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static CmAliasTarget *
find_target (CmCall *call, GError **error)
{
  const char *name = cm_call_param (call, "roomIdOrAlias");
  g_autoptr (GPtrArray) via = cm_call_query_all (call, "via");
  g_autoptr (GStrvBuilder) servers = g_strv_builder_new ();

  /* Strangers cannot send this server to others. */
  for (guint i = 0; i < via->len && cm_call_user (call) != NULL; i++)
    g_strv_builder_add (servers, via->pdata[i]);
  return cm_alias_target_named (cm_call_node (call), name, g_strv_builder_end (servers), error);
}

static void
put_membership (CmJsonWriter *writer, CmNode *node, const char *room_id, const char *user_id)
{
  g_autoptr (CmOutsideMembership) outside = cm_room_outside (node, room_id, user_id, NULL);
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, room_id, NULL);
  CmMembership membership = view != NULL ? cm_room_membership (view, user_id) : CM_MEMBERSHIP_NONE;

  if (outside != NULL && membership != CM_MEMBERSHIP_JOIN)
    membership = cm_membership_from_text (outside->membership);
  if (membership == CM_MEMBERSHIP_NONE)
    membership = CM_MEMBERSHIP_LEAVE;
  cm_json_put_text (writer, "membership", cm_membership_text (membership));
}

/* GET /room_summary/{roomIdOrAlias} */
static CmReply *
get_summary (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *user_id = cm_call_user (call);
  g_autoptr (CmAliasTarget) target = find_target (call, error);
  g_autoptr (CmJsonDoc) room =
      target != NULL ? cm_space_find (node, target->room_id, (const char *const *) target->servers,
                                      user_id, FALSE, error)
                     : NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *value;
  const char *key;
  CmJsonIter iter;

  if (room == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_iter_init (&iter, cm_json_doc_root (room));
  while (cm_json_iter_next (&iter, &key, &value))
    if (strcmp (key, "children_state") != 0)
      cm_json_put_node (writer, key, value);
  if (user_id != NULL)
    put_membership (writer, node, target->room_id, user_id);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

#define HEAVY CM_LIMIT_HEAVY, CM_LANE_REMOTE, CM_BODY_NONE

const CmRoute cm_routes_hierarchy[] = {
  { "GET", "/_matrix/client/v1/rooms/{roomId}/hierarchy", CM_AUTH_TOKEN, HEAVY, get_hierarchy, 0 },
  { "GET", "/_matrix/client/v1/room_summary/{roomIdOrAlias}", CM_AUTH_TOKEN_OPTIONAL, HEAVY,
    get_summary, 0 },
  CM_ROUTES_END,
};
