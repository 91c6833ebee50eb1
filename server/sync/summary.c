#include "server/sync/summary.h"

#include "schema/sync.h"
#include "server/node.h"

static gboolean
has_text (const CmRoomView *view, const char *type, const char *key)
{
  g_autoptr (CmEvent) event = cm_room_state_event (view, type, "", NULL);
  const char *text = event != NULL ? cm_json_get_text (event->content, key) : NULL;

  return text != NULL && text[0] != '\0';
}

static gboolean
is_named (const CmRoomView *view)
{
  return has_text (view, "m.room.name", "name") ||
         has_text (view, "m.room.canonical_alias", "alias");
}

static void
take_heroes (GHashTable *unnamed, const CmRows *rows)
{
  for (gsize row = 0; row < cm_rows_count (rows);) {
    g_autoptr (GStrvBuilder) heroes = g_strv_builder_new ();
    gint64 sym = cm_rows_integer (rows, row, 0);
    CmSyncRoom *room = g_hash_table_lookup (unnamed, &sym);
    for (; row < cm_rows_count (rows) && cm_rows_integer (rows, row, 0) == sym; row++)
      g_strv_builder_add (heroes, cm_rows_text (rows, row, 1));
    g_strfreev (room->heroes);
    room->heroes = g_strv_builder_end (heroes);
  }
}

gboolean
cm_sync_add_summaries (CmSyncAnswer *answer, GError **error)
{
  const CmSyncRequest *request = answer->request;
  g_autoptr (GHashTable) unnamed = g_hash_table_new (g_int64_hash, g_int64_equal);
  g_autoptr (GArray) syms = g_array_new (FALSE, FALSE, sizeof (gint64));

  for (guint i = 0; i < answer->rooms->len; i++) {
    CmSyncRoom *room = g_ptr_array_index (answer->rooms, i);
    if (room->membership != CM_MEMBERSHIP_JOIN || !(room->fresh || room->changed_members))
      continue;
    g_autoptr (CmRoomView) view = cm_rooms_view (request->node->rooms, room->room_id, NULL);
    if (view == NULL)
      continue;
    room->joined = view->joined;
    room->invited = view->invited;
    if (is_named (view))
      continue;
    room->heroes = g_new0 (char *, 1);
    g_hash_table_insert (unnamed, &room->room, room);
    g_array_append_val (syms, room->room);
  }
  if (syms->len == 0)
    return TRUE;
  g_autoptr (CmDb) db = cm_pool_get (request->node->pool, error);
  g_autoptr (CmRows) rows = db != NULL ? cm_sync_heroes (db, syms, request->user, error) : NULL;
  if (rows == NULL)
    return FALSE;
  take_heroes (unnamed, rows);
  return TRUE;
}
