#include "server/aggregations.h"

#include "schema/relation.h"
#include "server/node.h"

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

/* Events that stand inside others' aggregations, by number. They are shown without aggregations of
 * their own but edits. */
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
  plain.flags = CM_SHOW_NO_AGGREGATIONS;
  g_autoptr (GPtrArray) shown = events != NULL ? cm_client_events (&plain, events, error) : NULL;
  if (shown == NULL)
    return NULL;
  GHashTable *children =
      g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, (GDestroyNotify) g_bytes_unref);
  for (guint i = 0; i < shown->len; i++)
    if (g_ptr_array_index (shown, i) != NULL)
      g_hash_table_insert (children,
                           g_memdup2 (&g_array_index (numbers, gint64, i), sizeof (gint64)),
                           g_bytes_ref (g_ptr_array_index (shown, i)));
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

static GBytes *
bundle (const CmRelations *relations, GHashTable *children)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  GBytes *replacement = g_hash_table_lookup (children, &relations->replacement);
  GBytes *latest = g_hash_table_lookup (children, &relations->thread_latest);

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
  if (relations->references != NULL)
    put_references (writer, relations->references);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

static GHashTable *
find_relations (const CmViewer *viewer, GArray *numbers, GError **error)
{
  GError *local = NULL;
  gint64 user =
      viewer->user_id != NULL ? cm_sym_lookup (viewer->node->ids, viewer->user_id, &local) : 0;

  if (local != NULL) {
    g_propagate_error (error, local);
    return NULL;
  }
  g_autoptr (CmDb) db = cm_pool_get (viewer->node->pool, error);
  return db != NULL ? cm_relations_of (db, numbers, user, NULL, error) : NULL;
}

static void
unref_bytes (gpointer bytes)
{
  if (bytes != NULL)
    g_bytes_unref (bytes);
}

GPtrArray *
cm_aggregations (const CmViewer *viewer, GPtrArray *events, GError **error)
{
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));

  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    if (event != NULL && !(event->flags & CM_EVENT_REDACTED))
      g_array_append_val (numbers, event->number);
  }
  g_autoptr (GHashTable) relations = find_relations (viewer, numbers, error);
  g_autoptr (GHashTable) children =
      relations != NULL ? show_children (viewer, relations, error) : NULL;
  if (children == NULL)
    return NULL;
  GPtrArray *bundles = g_ptr_array_new_full (events->len, unref_bytes);
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    const CmRelations *one = event != NULL ? g_hash_table_lookup (relations, &event->number) : NULL;
    g_ptr_array_add (bundles, one != NULL ? bundle (one, children) : NULL);
  }
  return bundles;
}
