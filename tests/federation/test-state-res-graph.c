/* The full conflicted set against its definition, on graphs made at random; and what resolution
 * costs. */
#include "graph-fixture.h"

#include "federation/state-res-private.h"

#include <string.h>

#define MAX_EVENTS 64

/* Sets of events of a small graph: bit n - 1 for number n. */
typedef guint64 Set;

static Set
bit (gint64 number)
{
  return G_GUINT64_CONSTANT (1) << (number - 1);
}

/* The auth chains of events and the events themselves, by number - 1. */
static void
find_chains (Graph *graph, Set *chains)
{
  for (guint i = 0; i < graph->events->len; i++) {
    CmEvent *event = g_ptr_array_index (graph->events, i);
    chains[i] = bit (event->number);
    for (guint a = 0; a < event->auth->len; a++)
      chains[i] |= chains[g_array_index (event->auth, gint64, a) - 1];
  }
}

static Set
state_set (const CmStateMap *map)
{
  Set set = 0;
  for (gsize i = 0; i < cm_state_map_size (map); i++)
    set |= bit (cm_state_map_entries (map)[i].event);
  return set;
}

/* rooms/v12, "Definitions", word by word. */
static Set
expect_full (Graph *graph, CmStateMap *const *maps, gsize n_maps, gboolean subgraph)
{
  Set chains[MAX_EVENTS], all = ~(Set) 0, any = 0, agreed = ~(Set) 0, held = 0, full;

  find_chains (graph, chains);
  for (gsize m = 0; m < n_maps; m++) {
    Set state = state_set (maps[m]), chain = 0;
    for (guint i = 0; i < graph->events->len; i++)
      if ((state & bit (i + 1)) != 0)
        chain |= chains[i];
    all &= chain;
    any |= chain;
    agreed &= state;
    held |= state;
  }
  Set conflicted = held & ~agreed;
  full = conflicted | (any & ~all);
  for (guint i = 0; subgraph && i < graph->events->len; i++) {
    gboolean leads = (chains[i] & conflicted) != 0, led_to = FALSE;
    for (guint j = 0; j < graph->events->len; j++)
      led_to |= (conflicted & bit (j + 1)) != 0 && (chains[j] & bit (i + 1)) != 0;
    if (leads && led_to)
      full |= bit (i + 1);
  }
  return full;
}

static Set
find_full (Graph *graph, CmStateMap *const *maps, gsize n_maps)
{
  CmEventSource source = graph_source (graph);
  CmResolver resolver = {
    .version = graph->version, .source = &source, .maps = maps, .n_maps = n_maps
  };
  Set set = 0;
  GHashTableIter iter;
  gpointer key;

  resolver.events = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) cm_event_unref);
  resolver.conflicted_keys = g_hash_table_new (NULL, NULL);
  for (gsize m = 0; m < n_maps; m++)
    for (gsize n = 0; n < n_maps; n++) {
      g_autoptr (GArray) changes = cm_state_map_diff (maps[m], maps[n], NULL);
      for (guint i = 0; i < changes->len; i++) {
        const CmStateEntry *entry = &g_array_index (changes, CmStateEntry, i);
        g_hash_table_add (resolver.conflicted_keys,
                          cm_state_key_to_pointer (entry->type, entry->state_key));
      }
    }
  g_autoptr (GHashTable) full = cm_resolver_full_conflicted_set (&resolver);
  g_hash_table_iter_init (&iter, full);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    set |= bit ((gint64) GPOINTER_TO_SIZE (key));
  g_hash_table_unref (resolver.events);
  g_hash_table_unref (resolver.conflicted_keys);
  return set;
}

static Graph *
random_graph (GRand *rand, const char *version)
{
  Graph *graph = graph_new (version);
  guint count = (guint) g_rand_int_range (rand, 5, MAX_EVENTS);

  for (guint i = 0; i < count; i++) {
    g_autoptr (GString) auth = g_string_new (NULL);
    for (guint a = 0; i > 0 && a < 3; a++)
      g_string_append_printf (auth, "E%d ",
                              g_rand_int_range (rand, MAX (0, (int) i - 12), (int) i));
    g_autofree char *name = g_strdup_printf ("E%u", i);
    g_autofree char *state_key = g_strdup_printf ("%d", g_rand_int_range (rand, 0, 8));
    graph_add (graph, name, "@a:b", "t", state_key, "{}", 1, auth->str);
  }
  return graph;
}

/* A state of one event, or none, for each key; mostly what @base has. */
static CmStateMap *
random_state (GRand *rand, Graph *graph, const CmStateMap *base)
{
  GArray *entries = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));

  for (guint i = 0; i < graph->events->len; i++) {
    const CmEvent *event = g_ptr_array_index (graph->events, i);
    CmStateEntry entry = { event->type_sym, event->state_key_sym, event->number };
    if (g_rand_int_range (rand, 0, base != NULL ? 12 : 2) == 0)
      g_array_append_val (entries, entry);
  }
  if (base == NULL)
    return cm_state_map_new (entries);
  return cm_state_map_update (base, entries);
}

static void
test_definition (gconstpointer version)
{
  guint differences = 0;

  for (guint seed = 0; seed < 3000; seed++) {
    g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
    g_autoptr (Graph) graph = random_graph (rand, version);
    g_autoptr (CmStateMap) base = random_state (rand, graph, NULL);
    g_autoptr (CmStateMap) second = random_state (rand, graph, base);
    g_autoptr (CmStateMap) third = random_state (rand, graph, base);
    CmStateMap *const maps[] = { base, second, third };
    gboolean subgraph = strcmp (version, "12") == 0;
    for (gsize n = 2; n <= 3; n++) {
      Set expected = expect_full (graph, maps, n, subgraph);
      g_assert_cmphex (find_full (graph, maps, n), ==, expected);
      differences += expected != 0;
    }
  }
  g_assert_cmpuint (differences, >, 3000);
}

/* A room of many members, of whom a few are in conflict. */
static void
test_large_room (gconstpointer version)
{
  g_autoptr (Graph) graph = graph_new (version);
  g_autoptr (GArray) entries = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
  static const char rules[] = "{'join_rule':'public'}", join[] = "{'membership':'join'}";

  graph_add (graph, "CREATE", "@a:b", "m.room.create", "", "{'creator':'@a:b'}", 1, "");
  graph_add (graph, "A", "@a:b", "m.room.member", "@a:b", join, 2, "CREATE");
  graph_add (graph, "POWER", "@a:b", "m.room.power_levels", "", "{}", 3, "CREATE A");
  graph_add (graph, "RULES", "@a:b", "m.room.join_rules", "", rules, 4, "CREATE A POWER");
  for (guint i = 0; i < 50000; i++) {
    g_autofree char *user = g_strdup_printf ("@user%u:b", i);
    graph_add (graph, user, user, "m.room.member", user, join, 5, "CREATE POWER RULES");
  }
  for (guint i = 0; i < graph->events->len; i++) {
    const CmEvent *event = g_ptr_array_index (graph->events, i);
    CmStateEntry entry = { event->type_sym, event->state_key_sym, event->number };
    g_array_append_val (entries, entry);
  }
  g_autoptr (CmStateMap) first = cm_state_map_new (g_array_ref (entries));
  CmEvent *left = graph_add (graph, "LEFT", "@user7:b", "m.room.member", "@user7:b",
                             "{'membership':'leave'}", 6, "CREATE POWER @user7:b");
  CmEvent *back = graph_add (graph, "BACK", "@user7:b", "m.room.member", "@user7:b", join, 7,
                             "CREATE POWER RULES LEFT");
  g_autoptr (CmStateMap) second =
      cm_state_map_with (first, left->type_sym, left->state_key_sym, back->number);
  CmStateMap *const maps[] = { first, second };
  CmEventSource source = graph_source (graph);
  g_autoptr (CmStateMap) result = cm_state_resolve (graph->version, maps, 2, &source, NULL);

  g_assert_true (cm_state_map_equal (result, second));
  g_assert_cmpuint (graph->fetches, <, 20);
}

/* CVE-2024-31208: a chain in which the number of ways down doubles with every step. */
static void
test_lattice (gconstpointer version)
{
  g_autoptr (Graph) graph = graph_new (version);
  static const char power[] = "{'events':{'m.room.power_levels':0}}";
  const guint depth = 3000;

  graph_add (graph, "CREATE", "@a:b", "m.room.create", "", "{'creator':'@a:b'}", 1, "");
  graph_add (graph, "L0", "@a:b", "m.room.member", "@a:b", "{'membership':'join'}", 2, "CREATE");
  graph_add (graph, "R0", "@a:b", "m.room.power_levels", "", power, 2, "CREATE L0");
  for (guint i = 1; i <= depth; i++) {
    g_autofree char *auth = g_strdup_printf ("CREATE L%u R%u", i - 1, i - 1);
    g_autofree char *left = g_strdup_printf ("L%u", i);
    g_autofree char *right = g_strdup_printf ("R%u", i);
    graph_add (graph, left, "@a:b", "m.room.member", "@a:b", "{'membership':'join'}", i + 2, auth);
    graph_add (graph, right, "@a:b", "m.room.power_levels", "", power, i + 2, auth);
  }
  g_autofree char *last = g_strdup_printf ("CREATE L%u R%u", depth, depth);
  const char *const states[] = { "CREATE L0 R0", last };

  graph_assert_resolves (graph, states, 2, last);
  g_assert_cmpuint (graph->fetches, <=, 2 * graph->events->len);
}

int
main (int argc, char **argv)
{
  const char *const versions[] = { "11", "12" };

  g_test_init (&argc, &argv, NULL);
  for (gsize v = 0; v < G_N_ELEMENTS (versions); v++) {
    g_autofree char *definition = g_strdup_printf ("/state-res-graph/definition/%s", versions[v]);
    g_autofree char *large = g_strdup_printf ("/state-res-graph/large-room/%s", versions[v]);
    g_autofree char *lattice = g_strdup_printf ("/state-res-graph/CVE-2024-31208/%s", versions[v]);
    g_test_add_data_func (definition, versions[v], test_definition);
    g_test_add_data_func (large, versions[v], test_large_room);
    g_test_add_data_func (lattice, versions[v], test_lattice);
  }
  return g_test_run ();
}
