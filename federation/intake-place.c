/* What was fetched takes its place, all of it in one write or nothing. */
#include "federation/intake-private.h"

#include <string.h>

/* How often a write is made anew that lost a race. */
#define MAX_TRIES 5

#define GAP_TIME (60 * G_USEC_PER_SEC)

gboolean
cm_intake_is_known (CmIntake *intake, const char *event_id, gboolean *known, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) event =
      cm_event_store_find (cm_rooms_events (intake->parts.rooms), event_id, &failure);

  *known = event != NULL && (event->flags & CM_EVENT_OUTLIER) == 0;
  if (event != NULL || g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

CmStateMap *
cm_place_state (CmRooms *rooms, const char *room_id, GPtrArray *ids, GError **error)
{
  g_autoptr (GPtrArray) events = cm_event_store_find_many (
      cm_rooms_events (rooms), (const char *const *) ids->pdata, ids->len, error);
  if (events == NULL)
    return NULL;
  g_autoptr (GArray) entries = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = events->pdata[i];
    if (event == NULL || event->state_key == NULL || (event->flags & CM_EVENT_REJECTED) != 0 ||
        strcmp (event->room_id, room_id) != 0)
      continue;
    CmStateEntry entry = { event->type_sym, event->state_key_sym, event->number };
    g_array_append_val (entries, entry);
  }
  return cm_state_map_new (g_steal_pointer (&entries));
}

/* The state before an event of which not all prev events are known: what the other server says,
 * resolved with what the known ones say. NULL without @error when nothing was fetched for it. */
static CmStateMap *
state_before (CmRooms *rooms, const CmGap *gap, const CmEvent *event, GError **error)
{
  const GPtrArray *states = g_hash_table_lookup (gap->states, event->event_id);

  if (states == NULL)
    return NULL;
  g_autoptr (GPtrArray) maps = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_state_map_unref);
  for (guint i = 0; i < states->len; i++) {
    CmStateMap *fetched = cm_place_state (rooms, event->room_id, states->pdata[i], error);
    if (fetched == NULL)
      return NULL;
    g_ptr_array_add (maps, fetched);
  }
  if (event->prev->len > 0) {
    CmStateMap *known = cm_rooms_state_before (rooms, event, error);
    if (known == NULL)
      return NULL;
    g_ptr_array_add (maps, known);
  }
  if (maps->len == 1)
    return cm_state_map_ref (maps->pdata[0]);
  return cm_event_store_resolve (cm_rooms_events (rooms), event->version,
                                 (CmStateMap *const *) maps->pdata, maps->len, error);
}

/* Events of which not enough could be had are left out; the newest, for which all is done, must not
 * be. */
static gboolean
place_event (CmRoomWrite *write, CmRooms *rooms, const CmGap *gap, guint index, GError **error)
{
  CmEvent *event = gap->events->pdata[index];
  g_autoptr (GPtrArray) missing_prev = NULL, missing_auth = NULL;
  g_autoptr (GError) failure = NULL;
  CmVerdict verdict;

  if (!cm_rooms_link (rooms, event, &missing_prev, &missing_auth, error))
    return FALSE;
  g_autoptr (CmStateMap) before = state_before (rooms, gap, event, &failure);
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  gboolean placeable = missing_auth->len == 0 && (before != NULL || missing_prev->len == 0);
  if (placeable && gap->positions != NULL)
    return cm_room_write_history (write, event, before,
                                  g_array_index (gap->positions, gint64, index), &verdict, error);
  if (placeable)
    return cm_room_write_live (write, event, before, 0, &verdict, error);
  if (gap->positions != NULL || index + 1 < gap->events->len)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_GATEWAY,
                       "What the event stands on could not be fetched");
  return FALSE;
}

static gboolean
place_gap (CmRoomWrite *write, CmRooms *rooms, const CmGap *gap, GError **error)
{
  if (!cm_room_write_outliers (write, gap->outliers, error))
    return FALSE;
  for (guint i = 0; i < gap->events->len; i++) {
    if (!place_event (write, rooms, gap, i, error))
      return FALSE;
  }
  return TRUE;
}

static GPtrArray *
renew_all (GPtrArray *events, GError **error)
{
  g_autoptr (GPtrArray) fresh = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);

  for (guint i = 0; i < events->len; i++) {
    CmEvent *event = cm_event_renew (events->pdata[i], error);
    if (event == NULL)
      return NULL;
    g_ptr_array_add (fresh, event);
  }
  return g_steal_pointer (&fresh);
}

static gboolean
renew_gap (CmGap *gap, GError **error)
{
  g_autoptr (GPtrArray) outliers = renew_all (gap->outliers, error);
  g_autoptr (GPtrArray) events = outliers != NULL ? renew_all (gap->events, error) : NULL;

  if (events == NULL)
    return FALSE;
  g_ptr_array_unref (gap->outliers);
  g_ptr_array_unref (gap->events);
  gap->outliers = g_steal_pointer (&outliers);
  gap->events = g_steal_pointer (&events);
  return TRUE;
}

gboolean
cm_gap_store (CmIntake *intake, const char *room_id, CmGap *gap, GError **error)
{
  CmRooms *rooms = intake->parts.rooms;

  for (guint tries = 1;; tries++) {
    g_autoptr (GError) failure = NULL;
    g_autoptr (CmRoom) room = cm_rooms_get (rooms, room_id, &failure);
    g_autoptr (CmRoomWrite) write =
        room != NULL ? cm_room_write_begin (room, NULL, &failure) : NULL;
    if (write != NULL && place_gap (write, rooms, gap, &failure) &&
        cm_room_write_commit (g_steal_pointer (&write), &failure))
      return TRUE;
    g_clear_pointer (&write, cm_room_write_abandon);
    if (tries >= MAX_TRIES || !g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
    if (!renew_gap (gap, error))
      return FALSE;
  }
}

gboolean
cm_intake_place (CmIntake *intake, const char *server, CmRoom *room, CmEvent *event, GError **error)
{
  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_auto (CmLargeTurn) turn = { 0 };
  const CmAsk ask = {
    intake, server, view->room_id, view->version, g_get_monotonic_time () + GAP_TIME, &turn
  };
  g_autoptr (CmGap) gap = cm_gap_fetch (&ask, event, error);

  if (gap == NULL)
    return FALSE;
  return cm_gap_store (intake, view->room_id, gap, error);
}
