#include "federation/room-private.h"

#include <string.h>

void
cm_state_lookup_init (CmStateLookup *lookup, CmRooms *rooms, const CmStateMap *state)
{
  *lookup = (CmStateLookup){ .rooms = rooms, .state = state };
  lookup->held = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
}

void
cm_state_lookup_clear (CmStateLookup *lookup)
{
  g_clear_pointer (&lookup->held, g_ptr_array_unref);
  g_clear_error (&lookup->error);
}

const CmEvent *
cm_state_lookup_find (const char *type, const char *state_key, gpointer data)
{
  CmStateLookup *lookup = data;
  if (lookup->error != NULL)
    return NULL;
  CmEvent *event =
      cm_rooms_event_in (lookup->rooms, lookup->state, type, state_key, &lookup->error);
  if (event != NULL)
    g_ptr_array_add (lookup->held, event);
  return event;
}

gboolean
cm_rooms_judge (CmRooms *rooms, const CmEvent *event, const CmStateMap *state, GError **error)
{
  g_auto (CmStateLookup) lookup;
  cm_state_lookup_init (&lookup, rooms, state);
  g_autoptr (GError) verdict = NULL;
  gboolean allowed = cm_auth_check (event, cm_state_lookup_find, &lookup, &verdict);
  if (lookup.error == NULL && allowed)
    return TRUE;
  g_propagate_error (error, lookup.error != NULL ? g_steal_pointer (&lookup.error)
                                                 : g_steal_pointer (&verdict));
  return FALSE;
}

static const CmEvent *
find_among (const char *type, const char *state_key, gpointer data)
{
  GPtrArray *events = data;
  for (guint i = 0; i < events->len; i++) {
    if (cm_event_is (events->pdata[i], type, state_key))
      return events->pdata[i];
  }
  return NULL;
}

/* rooms/v12: the create event is not named but implied by the room id, which is its hash. */
static gboolean
add_implied_create (CmRooms *rooms, const CmEvent *event, GPtrArray *auth, GError **error)
{
  if (!event->version->room_id_is_create_hash || cm_event_is (event, "m.room.create", ""))
    return TRUE;
  g_autofree char *create_id = g_strconcat ("$", event->room_id + 1, NULL);
  CmEvent *create = cm_event_store_find (rooms->events, create_id, error);
  if (create == NULL)
    return FALSE;
  g_ptr_array_add (auth, create);
  return TRUE;
}

gboolean
cm_rooms_judge_by_auth (CmRooms *rooms, const CmEvent *event, GError **error)
{
  g_autoptr (GPtrArray) auth = cm_event_store_get_many (
      rooms->events, (const gint64 *) event->auth->data, event->auth->len, error);
  if (auth == NULL)
    return FALSE;
  gsize named = cm_json_length (cm_json_get_array (event->json, "auth_events"));
  if (auth->len != named || g_ptr_array_find (auth, NULL, NULL)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Auth events are missing");
    return FALSE;
  }
  if (!cm_auth_check_auth_events (event, auth, error))
    return FALSE;
  return add_implied_create (rooms, event, auth, error) &&
         cm_auth_check (event, find_among, auth, error);
}

static gboolean
stands_in_graph (const CmEvent *known, const CmEvent *event)
{
  return (known->flags & CM_EVENT_OUTLIER) == 0 && strcmp (known->room_id, event->room_id) == 0;
}

/* Fills @numbers from the ids of @list, by those of @events that fit. */
static void
take_known (const CmEvent *event, const CmJson *list, gboolean in_graph, GPtrArray *events,
            GArray *numbers, GPtrArray *missing)
{
  CmJsonIter iter;
  const CmJson *item;
  cm_json_iter_init (&iter, list);
  for (guint i = 0; cm_json_iter_next (&iter, NULL, &item); i++) {
    const CmEvent *known = events->pdata[i];
    if (known != NULL && (!in_graph || stands_in_graph (known, event)))
      g_array_append_val (numbers, known->number);
    else if (missing != NULL)
      g_ptr_array_add (missing, g_strdup (cm_json_text (item)));
  }
}

static gboolean
link_list (CmRooms *rooms, const CmEvent *event, const char *member, gboolean in_graph,
           GArray *numbers, GPtrArray **missing, GError **error)
{
  const CmJson *list = cm_json_get_array (event->json, member);
  g_autoptr (GPtrArray) ids = g_ptr_array_new ();
  CmJsonIter iter;
  const CmJson *item;
  cm_json_iter_init (&iter, list);
  while (cm_json_iter_next (&iter, NULL, &item))
    g_ptr_array_add (ids, (char *) cm_json_text (item));
  g_autoptr (GPtrArray) events =
      cm_event_store_find_many (rooms->events, (const char *const *) ids->pdata, ids->len, error);
  if (events == NULL)
    return FALSE;
  GPtrArray *absent = missing != NULL ? g_ptr_array_new_with_free_func (g_free) : NULL;
  g_array_set_size (numbers, 0);
  take_known (event, list, in_graph, events, numbers, absent);
  if (missing != NULL)
    *missing = absent;
  return TRUE;
}

gboolean
cm_rooms_link (CmRooms *rooms, CmEvent *event, GPtrArray **missing_prev, GPtrArray **missing_auth,
               GError **error)
{
  g_autoptr (GPtrArray) prev = NULL;
  if (event->prev == NULL)
    event->prev = g_array_new (FALSE, FALSE, sizeof (gint64));
  if (event->auth == NULL)
    event->auth = g_array_new (FALSE, FALSE, sizeof (gint64));
  if (!link_list (rooms, event, "prev_events", TRUE, event->prev,
                  missing_prev != NULL ? &prev : NULL, error) ||
      !link_list (rooms, event, "auth_events", FALSE, event->auth, missing_auth, error))
    return FALSE;
  if (missing_prev != NULL)
    *missing_prev = g_steal_pointer (&prev);
  return TRUE;
}

CmStateMap *
cm_rooms_state_before (CmRooms *rooms, const CmEvent *event, GError **error)
{
  if (event->prev == NULL || event->prev->len == 0)
    return cm_state_map_new_empty ();
  g_autoptr (GPtrArray) prev = cm_event_store_get_many (
      rooms->events, (const gint64 *) event->prev->data, event->prev->len, error);
  if (prev == NULL)
    return NULL;
  g_autofree gint64 *ids = g_new (gint64, prev->len);
  gsize count = 0;
  for (guint i = 0; i < prev->len; i++) {
    const CmEvent *known = prev->pdata[i];
    gboolean seen = known == NULL;
    for (gsize j = 0; j < count && !seen; j++)
      seen = ids[j] == known->state_after;
    if (!seen)
      ids[count++] = known->state_after;
  }
  g_autoptr (GPtrArray) maps = cm_state_store_get_many (rooms->states, ids, count, error);
  if (maps == NULL)
    return NULL;
  if (maps->len == 1)
    return cm_state_map_ref (maps->pdata[0]);
  return cm_event_store_resolve (rooms->events, event->version, (CmStateMap *const *) maps->pdata,
                                 maps->len, error);
}
