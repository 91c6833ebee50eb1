/* The state before an event whose ancestors stay unknown, as another server tells it. */
#include "federation/intake-private.h"

/* Of so many unknown prev events the state is asked, when it is not told of the event itself. */
#define MAX_PREV 3

/* Adds to @wanted those of @ids that are neither stored nor there. */
static gboolean
want_unknown (CmRooms *rooms, GPtrArray *ids, GHashTable *there, GHashTable *wanted, GError **error)
{
  g_autoptr (GPtrArray) known = cm_event_store_find_many (
      cm_rooms_events (rooms), (const char *const *) ids->pdata, ids->len, error);

  if (known == NULL)
    return FALSE;
  for (guint i = 0; i < ids->len; i++) {
    if (known->pdata[i] == NULL && !g_hash_table_contains (there, ids->pdata[i]))
      g_hash_table_add (wanted, ids->pdata[i]);
  }
  return TRUE;
}

void
cm_ask_each (const CmAsk *ask, GHashTable *wanted, GPtrArray *outliers)
{
  GHashTableIter iter;
  gpointer id;

  g_hash_table_iter_init (&iter, wanted);
  while (g_hash_table_iter_next (&iter, &id, NULL)) {
    g_autoptr (GError) failure = NULL;
    CmEvent *event = cm_ask_event (ask, id, &failure);
    if (event != NULL)
      g_ptr_array_add (outliers, event);
    else
      g_debug ("%s does not give %s: %s", ask->server, (char *) id, failure->message);
  }
}

/* Adds what is unknown of the state before @event_id to @outliers.
 * Returns: (transfer full) the ids of that state. */
static GPtrArray *
ask_state_at (const CmAsk *ask, const char *event_id, GPtrArray *outliers, GError **error)
{
  g_autoptr (GPtrArray) state = NULL, chain = NULL;
  g_autoptr (GHashTable) wanted = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) there = cm_event_ids (outliers);
  CmRooms *rooms = ask->intake->parts.rooms;

  if (!cm_ask_state_ids (ask, event_id, &state, &chain, error) ||
      !want_unknown (rooms, state, there, wanted, error) ||
      !want_unknown (rooms, chain, there, wanted, error))
    return NULL;
  if (g_hash_table_size (wanted) <= CM_ASK_SINGLE) {
    cm_ask_each (ask, wanted, outliers);
  } else {
    g_autoptr (GPtrArray) all = cm_ask_state (ask, event_id, error);
    if (all == NULL)
      return NULL;
    g_ptr_array_extend_and_steal (outliers, g_steal_pointer (&all));
  }
  return g_steal_pointer (&state);
}

/* Adds the state after @event_id, which becomes an outlier, to @states. */
static gboolean
ask_state_after (const CmAsk *ask, const char *event_id, GPtrArray *outliers, GPtrArray *states,
                 GError **error)
{
  g_autoptr (CmEvent) event = cm_ask_event (ask, event_id, error);
  g_autoptr (GPtrArray) state =
      event != NULL ? ask_state_at (ask, event_id, outliers, error) : NULL;

  if (state == NULL)
    return FALSE;
  /* The last of a key counts. */
  g_ptr_array_add (state, g_strdup (event_id));
  g_ptr_array_add (outliers, g_steal_pointer (&event));
  g_ptr_array_add (states, g_steal_pointer (&state));
  return TRUE;
}

/* The states after those prev events of @event that are neither known nor in the gap. */
static gboolean
ask_states_after_prev (const CmAsk *ask, const CmGap *gap, CmEvent *event, GPtrArray *states,
                       GError **error)
{
  g_autoptr (GPtrArray) missing = NULL;
  g_autoptr (GHashTable) there = cm_event_ids (gap->events);

  if (!cm_rooms_link (ask->intake->parts.rooms, event, &missing, NULL, error))
    return FALSE;
  for (guint i = missing->len; i > 0; i--) {
    if (g_hash_table_contains (there, missing->pdata[i - 1]))
      g_ptr_array_remove_index (missing, i - 1);
  }
  if (missing->len == 0 || missing->len > MAX_PREV) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "Too much of the past is missing");
    return FALSE;
  }
  for (guint i = 0; i < missing->len; i++) {
    if (!ask_state_after (ask, missing->pdata[i], gap->outliers, states, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
says_it_cannot (const GError *refusal)
{
  return g_error_matches (refusal, CM_ERROR, CM_ERROR_NOT_FOUND) ||
         g_error_matches (refusal, CM_ERROR, CM_ERROR_UNRECOGNIZED) ||
         g_error_matches (refusal, CM_ERROR, CM_ERROR_BAD_GATEWAY);
}

gboolean
cm_ask_state_before (const CmAsk *ask, CmGap *gap, CmEvent *event, gboolean fetched, GError **error)
{
  g_autoptr (GPtrArray) states =
      g_ptr_array_new_with_free_func ((GDestroyNotify) g_ptr_array_unref);
  g_autoptr (GError) refusal = NULL;
  GPtrArray *state = ask_state_at (ask, event->event_id, gap->outliers, &refusal);

  if (state != NULL) {
    g_ptr_array_add (states, state);
  } else if (!fetched || !says_it_cannot (refusal)) {
    g_propagate_error (error, g_steal_pointer (&refusal));
    return FALSE;
  } else if (!ask_states_after_prev (ask, gap, event, states, error)) {
    return FALSE;
  }
  g_hash_table_insert (gap->states, g_strdup (event->event_id), g_steal_pointer (&states));
  return TRUE;
}
