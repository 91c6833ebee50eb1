/* Events in an order in which each can be judged when its turn comes. Iterative: how long a chain
 * is, its maker decides (CVE-2024-31208). */
#include "federation/intake-private.h"

typedef struct {
  GHashTable *waiting; /* event id -> GPtrArray of Node that name it */
  GQueue ready;        /* of Node */
} Sort;

typedef struct {
  CmEvent *event;
  guint named; /* of the set, and not out yet */
} Node;

static void
wait_for (Sort *sort, Node *node, const CmJson *list, GHashTable *by_id)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, list);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    const char *id = cm_json_text (item);
    if (!g_hash_table_contains (by_id, id))
      continue;
    GPtrArray *others = g_hash_table_lookup (sort->waiting, id);
    if (others == NULL) {
      others = g_ptr_array_new ();
      g_hash_table_insert (sort->waiting, (char *) id, others);
    }
    g_ptr_array_add (others, node);
    node->named++;
  }
}

static void
let_out (Sort *sort, const Node *node, GPtrArray *sorted)
{
  GPtrArray *others = g_hash_table_lookup (sort->waiting, node->event->event_id);

  g_ptr_array_add (sorted, cm_event_ref (node->event));
  for (guint i = 0; others != NULL && i < others->len; i++) {
    Node *other = others->pdata[i];
    if (--other->named == 0)
      g_queue_push_tail (&sort->ready, other);
  }
}

GPtrArray *
cm_events_sort (GPtrArray *events, CmEdges edges)
{
  GPtrArray *sorted = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  g_autoptr (GHashTable) by_id = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) waiting =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref);
  g_autofree Node *nodes = g_new0 (Node, events->len + 1);
  Sort sort = { waiting, G_QUEUE_INIT };
  gsize count = 0;

  for (guint i = 0; i < events->len; i++) {
    CmEvent *event = events->pdata[i];
    if (event != NULL && g_hash_table_add (by_id, event->event_id))
      nodes[count++].event = event;
  }
  for (gsize i = 0; i < count; i++) {
    const CmJson *json = nodes[i].event->json;
    if ((edges & CM_EDGE_AUTH) != 0)
      wait_for (&sort, &nodes[i], cm_json_get_array (json, "auth_events"), by_id);
    if ((edges & CM_EDGE_PREV) != 0)
      wait_for (&sort, &nodes[i], cm_json_get_array (json, "prev_events"), by_id);
    if (nodes[i].named == 0 && !cm_event_is (nodes[i].event, "m.room.create", ""))
      g_queue_push_tail (&sort.ready, &nodes[i]);
    /* From version 12 on the others name the create event by the room id alone. */
    else if (nodes[i].named == 0)
      g_queue_push_head (&sort.ready, &nodes[i]);
  }
  const Node *node;
  while ((node = g_queue_pop_head (&sort.ready)) != NULL)
    let_out (&sort, node, sorted);
  return sorted;
}
