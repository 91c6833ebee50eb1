#include "server/aggregations.h"

#include "federation/timeline.h"
#include "schema/account-data.h"
#include "schema/relation.h"
#include "server/node.h"
#include "server/rooms/find.h"
#include "server/sync/answer.h"

#include <string.h>

void
cm_aggregations_event_added (CmWrite *write, const CmEvent *event)
{
  const CmJson *relates_to = cm_json_get (event->content, "m.relates_to");
  const char *parent = cm_json_get_text (relates_to, "event_id");
  const char *rel_type = cm_json_get_text (relates_to, "rel_type");

  if (parent == NULL || rel_type == NULL || strlen (parent) > 255 || strlen (rel_type) > 255)
    return;
  const char *key = cm_json_get_text (relates_to, "key");
  if (key != NULL && strlen (key) > 255)
    key = NULL;
  cm_relation_add (write, event->number, event->room_sym, parent, rel_type, key);
}

/* Events that stand inside others' aggregations, by number: those that the viewer may see, shown
 * without aggregations of their own but edits. */
static GHashTable *
show_children (const CmViewer *viewer, GHashTable *relations, GError **error)
{
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  GHashTableIter iter;
  CmRelations *one;

  g_hash_table_iter_init (&iter, relations);
  while (g_hash_table_iter_next (&iter, NULL, (gpointer *) &one)) {
    if (one->replacement != 0)
      g_array_append_val (numbers, one->replacement);
    if (one->thread_latest != 0)
      g_array_append_val (numbers, one->thread_latest);
  }
  g_autoptr (GPtrArray) events = cm_event_store_get_many (
      cm_rooms_events (viewer->node->rooms), (const gint64 *) numbers->data, numbers->len, error);
  CmViewer plain = *viewer;
  plain.flags = viewer->flags & CM_SHOW_ONLY_EDITS ? CM_SHOW_NO_AGGREGATIONS : CM_SHOW_ONLY_EDITS;
  if (events == NULL ||
      (viewer->user_id != NULL &&
       !cm_timeline_filter_for_user (viewer->node->rooms, events, viewer->user_id, error)))
    return NULL;
  g_autoptr (GPtrArray) shown = cm_client_events (&plain, events, error);
  if (shown == NULL)
    return NULL;
  GHashTable *children =
      g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, (GDestroyNotify) g_bytes_unref);
  for (guint i = 0; i < shown->len; i++) {
    const CmEvent *event = events->pdata[i];
    if (event != NULL)
      g_hash_table_insert (children, g_memdup2 (&event->number, sizeof event->number),
                           g_bytes_ref (shown->pdata[i]));
  }
  return children;
}

static void
put_references (CmJsonWriter *writer, char **references)
{
  cm_json_open_object (writer, "m.reference");
  cm_json_open_array (writer, "chunk");
  for (gsize i = 0; references[i] != NULL; i++) {
    cm_json_open_object (writer, NULL);
    cm_json_put_text (writer, "event_id", references[i]);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_close (writer);
}

/* NULL when nothing is left of it. */
static GBytes *
bundle (const CmViewer *viewer, const CmRelations *relations, GHashTable *children)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gboolean whole = (viewer->flags & CM_SHOW_ONLY_EDITS) == 0;
  GBytes *replacement = g_hash_table_lookup (children, &relations->replacement);
  GBytes *latest = whole ? g_hash_table_lookup (children, &relations->thread_latest) : NULL;
  char **references = whole ? relations->references : NULL;

  if (replacement == NULL && latest == NULL && references == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  if (replacement != NULL)
    cm_json_put_bytes (writer, "m.replace", replacement);
  if (latest != NULL) {
    cm_json_open_object (writer, "m.thread");
    cm_json_put_bytes (writer, "latest_event", latest);
    cm_json_put_integer (writer, "count", relations->thread_count);
    cm_json_put_boolean (writer, "current_user_participated", relations->participated);
    cm_json_close (writer);
  }
  if (references != NULL)
    put_references (writer, references);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

static void
relation_view_clear (CmRelationView *view)
{
  g_clear_pointer (&view->rooms, g_array_unref);
  g_clear_pointer (&view->until, g_array_unref);
  g_clear_pointer (&view->ignored, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CmRelationView, relation_view_clear)

/* What comes after the viewer went out of a room is not for him, nor that there is something. */
static gint64
last_visible (const CmViewer *viewer, const char *room_id)
{
  g_auto (CmReadableRoom) room = { 0 };

  if (viewer->user_id == NULL)
    return G_MAXINT64;
  return cm_readable_room_find (viewer->node, room_id, viewer->user_id, &room, NULL) ? room.until
                                                                                     : G_MININT64;
}

static void
add_room (CmRelationView *view, const CmViewer *viewer, const CmEvent *event)
{
  gint64 room = event->room_sym;

  for (guint i = 0; i < view->rooms->len; i++)
    if (g_array_index (view->rooms, gint64, i) == room)
      return;
  gint64 until = last_visible (viewer, event->room_id);
  g_array_append_val (view->rooms, room);
  g_array_append_val (view->until, until);
}

/* What ignored users say counts for nothing (client-server, "Ignoring users"). Asked only when
 * there are relations at all, which is seldom. */
static gboolean
find_ignored (const CmViewer *viewer, CmDb *db, GArray **ignored, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (GBytes) content =
      cm_account_data_get (db, viewer->user_id, "", "m.ignored_user_list", NULL, &failure);
  g_autoptr (GHashTable) users = content != NULL ? cm_sync_ignored (content) : NULL;
  gpointer user_id;
  GHashTableIter iter;

  *ignored = NULL;
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (users == NULL)
    return TRUE;
  *ignored = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_hash_table_iter_init (&iter, users);
  while (g_hash_table_iter_next (&iter, &user_id, NULL)) {
    gint64 sym = cm_sym_lookup (viewer->node->ids, user_id, NULL);
    if (sym != 0)
      g_array_append_val (*ignored, sym);
  }
  return TRUE;
}

static GHashTable *
read_relations (const CmViewer *viewer, GArray *numbers, CmRelationView *view, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (viewer->node->pool, error);
  g_autoptr (GHashTable) all = db != NULL ? cm_relations_of (db, numbers, view, error) : NULL;

  if (all == NULL || g_hash_table_size (all) == 0 || viewer->user_id == NULL)
    return g_steal_pointer (&all);
  if (!find_ignored (viewer, db, &view->ignored, error))
    return NULL;
  return view->ignored != NULL ? cm_relations_of (db, numbers, view, error)
                               : g_steal_pointer (&all);
}

static GHashTable *
find_relations (const CmViewer *viewer, GPtrArray *events, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_auto (CmRelationView) view = { .rooms = g_array_new (FALSE, FALSE, sizeof (gint64)),
                                   .until = g_array_new (FALSE, FALSE, sizeof (gint64)) };

  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    if (event == NULL || event->flags & CM_EVENT_REDACTED)
      continue;
    g_array_append_val (numbers, event->number);
    add_room (&view, viewer, event);
  }
  if (viewer->user_id != NULL)
    view.user = cm_sym_lookup (viewer->node->ids, viewer->user_id, &failure);
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  return read_relations (viewer, numbers, &view, error);
}

GPtrArray *
cm_aggregations (const CmViewer *viewer, GPtrArray *events, GError **error)
{
  g_autoptr (GHashTable) relations = find_relations (viewer, events, error);
  g_autoptr (GHashTable) children =
      relations != NULL ? show_children (viewer, relations, error) : NULL;
  if (children == NULL)
    return NULL;
  GPtrArray *bundles = g_ptr_array_new_full (events->len, (GDestroyNotify) g_bytes_unref);
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    const CmRelations *one = event != NULL ? g_hash_table_lookup (relations, &event->number) : NULL;
    g_ptr_array_add (bundles, one != NULL ? bundle (viewer, one, children) : NULL);
  }
  return bundles;
}
