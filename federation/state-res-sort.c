#include "federation/state-res-private.h"

#include <string.h>

/* An event of the graph that is sorted topologically. */
typedef struct {
  const CmEvent *event;
  gint64 power;      /* of its sender, by its own auth events */
  guint waiting;     /* auth events in the graph that have not been taken yet */
  GPtrArray *citing; /* of PowerNode: those that wait for this one */
} PowerNode;

static void
power_node_free (gpointer data)
{
  PowerNode *node = data;
  g_ptr_array_unref (node->citing);
  g_free (node);
}

/* rooms/v2, "Power events" */
static gboolean
is_power_event (const CmEvent *event)
{
  const char *membership = cm_event_membership (event);

  if (strcmp (event->type, "m.room.power_levels") == 0 ||
      strcmp (event->type, "m.room.join_rules") == 0)
    return TRUE;
  return membership != NULL &&
         (strcmp (membership, "leave") == 0 || strcmp (membership, "ban") == 0) &&
         strcmp (event->sender, event->state_key) != 0;
}

static gint64
power_of_sender (CmResolver *resolver, const CmEvent *event, const CmEvent *create)
{
  const CmEvent *power = cm_resolver_auth_of_type (resolver, event, "m.room.power_levels");

  if (!resolver->version->room_id_is_create_hash)
    create = cm_resolver_auth_of_type (resolver, event, "m.room.create");
  return cm_power_of_user (power, create, event->sender);
}

/* The power events, and what of @full their auth chains hold. The chain is followed within @full
 * only, as it is elsewhere. */
static GHashTable *
select_power_events (CmResolver *resolver, GHashTable *full, const CmEvent *create)
{
  GHashTable *nodes = g_hash_table_new_full (NULL, NULL, NULL, power_node_free);
  g_autoptr (GPtrArray) stack = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, full);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (is_power_event (value))
      g_ptr_array_add (stack, value);
  while (stack->len > 0) {
    const CmEvent *event = g_ptr_array_steal_index_fast (stack, stack->len - 1);
    gint64 auth;
    if (g_hash_table_contains (nodes, cm_number_to_pointer (event->number)))
      continue;
    PowerNode *node = g_new0 (PowerNode, 1);
    node->event = event;
    node->power = power_of_sender (resolver, event, create);
    node->citing = g_ptr_array_new ();
    g_hash_table_insert (nodes, cm_number_to_pointer (event->number), node);
    for (gsize i = 0; (auth = cm_resolver_auth_number (event, i)) != 0; i++) {
      gpointer cited = g_hash_table_lookup (full, cm_number_to_pointer (auth));
      if (cited != NULL)
        g_ptr_array_add (stack, cited);
    }
  }
  return nodes;
}

static int
compare_by_time (const CmEvent *a, const CmEvent *b)
{
  if (a->origin_server_ts != b->origin_server_ts)
    return a->origin_server_ts < b->origin_server_ts ? -1 : 1;
  return strcmp (a->event_id, b->event_id);
}

/* rooms/v2, "Reverse topological power ordering" */
static int
compare_power_nodes (gconstpointer a, gconstpointer b, gpointer data)
{
  const PowerNode *x = a, *y = b;

  if (x->power != y->power)
    return x->power > y->power ? -1 : 1;
  return compare_by_time (x->event, y->event);
}

static void
link_nodes (GHashTable *nodes)
{
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, nodes);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    PowerNode *node = value;
    gint64 auth;
    for (gsize i = 0; (auth = cm_resolver_auth_number (node->event, i)) != 0; i++) {
      PowerNode *cited = g_hash_table_lookup (nodes, cm_number_to_pointer (auth));
      if (cited == NULL)
        continue;
      node->waiting++;
      g_ptr_array_add (cited->citing, node);
    }
  }
}

/* Kahn's algorithm: of those that wait for nothing, always the smallest. */
GPtrArray *
cm_resolver_sort_power (CmResolver *resolver, GHashTable *full, const CmEvent *create)
{
  GPtrArray *sorted = g_ptr_array_new ();
  g_autoptr (GHashTable) nodes = select_power_events (resolver, full, create);
  g_autoptr (GTree) ready = g_tree_new_full (compare_power_nodes, NULL, NULL, NULL);
  GTreeNode *smallest;
  GHashTableIter iter;
  gpointer value;

  link_nodes (nodes);
  g_hash_table_iter_init (&iter, nodes);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((const PowerNode *) value)->waiting == 0)
      g_tree_insert (ready, value, NULL);
  while ((smallest = g_tree_node_first (ready)) != NULL) {
    PowerNode *node = g_tree_node_key (smallest);
    g_tree_remove (ready, node);
    g_ptr_array_add (sorted, (gpointer) node->event);
    for (guint i = 0; i < node->citing->len; i++) {
      PowerNode *citing = g_ptr_array_index (node->citing, i);
      if (--citing->waiting == 0)
        g_tree_insert (ready, citing, NULL);
    }
  }
  return sorted;
}

/* Positions in the mainline count from 1; an event that does not reach it is before all others. */
#define OFF_MAINLINE G_MAXSIZE

typedef struct {
  const CmEvent *event;
  gsize position;
} MainlineItem;

/* The mainline position of what cites @power: the index of the nearest power levels of the
 * mainline. Every event on the way learns its own, so that no way is gone twice. */
static gsize
find_position (CmResolver *resolver, GHashTable *positions, const CmEvent *power)
{
  g_autoptr (GPtrArray) way = g_ptr_array_new ();
  gsize position = OFF_MAINLINE;
  gpointer known;

  for (; power != NULL; power = cm_resolver_auth_of_type (resolver, power, "m.room.power_levels")) {
    if (g_hash_table_lookup_extended (positions, cm_number_to_pointer (power->number), NULL,
                                      &known)) {
      position = GPOINTER_TO_SIZE (known);
      break;
    }
    g_ptr_array_add (way, (gpointer) power);
  }
  for (guint i = 0; i < way->len; i++) {
    const CmEvent *passed = g_ptr_array_index (way, i);
    g_hash_table_insert (positions, cm_number_to_pointer (passed->number),
                         GSIZE_TO_POINTER (position));
  }
  return position;
}

/* rooms/v2, "Mainline ordering" */
static int
compare_mainline (gconstpointer a, gconstpointer b)
{
  const MainlineItem *x = a, *y = b;

  if (x->position != y->position)
    return x->position > y->position ? -1 : 1;
  return compare_by_time (x->event, y->event);
}

void
cm_resolver_sort_mainline (CmResolver *resolver, const CmEvent *power, GPtrArray *events)
{
  g_autoptr (GHashTable) positions = g_hash_table_new (NULL, NULL);
  g_autoptr (GArray) items = g_array_new (FALSE, FALSE, sizeof (MainlineItem));

  for (gsize position = 1; power != NULL; position++) {
    g_hash_table_insert (positions, cm_number_to_pointer (power->number),
                         GSIZE_TO_POINTER (position));
    power = cm_resolver_auth_of_type (resolver, power, "m.room.power_levels");
  }
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    const CmEvent *cited = cm_resolver_auth_of_type (resolver, event, "m.room.power_levels");
    MainlineItem item = { event, find_position (resolver, positions, cited) };
    g_array_append_val (items, item);
  }
  g_array_sort (items, compare_mainline);
  for (guint i = 0; i < items->len; i++)
    events->pdata[i] = (gpointer) g_array_index (items, MainlineItem, i).event;
}
