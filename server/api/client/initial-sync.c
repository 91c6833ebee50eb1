/* GET /rooms/{roomId}/initialSync: one room at a glance, for who looks into it from outside
 * (client-server, "Room previews"). */
#include "schema/account-data.h"
#include "schema/committer.h"
#include "schema/room-directory.h"
#include "server/node.h"
#include "server/rooms/history.h"
#include "server/rooms/page-token.h"
#include "server/routes.h"

#define DEFAULT_LIMIT 20
#define MAX_LIMIT     100

typedef struct {
  CmReadableRoom room;
  CmHistoryPage *page; /* the newest first */
  gint64 now;          /* position of the end of the page */
  GPtrArray *state;
  CmRows *account_data;
  gboolean listed;
} Glance;

static void
glance_clear (Glance *glance)
{
  cm_readable_room_clear (&glance->room);
  g_clear_pointer (&glance->page, cm_history_page_free);
  g_clear_pointer (&glance->state, g_ptr_array_unref);
  g_clear_pointer (&glance->account_data, cm_rows_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Glance, glance_clear)

static gboolean
read_messages (CmCall *call, Glance *glance, GError **error)
{
  g_autoptr (CmEventFilter) everything = cm_event_filter_new (NULL, error);
  gint64 limit;

  if (everything == NULL ||
      !cm_call_query_integer (call, "limit", DEFAULT_LIMIT, 0, MAX_LIMIT, &limit, error))
    return FALSE;
  glance->now = MIN (cm_committer_position (cm_call_node (call)->committer), glance->room.until);
  CmHistoryQuery query = { .node = cm_call_node (call),
                           .room = &glance->room,
                           .user_id = cm_call_user (call),
                           .filter = everything,
                           .from = glance->now,
                           .to = CM_CUT_FIRST,
                           .backwards = TRUE,
                           .limit = (gsize) limit };
  glance->page = cm_history_read (&query, error);
  return glance->page != NULL;
}

static gboolean
read_rest (CmCall *call, Glance *glance, GError **error)
{
  const CmRoomView *view = glance->room.view;

  glance->state = cm_readable_room_state (cm_call_node (call), &glance->room, error);
  if (glance->state == NULL)
    return FALSE;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  if (db == NULL || !cm_room_is_listed (db, view->room, &glance->listed, error))
    return FALSE;
  glance->account_data = cm_account_data_of_room (db, cm_call_user (call), view->room_id, error);
  return glance->account_data != NULL;
}

static gboolean
put_messages (CmJsonWriter *writer, const CmViewer *viewer, const Glance *glance, GError **error)
{
  g_autoptr (GPtrArray) chunk = g_ptr_array_new ();
  g_autofree char *start = cm_page_token (glance->page->end);
  g_autofree char *end = cm_page_token (glance->now);

  for (guint i = glance->page->events->len; i > 0; i--)
    g_ptr_array_add (chunk, glance->page->events->pdata[i - 1]);
  cm_json_open_object (writer, "messages");
  if (!cm_client_events_put (writer, "chunk", viewer, chunk, error))
    return FALSE;
  cm_json_put_text (writer, "start", start);
  cm_json_put_text (writer, "end", end);
  cm_json_close (writer);
  return TRUE;
}

static void
put_account_data (CmJsonWriter *writer, const CmRows *rows)
{
  cm_json_open_array (writer, "account_data");
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    g_autoptr (GBytes) content = cm_rows_bytes (rows, i, 1);
    cm_json_open_object (writer, NULL);
    cm_json_put_text (writer, "type", cm_rows_text (rows, i, 0));
    cm_json_put_bytes (writer, "content", content);
    cm_json_close (writer);
  }
  cm_json_close (writer);
}

static CmReply *
get_initial_sync (CmCall *call, GError **error)
{
  g_auto (Glance) glance = { 0 };
  CmViewer viewer = cm_call_viewer (call), plain = viewer;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (!cm_call_readable_room (call, &glance.room, error) || !read_messages (call, &glance, error) ||
      !read_rest (call, &glance, error))
    return NULL;
  CmMembership membership = cm_room_membership (glance.room.view, viewer.user_id);
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "room_id", glance.room.view->room_id);
  if (membership != CM_MEMBERSHIP_NONE)
    cm_json_put_text (writer, "membership", cm_membership_text (membership));
  cm_json_put_text (writer, "visibility", glance.listed ? "public" : "private");
  plain.flags = CM_SHOW_STATE;
  if (!put_messages (writer, &viewer, &glance, error) ||
      !cm_client_events_put (writer, "state", &plain, glance.state, error))
    return NULL;
  put_account_data (writer, glance.account_data);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_initial_sync[] = {
  { "GET", "/_matrix/client/v3/rooms/{roomId}/initialSync", CM_AUTH_TOKEN_GUEST, CM_LIMIT_READ,
    CM_LANE_CLIENT, CM_BODY_NONE, get_initial_sync, 0 },
  CM_ROUTES_END,
};
