/* Auth chains are walked from the youngest event to the oldest, by number: since an event's number
 * is greater than those of its auth events, whatever leads to an event has been looked at before
 * it. So each event is looked at once (CVE-2024-31208), and a walk may end where all that is left
 * lies below what matters: its cost is that of the difference, not of the chain. */
#include "federation/state-res-private.h"

#define PREFETCH 256

/* An event in an auth chain, and which of the states' chains hold it. */
typedef struct {
  gint64 number;
  gboolean announced; /* to the source's prefetch */
  gboolean common;    /* in the chains of all states */
  guint64 states[];
} Reach;

typedef struct {
  CmResolver *resolver;
  gsize n_states;
  GHashTable *reached; /* number -> Reach */
  GTree *queue;        /* those not looked at yet, by number */
  gsize uncommon;      /* of the queue */
} Walk;

static int
compare_reaches (gconstpointer a, gconstpointer b, gpointer data)
{
  const Reach *x = a, *y = b;
  return x->number < y->number ? -1 : x->number > y->number;
}

static void
walk_init (Walk *walk, CmResolver *resolver, gsize n_states)
{
  walk->resolver = resolver;
  walk->n_states = n_states;
  walk->reached = g_hash_table_new_full (NULL, NULL, NULL, g_free);
  walk->queue = g_tree_new_full (compare_reaches, NULL, NULL, NULL);
  walk->uncommon = 0;
}

static void
walk_clear (Walk *walk)
{
  g_tree_unref (walk->queue);
  g_hash_table_unref (walk->reached);
}

static gsize
count_words (const Walk *walk)
{
  return (walk->n_states + 63) / 64;
}

static gboolean
holds_all (const Walk *walk, const guint64 *states)
{
  for (gsize state = 0; state < walk->n_states; state++)
    if ((states[state / 64] & G_GUINT64_CONSTANT (1) << state % 64) == 0)
      return FALSE;
  return TRUE;
}

/* The event of @number is in the chains of @states too. */
static void
walk_reach (Walk *walk, gint64 number, const guint64 *states)
{
  Reach *reach = g_hash_table_lookup (walk->reached, cm_number_to_pointer (number));

  if (reach == NULL) {
    reach = g_malloc0 (sizeof *reach + count_words (walk) * sizeof *states);
    reach->number = number;
    g_hash_table_insert (walk->reached, cm_number_to_pointer (number), reach);
    g_tree_insert (walk->queue, reach, NULL);
    walk->uncommon++;
  }
  if (reach->common)
    return;
  for (gsize i = 0; i < count_words (walk); i++)
    reach->states[i] |= states[i];
  reach->common = holds_all (walk, reach->states);
  walk->uncommon -= reach->common;
}

/* Tells the source which events will be wanted next. */
static void
announce (Walk *walk, GTreeNode *node)
{
  const CmEventSource *source = walk->resolver->source;
  gint64 numbers[PREFETCH];
  gsize count = 0;

  for (; node != NULL && count < PREFETCH; node = g_tree_node_previous (node)) {
    Reach *reach = g_tree_node_key (node);
    if (!reach->announced)
      numbers[count++] = reach->number;
    reach->announced = TRUE;
  }
  if (source->prefetch != NULL)
    source->prefetch (numbers, count, source->data);
}

/* The youngest of the queue, or NULL. */
static Reach *
walk_next (Walk *walk)
{
  GTreeNode *node = g_tree_node_last (walk->queue);

  if (node == NULL)
    return NULL;
  Reach *reach = g_tree_node_key (node);
  if (!reach->announced)
    announce (walk, node);
  g_tree_remove (walk->queue, reach);
  walk->uncommon -= !reach->common;
  return reach;
}

/* Starts from the conflicted events; a state's own events count as its chain, as they do elsewhere.
 * (That matters only for an unconflicted event which one state's conflicted events cite alone: it
 * stays out of the difference.) Gives the oldest. */
static gint64
reach_conflicted (Walk *walk)
{
  CmResolver *resolver = walk->resolver;
  g_autofree guint64 *states = g_new0 (guint64, count_words (walk));
  gint64 oldest = G_MAXINT64;
  GHashTableIter iter;
  gpointer key;

  g_hash_table_iter_init (&iter, resolver->conflicted_keys);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    for (gsize i = 0; i < resolver->n_maps; i++) {
      gsize packed = GPOINTER_TO_SIZE (key);
      gint64 number =
          cm_state_map_get (resolver->maps[i], (guint32) (packed >> 32), (guint32) packed);
      if (number == 0)
        continue;
      states[i / 64] = G_GUINT64_CONSTANT (1) << i % 64;
      walk_reach (walk, number, states);
      states[i / 64] = 0;
      oldest = MIN (oldest, number);
    }
  return oldest;
}

/* Walks until all that is left is in every chain, and older than @oldest. */
static void
walk_chains (Walk *walk, gint64 oldest)
{
  Reach *reach;

  while ((reach = walk_next (walk)) != NULL) {
    const CmEvent *event = cm_resolver_event (walk->resolver, reach->number);
    gint64 auth;
    for (gsize i = 0; event != NULL && (auth = cm_resolver_auth_number (event, i)) != 0; i++)
      if (auth > 0)
        walk_reach (walk, auth, reach->states);
    if (walk->uncommon == 0 && reach->number <= oldest)
      return;
  }
}

/* What stays of the state that all agree on, seen from @oldest: its chain is part of every state's,
 * so nothing in it is a difference. @candidates: number -> CmEvent. */
static void
remove_unconflicted_chain (CmResolver *resolver, GHashTable *candidates, gint64 oldest)
{
  const CmStateEntry *entries = cm_state_map_entries (resolver->maps[0]);
  gsize size = cm_state_map_size (resolver->maps[0]);
  const guint64 only = 1;
  Reach *reach;
  Walk walk;

  walk_init (&walk, resolver, 1);
  for (gsize i = 0; i < size; i++)
    if (entries[i].event >= oldest &&
        !g_hash_table_contains (resolver->conflicted_keys,
                                cm_state_key_to_pointer (entries[i].type, entries[i].state_key)))
      walk_reach (&walk, entries[i].event, &only);
  while (g_hash_table_size (candidates) > 0 && (reach = walk_next (&walk)) != NULL) {
    gboolean known = g_hash_table_contains (resolver->events, cm_number_to_pointer (reach->number));
    const CmEvent *event = cm_resolver_event (resolver, reach->number);
    gint64 auth;
    g_hash_table_remove (candidates, cm_number_to_pointer (reach->number));
    for (gsize i = 0; event != NULL && (auth = cm_resolver_auth_number (event, i)) != 0; i++)
      if (auth >= oldest)
        walk_reach (&walk, auth, &only);
    /* There may be as many of them as members in the room. */
    if (!known)
      g_hash_table_remove (resolver->events, cm_number_to_pointer (reach->number));
  }
  walk_clear (&walk);
}

static GHashTable *
conflicted_events (CmResolver *resolver)
{
  GHashTable *conflicted = g_hash_table_new (NULL, NULL);
  GHashTableIter iter;
  gpointer key;

  g_hash_table_iter_init (&iter, resolver->conflicted_keys);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    for (gsize i = 0; i < resolver->n_maps; i++) {
      gsize packed = GPOINTER_TO_SIZE (key);
      gint64 number =
          cm_state_map_get (resolver->maps[i], (guint32) (packed >> 32), (guint32) packed);
      const CmEvent *event = number != 0 ? cm_resolver_event (resolver, number) : NULL;
      if (event != NULL)
        g_hash_table_insert (conflicted, cm_number_to_pointer (number), (gpointer) event);
    }
  return conflicted;
}

/* The auth difference, less what is conflicted anyway. */
static void
add_auth_difference (Walk *walk, GHashTable *full)
{
  g_autoptr (GHashTable) candidates = g_hash_table_new (NULL, NULL);
  gint64 oldest = G_MAXINT64;
  GHashTableIter iter;
  gpointer key, value;

  g_hash_table_iter_init (&iter, walk->reached);
  while (g_hash_table_iter_next (&iter, &key, &value)) {
    const Reach *reach = value;
    if (reach->common || g_hash_table_contains (full, key))
      continue;
    const CmEvent *event = cm_resolver_event (walk->resolver, reach->number);
    if (event == NULL || event->state_key == NULL)
      continue;
    g_hash_table_insert (candidates, key, (gpointer) event);
    oldest = MIN (oldest, reach->number);
  }
  remove_unconflicted_chain (walk->resolver, candidates, oldest);
  g_hash_table_iter_init (&iter, candidates);
  while (g_hash_table_iter_next (&iter, &key, &value))
    g_hash_table_insert (full, key, value);
}

static int
compare_numbers (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  return x < y ? -1 : x > y;
}

static gboolean
leads_into (const CmEvent *event, GHashTable *set)
{
  gint64 auth;

  for (gsize i = 0; (auth = cm_resolver_auth_number (event, i)) != 0; i++)
    if (g_hash_table_contains (set, cm_number_to_pointer (auth)))
      return TRUE;
  return FALSE;
}

/* The conflicted state subgraph: all that was reached came from a conflicted event; what also leads
 * to one lies between two. From the oldest on, so that the answer for an event's auth events is
 * known before its own. */
static GHashTable *
conflicted_subgraph (Walk *walk, GHashTable *conflicted, gint64 oldest)
{
  GHashTable *subgraph = g_hash_table_new (NULL, NULL);
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, walk->reached);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (((const Reach *) value)->number >= oldest)
      g_array_append_val (numbers, ((const Reach *) value)->number);
  g_array_sort (numbers, compare_numbers);
  for (guint i = 0; i < numbers->len; i++) {
    gint64 number = g_array_index (numbers, gint64, i);
    const CmEvent *event = cm_resolver_event (walk->resolver, number);
    if (event == NULL || event->state_key == NULL)
      continue;
    if (g_hash_table_contains (conflicted, cm_number_to_pointer (number)) ||
        leads_into (event, subgraph))
      g_hash_table_insert (subgraph, cm_number_to_pointer (number), (gpointer) event);
  }
  return subgraph;
}

GHashTable *
cm_resolver_full_conflicted_set (CmResolver *resolver)
{
  gboolean with_subgraph = resolver->version->state_res == CM_STATE_RES_V2_1;
  Walk walk;

  walk_init (&walk, resolver, resolver->n_maps);
  gint64 oldest = reach_conflicted (&walk);
  walk_chains (&walk, with_subgraph ? oldest : G_MAXINT64);
  GHashTable *full = conflicted_events (resolver);
  if (with_subgraph) {
    GHashTable *subgraph = conflicted_subgraph (&walk, full, oldest);
    g_hash_table_unref (full);
    full = subgraph;
  }
  add_auth_difference (&walk, full);
  walk_clear (&walk);
  return full;
}
