/* What an event lacks is asked of the server that sent it: first its ancestors back to what is
 * known, and where they cannot be had within bounds, the state before it. All of it before any lock
 * is taken. */
#include "federation/intake-private.h"

#include <string.h>

/* Bounds for one event: rounds of questions for ancestors, how many each may bring and all
 * together, and for how many events the state may be asked. */
#define MAX_ROUNDS    5
#define ROUND_LIMIT   50
#define MAX_ANCESTORS 200
#define MAX_STATES    2

void
cm_gap_free (CmGap *gap)
{
  g_clear_pointer (&gap->outliers, g_ptr_array_unref);
  g_clear_pointer (&gap->events, g_ptr_array_unref);
  g_clear_pointer (&gap->states, g_hash_table_unref);
  g_clear_pointer (&gap->positions, g_array_unref);
  g_free (gap);
}

static GPtrArray *
new_events (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
}

static CmGap *
new_gap (void)
{
  CmGap *gap = g_new0 (CmGap, 1);

  gap->outliers = new_events ();
  gap->events = new_events ();
  gap->states =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
  return gap;
}

static CmGap *
new_gap_before (CmEvent *event)
{
  CmGap *gap = new_gap ();

  g_ptr_array_add (gap->events, cm_event_ref (event));
  return gap;
}

GHashTable *
cm_event_ids (GPtrArray *events)
{
  GHashTable *ids = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < events->len; i++)
    g_hash_table_add (ids, ((CmEvent *) events->pdata[i])->event_id);
  return ids;
}

/* Whether something of @missing (of char*) is not in @ids either. */
static gboolean
lacks (GPtrArray *missing, GHashTable *ids)
{
  for (guint i = 0; i < missing->len; i++) {
    if (!g_hash_table_contains (ids, missing->pdata[i]))
      return TRUE;
  }
  return FALSE;
}

/* (transfer container) those of @events that name prev events which are nowhere. */
static GPtrArray *
find_frontier (const CmAsk *ask, GPtrArray *events, GError **error)
{
  g_autoptr (GHashTable) ids = cm_event_ids (events);
  g_autoptr (GPtrArray) frontier = g_ptr_array_new ();

  for (guint i = 0; i < events->len; i++) {
    g_autoptr (GPtrArray) missing = NULL;
    if (!cm_rooms_link (ask->intake->parts.rooms, events->pdata[i], &missing, NULL, error))
      return NULL;
    if (lacks (missing, ids))
      g_ptr_array_add (frontier, events->pdata[i]);
  }
  return g_steal_pointer (&frontier);
}

/* (transfer full) the ids of the room's forward extremities, as a strv. */
static char **
find_extremities (const CmAsk *ask, GError **error)
{
  CmRooms *rooms = ask->intake->parts.rooms;
  g_autoptr (CmRoomView) view = cm_rooms_view (rooms, ask->room_id, error);

  if (view == NULL)
    return NULL;
  g_autoptr (GPtrArray) events =
      cm_event_store_get_many (cm_rooms_events (rooms), (const gint64 *) view->extremities->data,
                               MIN (view->extremities->len, CM_EVENT_MAX_PREV_EVENTS), error);
  if (events == NULL)
    return NULL;
  g_autoptr (GStrvBuilder) ids = g_strv_builder_new ();
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = events->pdata[i];
    if (event != NULL)
      g_strv_builder_add (ids, event->event_id);
  }
  return g_strv_builder_end (ids);
}

/* Adds those of @found that are new; FALSE when none is. */
static gboolean
add_new (GPtrArray *events, GPtrArray *found)
{
  g_autoptr (GHashTable) ids = cm_event_ids (events);
  guint before = events->len;

  for (guint i = 0; i < found->len && events->len < MAX_ANCESTORS; i++) {
    CmEvent *event = found->pdata[i];
    if (g_hash_table_add (ids, event->event_id))
      g_ptr_array_add (events, cm_event_ref (event));
  }
  return events->len > before;
}

/* Asks backwards from @gap's events until they reach what is known, or no further. A server that
 * cannot say is no failure. */
static gboolean
ask_ancestors (const CmAsk *ask, CmGap *gap, GError **error)
{
  g_auto (GStrv) earliest = find_extremities (ask, error);

  if (earliest == NULL)
    return FALSE;
  for (guint round = 0; round < MAX_ROUNDS; round++) {
    g_autoptr (GPtrArray) frontier = find_frontier (ask, gap->events, error);
    if (frontier == NULL)
      return FALSE;
    if (frontier->len == 0 || gap->events->len >= MAX_ANCESTORS)
      return TRUE;
    g_autoptr (GPtrArray) latest = g_ptr_array_new ();
    for (guint i = 0; i < frontier->len && i < CM_EVENT_MAX_PREV_EVENTS; i++)
      g_ptr_array_add (latest, ((CmEvent *) frontier->pdata[i])->event_id);
    g_ptr_array_add (latest, NULL);
    g_autoptr (GError) failure = NULL;
    g_autoptr (GPtrArray) found =
        cm_ask_missing (ask, (const char *const *) earliest, (const char *const *) latest->pdata,
                        ROUND_LIMIT, &failure);
    if (failure != NULL)
      g_debug ("No ancestors from %s: %s", ask->server, failure->message);
    if (found == NULL || !add_new (gap->events, found))
      return TRUE;
  }
  return TRUE;
}

/* (transfer container) the first of @events whose auth events are nowhere to be found, or all of
 * them as ids in @wanted. */
static gboolean
find_unauthorised (const CmAsk *ask, GPtrArray *events, GPtrArray *outliers, GHashTable *wanted,
                   const CmEvent **first, GError **error)
{
  g_autoptr (GHashTable) there = cm_event_ids (outliers);
  GPtrArray *lists[] = { events, outliers };

  *first = NULL;
  for (guint i = 0; i < events->len; i++)
    g_hash_table_add (there, ((CmEvent *) events->pdata[i])->event_id);
  for (gsize list = 0; list < G_N_ELEMENTS (lists); list++) {
    for (guint i = 0; i < lists[list]->len; i++) {
      g_autoptr (GPtrArray) missing = NULL;
      CmEvent *event = lists[list]->pdata[i];
      if (!cm_rooms_link (ask->intake->parts.rooms, event, NULL, &missing, error))
        return FALSE;
      for (guint j = 0; j < missing->len; j++) {
        if (g_hash_table_contains (there, missing->pdata[j]))
          continue;
        g_hash_table_add (wanted, g_strdup (missing->pdata[j]));
        if (*first == NULL)
          *first = event;
      }
    }
  }
  return TRUE;
}

gboolean
cm_ask_auth_events (const CmAsk *ask, GPtrArray *events, GPtrArray *outliers, GError **error)
{
  for (guint round = 0; round < 2; round++) {
    g_autoptr (GHashTable) wanted = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    const CmEvent *first;
    if (!find_unauthorised (ask, events, outliers, wanted, &first, error))
      return FALSE;
    if (first == NULL)
      return TRUE;
    if (round > 0 && g_hash_table_size (wanted) <= CM_ASK_SINGLE) {
      cm_ask_each (ask, wanted, outliers);
      return TRUE;
    }
    g_autoptr (GError) failure = NULL;
    GPtrArray *chain = cm_ask_auth_chain (ask, first->event_id, &failure);
    if (chain != NULL)
      g_ptr_array_extend_and_steal (outliers, chain);
    else
      g_debug ("No auth chain from %s: %s", ask->server, failure->message);
  }
  return TRUE;
}

/* Auth events before those that name them, and ancestors before their descendants. */
static void
sort_gap (CmGap *gap)
{
  GPtrArray *outliers = cm_events_sort (gap->outliers, CM_EDGE_AUTH);
  GPtrArray *events = cm_events_sort (gap->events, CM_EDGE_PREV | CM_EDGE_AUTH);

  g_ptr_array_unref (gap->outliers);
  g_ptr_array_unref (gap->events);
  gap->outliers = outliers;
  gap->events = events;
}

CmGap *
cm_gap_fetch_state (const CmAsk *ask, CmEvent *event, GError **error)
{
  g_autoptr (CmGap) gap = new_gap_before (event);

  if (!cm_ask_state_before (ask, gap, event, FALSE, error) ||
      !cm_ask_auth_events (ask, gap->events, gap->outliers, error))
    return NULL;
  sort_gap (gap);
  return g_steal_pointer (&gap);
}

CmGap *
cm_gap_fetch (const CmAsk *ask, CmEvent *event, GError **error)
{
  g_autoptr (CmGap) gap = new_gap_before (event);

  if (!ask_ancestors (ask, gap, error))
    return NULL;
  g_autoptr (GPtrArray) frontier = find_frontier (ask, gap->events, error);
  if (frontier == NULL)
    return NULL;
  if (frontier->len > MAX_STATES)
    return cm_gap_fetch_state (ask, event, error);
  for (guint i = 0; i < frontier->len; i++) {
    if (!cm_ask_state_before (ask, gap, frontier->pdata[i], frontier->pdata[i] != event, error))
      return NULL;
  }
  if (!cm_ask_auth_events (ask, gap->events, gap->outliers, error))
    return NULL;
  sort_gap (gap);
  return g_steal_pointer (&gap);
}

static int
newest_first (gconstpointer a, gconstpointer b)
{
  const CmEvent *x = *(CmEvent *const *) a, *y = *(CmEvent *const *) b;

  return x->depth < y->depth ? 1 : x->depth > y->depth ? -1 : 0;
}

CmGap *
cm_gap_of_history (const CmAsk *ask, GPtrArray *events, GError **error)
{
  g_autoptr (CmGap) gap = new_gap ();
  g_autoptr (GPtrArray) frontier = find_frontier (ask, events, error);

  if (frontier == NULL)
    return NULL;
  g_ptr_array_unref (gap->events);
  gap->events = g_ptr_array_ref (events);
  /* What stands on the others is left out: it can be asked for again. */
  g_ptr_array_sort (frontier, newest_first);
  for (guint i = 0; i < frontier->len && i < MAX_STATES; i++) {
    if (!cm_ask_state_before (ask, gap, frontier->pdata[i], TRUE, error))
      return NULL;
  }
  if (!cm_ask_auth_events (ask, gap->events, gap->outliers, error))
    return NULL;
  sort_gap (gap);
  gap->positions = cm_rooms_history_positions (ask->intake->parts.rooms, gap->events->len, error);
  return gap->positions != NULL ? g_steal_pointer (&gap) : NULL;
}
