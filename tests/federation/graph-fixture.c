#include "graph-fixture.h"

#include <string.h>

Graph *
graph_new (const char *version)
{
  Graph *graph = g_new0 (Graph, 1);

  graph->version = cm_room_version_find (version);
  graph->events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  graph->names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  graph->syms = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return graph;
}

void
graph_free (Graph *graph)
{
  g_ptr_array_unref (graph->events);
  g_hash_table_unref (graph->names);
  g_hash_table_unref (graph->syms);
  g_free (graph);
}

guint32
graph_sym (Graph *graph, const char *text)
{
  gpointer sym = g_hash_table_lookup (graph->syms, text);

  if (sym == NULL) {
    sym = GUINT_TO_POINTER (g_hash_table_size (graph->syms) + 1);
    g_hash_table_insert (graph->syms, g_strdup (text), sym);
  }
  return GPOINTER_TO_UINT (sym);
}

static CmEvent *
find (Graph *graph, const char *name)
{
  CmEvent *event = g_hash_table_lookup (graph->names, name);
  if (event == NULL)
    g_error ("no event %s in the graph", name);
  return event;
}

CmEvent *
graph_add (Graph *graph, const char *name, const char *sender, const char *type,
           const char *state_key, const char *content, gint64 timestamp, const char *auth)
{
  gboolean hashed = graph->version->room_id_is_create_hash;
  gboolean create = strcmp (type, "m.room.create") == 0;
  g_autofree char *event_id = g_strconcat ("$", name, NULL);
  const char *room = hashed ? "'room_id':'!CREATE'," : "'room_id':'!r:x',";
  CmEvent *event = fixture_event (
      graph->version->name, event_id,
      "{'content':%s,'origin_server_ts':%" G_GINT64_FORMAT ",%s'prev_events':['$CREATE'],"
      "'sender':'%s','state_key':'%s','type':'%s'}",
      content, timestamp, hashed && create ? "" : room, sender, state_key, type);
  g_auto (GStrv) names = g_strsplit (auth, " ", -1);

  event->auth = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (char **one = names; *one != NULL; one++)
    if (**one != '\0' && !(hashed && strcmp (*one, "CREATE") == 0))
      g_array_append_val (event->auth, find (graph, *one)->number);
  g_ptr_array_add (graph->events, event);
  event->number = graph->events->len;
  event->type_sym = graph_sym (graph, type);
  event->state_key_sym = graph_sym (graph, state_key);
  g_assert_true (g_hash_table_insert (graph->names, g_strdup (name), event));
  return event;
}

CmStateMap *
graph_state (Graph *graph, const char *names)
{
  GArray *entries = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
  g_auto (GStrv) split = g_strsplit (names, " ", -1);

  for (char **name = split; *name != NULL; name++) {
    if (**name == '\0')
      continue;
    const CmEvent *event = find (graph, *name);
    CmStateEntry entry = { event->type_sym, event->state_key_sym, event->number };
    g_array_append_val (entries, entry);
  }
  return cm_state_map_new (entries);
}

static CmEvent *
fetch (gint64 number, gpointer data)
{
  Graph *graph = data;

  graph->fetches++;
  if (number < 1 || number > graph->events->len)
    return NULL;
  CmEvent *event = g_ptr_array_index (graph->events, (guint) number - 1);
  return event != NULL ? cm_event_ref (event) : NULL;
}

static gint64
look_up_sym (const char *text, gpointer data)
{
  Graph *graph = data;
  return GPOINTER_TO_UINT (g_hash_table_lookup (graph->syms, text));
}

CmEventSource
graph_source (Graph *graph)
{
  return (CmEventSource){ .fetch = fetch, .sym = look_up_sym, .data = graph };
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The names of the events of @map, sorted. */
static char *
names_of (Graph *graph, const CmStateMap *map)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();

  for (gsize i = 0; i < cm_state_map_size (map); i++) {
    gint64 number = cm_state_map_entries (map)[i].event;
    CmEvent *event = g_ptr_array_index (graph->events, (guint) number - 1);
    g_ptr_array_add (names, event->event_id + 1);
  }
  g_ptr_array_sort (names, compare_names);
  g_ptr_array_add (names, NULL);
  return g_strjoinv (" ", (char **) names->pdata);
}

void
graph_assert_resolves (Graph *graph, const char *const *states, gsize count, const char *expected)
{
  CmEventSource source = graph_source (graph);
  g_autoptr (CmStateMap) wanted = graph_state (graph, expected);
  g_autofree char *wanted_names = names_of (graph, wanted);

  for (gsize rotation = 0; rotation < count; rotation++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (GPtrArray) maps =
        g_ptr_array_new_with_free_func ((GDestroyNotify) cm_state_map_unref);
    for (gsize i = 0; i < count; i++)
      g_ptr_array_add (maps, graph_state (graph, states[(i + rotation) % count]));
    g_autoptr (CmStateMap) result = cm_state_resolve (
        graph->version, (CmStateMap *const *) maps->pdata, maps->len, &source, &error);
    g_assert_no_error (error);
    g_autofree char *names = names_of (graph, result);
    g_assert_cmpstr (names, ==, wanted_names);
    g_assert_true (cm_state_map_equal (result, wanted));
  }
}
