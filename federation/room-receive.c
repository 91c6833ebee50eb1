/* Events take their place: judged (server-server, "Checks performed on receipt of a PDU", 4 to 6),
 * numbered, with the states before and after them. */
#include "federation/room-private.h"

static CmVerdict
verdict_of (const CmEvent *event)
{
  if ((event->flags & CM_EVENT_REJECTED) != 0)
    return CM_VERDICT_REJECTED;
  return (event->flags & CM_EVENT_SOFT_FAILED) != 0 ? CM_VERDICT_SOFT_FAILED : CM_VERDICT_ACCEPTED;
}

/* An event on its way in. */
typedef struct {
  CmEvent
      *event; /* what will be stored: as handed in, or pruned when an earlier copy was redacted */
  CmEventPlace place;
  gboolean done;      /* it has its place already */
  GPtrArray *missing; /* ids of unknown prev events */
} Arrival;

static void
arrival_clear (Arrival *arrival)
{
  g_clear_pointer (&arrival->event, cm_event_unref);
  g_clear_pointer (&arrival->missing, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Arrival, arrival_clear)

/* Takes over the numbers of the outlier that @known is. A rejected event stays rejected
 * (CVE-2022-39374). */
static gboolean
adopt (Arrival *arrival, CmEvent *event, const CmEvent *known, GError **error)
{
  event->number = known->number;
  event->room_sym = known->room_sym;
  event->type_sym = known->type_sym;
  event->sender_sym = known->sender_sym;
  event->state_key_sym = known->state_key_sym;
  event->flags |= known->flags & ~(guint) CM_EVENT_OUTLIER;
  arrival->place.stored = TRUE;
  if ((known->flags & CM_EVENT_REDACTED) == 0 || known->redacted_because == NULL) {
    arrival->event = cm_event_ref (event);
    return TRUE;
  }
  arrival->event = cm_event_redact (event, known->redacted_because, error);
  return arrival->event != NULL;
}

/* Looks whether @event is known, links it to what is, and numbers it. */
static gboolean
arrive (CmRoomWrite *write, CmEvent *event, Arrival *arrival, GError **error)
{
  CmRooms *rooms = write->room->rooms;
  g_autoptr (GError) failure = NULL;
  *arrival = (Arrival){ 0 };
  g_autoptr (CmEvent) known = cm_event_store_find (rooms->events, event->event_id, &failure);
  if (known == NULL && !g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND)) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (known != NULL && (known->flags & CM_EVENT_OUTLIER) == 0) {
    event->number = known->number;
    arrival->event = g_steal_pointer (&known);
    arrival->done = TRUE;
    return TRUE;
  }
  if (!cm_rooms_link (rooms, event, &arrival->missing, NULL, error))
    return FALSE;
  if (known != NULL)
    return adopt (arrival, event, known, error);
  arrival->event = cm_event_ref (event);
  return cm_room_write_number (write, event, error);
}

/* The state before @event: what the caller fetched, or by its prev events, all of which must then
 * be known. */
static gboolean
state_before (CmRoomWrite *write, const Arrival *arrival, CmStateMap *given, CmState *before,
              GError **error)
{
  const CmEvent *event = arrival->event;
  if (given != NULL) {
    CmState none = { NULL, 0 };
    CmState near =
        write->view != NULL ? (CmState){ write->view->state, write->view->state_id } : none;
    return cm_room_write_state (write, &near, given, before, error);
  }
  if (arrival->missing->len > 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Events before this one are missing");
    return FALSE;
  }
  return cm_room_write_merge (write, (const gint64 *) event->prev->data, event->prev->len, before,
                              error);
}

static void
remember (CmRoomWrite *write, CmEvent *event)
{
  cm_event_store_put (write->room->rooms->events, event);
  g_ptr_array_add (write->stored, cm_event_ref (event));
}

/* The states around @event, and in a state event's case what it changes. */
static gboolean
set_states (CmRoomWrite *write, CmEvent *event, const CmState *before, CmState *after,
            GError **error)
{
  event->state_before = before->id;
  if (event->state_key == NULL || (event->flags & CM_EVENT_REJECTED) != 0) {
    *after = cm_state_copy (before);
  } else {
    g_autoptr (CmStateMap) map =
        cm_state_map_with (before->map, event->type_sym, event->state_key_sym, event->number);
    if (!cm_room_write_state (write, before, map, after, error))
      return FALSE;
  }
  event->state_after = after->id;
  return TRUE;
}

/* A rejected or soft-failed event: in the graph for those who cite it, seen by nobody. */
static gboolean
put_aside (CmRoomWrite *write, Arrival *arrival, const CmState *before, CmEventFlags flag,
           GError **error)
{
  g_auto (CmState) after = { 0 };
  arrival->event->flags |= flag;
  if (!set_states (write, arrival->event, before, &after, error))
    return FALSE;
  cm_room_write_add_event (write, arrival->event, &arrival->place);
  cm_room_write_add_missing (write, arrival->event, arrival->missing);
  remember (write, arrival->event);
  g_ptr_array_add (write->arrived, cm_event_ref (arrival->event));
  return TRUE;
}

static gboolean
move_tip (CmRoomWrite *write, const CmEvent *event, const CmState *after, gint64 offset,
          GError **error)
{
  CmRoomView *view = write->view;
  GArray *extremities = cm_branches_after (view, event);
  g_array_unref (view->extremities);
  view->extremities = extremities;
  view->depth = extremities->len == 1 ? event->depth : MAX (view->depth, event->depth);
  write->moved = TRUE;
  g_auto (CmState) current = { 0 };
  if (extremities->len == 1)
    current = cm_state_copy (after);
  else if (!cm_room_write_merge (write, (const gint64 *) extremities->data, extremities->len,
                                 &current, error))
    return FALSE;
  return current.id == view->state_id ||
         cm_room_write_change_state (write, &current, offset, error);
}

static gboolean
is_dummy (const CmEvent *event)
{
  return cm_event_is (event, CM_DUMMY_EVENT, NULL);
}

/* Readers get the event at position @offset of the write. */
static void
show (CmRoomWrite *write, CmEvent *event, gint64 offset)
{
  const CmRoomHooks *hooks = &write->room->rooms->parts.hooks;

  g_ptr_array_add (write->events, cm_event_ref (event));
  g_array_append_val (write->offsets, offset);
  if (hooks->event_added != NULL)
    hooks->event_added (write->write, offset, event, write->view, hooks->data);
}

gboolean
cm_room_write_place (CmRoomWrite *write, CmEvent *event, const CmState *before, CmStoreFlags flags,
                     gboolean stored, GError **error)
{
  g_auto (CmState) after = { 0 };
  CmRedacts redacts;
  if (!set_states (write, event, before, &after, error) ||
      !cm_room_write_redactions (write, event, before->map, &redacts, error))
    return FALSE;
  gint64 offset = cm_write_take_positions (write->write, 1);
  gboolean visible =
      redacts != CM_REDACTS_LATER && redacts != CM_REDACTS_IN_VAIN && !is_dummy (event);
  cm_room_write_add_event (
      write, event, &(CmEventPlace){ .visible = visible, .stored = stored, .position = offset });
  remember (write, event);
  g_autoptr (GPtrArray) others = g_ptr_array_ref (write->view->others);
  if (!move_tip (write, event, &after, offset, error))
    return FALSE;
  cm_room_write_tell_servers (write, event, others, offset, flags);
  if (visible)
    show (write, event, offset);
  return TRUE;
}

static gboolean
check_held (const CmRoomWrite *write, GError **error)
{
  if (write->view != NULL)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Room not found");
  return FALSE;
}

static gboolean
receive (CmRoomWrite *write, CmEvent *event, CmStateMap *given, CmStoreFlags flags,
         CmVerdict *verdict, GError **error)
{
  g_auto (Arrival) arrival = { 0 };
  g_auto (CmState) before = { 0 };
  if (!check_held (write, error) || !arrive (write, event, &arrival, error))
    return FALSE;
  *verdict = verdict_of (arrival.event);
  if (arrival.done)
    return TRUE;
  if (!state_before (write, &arrival, given, &before, error))
    return FALSE;
  g_autoptr (CmStateMap) current =
      cm_room_write_state_to_pass (write, arrival.event, &before, given, error);
  if (current == NULL ||
      ((flags & CM_STORE_JUDGED) == 0 &&
       !cm_room_write_judge (write, arrival.event, &before, current, verdict, error)))
    return FALSE;
  if (*verdict == CM_VERDICT_REJECTED)
    return put_aside (write, &arrival, &before, CM_EVENT_REJECTED, error);
  if (*verdict == CM_VERDICT_ACCEPTED &&
      !cm_room_write_make_way (write, arrival.event, verdict, error))
    return FALSE;
  if (*verdict == CM_VERDICT_SOFT_FAILED)
    return put_aside (write, &arrival, &before, CM_EVENT_SOFT_FAILED, error);
  if (!cm_room_write_place (write, arrival.event, &before, flags, arrival.place.stored, error))
    return FALSE;
  cm_room_write_add_missing (write, arrival.event, arrival.missing);
  g_ptr_array_add (write->arrived, cm_event_ref (arrival.event));
  return TRUE;
}

gboolean
cm_room_write_live (CmRoomWrite *write, CmEvent *event, CmStateMap *given, CmStoreFlags flags,
                    CmVerdict *verdict, GError **error)
{
  gboolean done = receive (write, event, given, flags, verdict, error);
  if (!done)
    cm_room_write_doubt (write, error);
  return done;
}

gboolean
cm_room_write_history (CmRoomWrite *write, CmEvent *event, CmStateMap *given, gint64 position,
                       CmVerdict *verdict, GError **error)
{
  g_auto (Arrival) arrival = { 0 };
  g_auto (CmState) before = { 0 }, after = { 0 };
  if (!arrive (write, event, &arrival, error))
    return FALSE;
  *verdict = verdict_of (arrival.event);
  if (arrival.done)
    return TRUE;
  if (!state_before (write, &arrival, given, &before, error) ||
      !cm_room_write_judge (write, arrival.event, &before, NULL, verdict, error))
    return FALSE;
  if (*verdict == CM_VERDICT_REJECTED)
    return put_aside (write, &arrival, &before, CM_EVENT_REJECTED, error);
  if (!set_states (write, arrival.event, &before, &after, error))
    return FALSE;
  CmRedacts redacts;
  if (!cm_room_write_redactions (write, arrival.event, before.map, &redacts, error))
    return FALSE;
  arrival.place.visible = redacts != CM_REDACTS_IN_VAIN && !is_dummy (arrival.event);
  arrival.place.negative = TRUE;
  arrival.place.position = position;
  arrival.event->position = arrival.place.visible ? position : 0;
  cm_room_write_add_event (write, arrival.event, &arrival.place);
  cm_room_write_add_missing (write, arrival.event, arrival.missing);
  remember (write, arrival.event);
  g_ptr_array_add (write->arrived, cm_event_ref (arrival.event));
  return TRUE;
}

gboolean
cm_room_write_new_outlier (CmRoomWrite *write, CmEvent *event, CmVerdict *verdict, GError **error)
{
  gboolean allowed;
  if (!cm_room_write_passes_auth (write, event, &allowed, error) ||
      !cm_room_write_number (write, event, error))
    return FALSE;
  *verdict = allowed ? CM_VERDICT_ACCEPTED : CM_VERDICT_REJECTED;
  event->flags |= CM_EVENT_OUTLIER | (allowed ? 0 : CM_EVENT_REJECTED);
  cm_room_write_add_event (write, event, &(CmEventPlace){ .visible = FALSE });
  remember (write, event);
  g_ptr_array_add (write->arrived, cm_event_ref (event));
  return TRUE;
}

gboolean
cm_room_write_outlier (CmRoomWrite *write, CmEvent *event, CmVerdict *verdict, GError **error)
{
  CmRooms *rooms = write->room->rooms;
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) known = cm_event_store_find (rooms->events, event->event_id, &failure);
  if (known == NULL && !g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND)) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (known != NULL) {
    event->number = known->number;
    *verdict = verdict_of (known);
    return TRUE;
  }
  return cm_rooms_link (rooms, event, NULL, NULL, error) &&
         cm_room_write_new_outlier (write, event, verdict, error);
}

gboolean
cm_room_write_enter (CmRoomWrite *write, CmEvent *event, CmStateMap *given, CmStoreFlags flags,
                     GError **error)
{
  g_auto (Arrival) arrival = { 0 };
  g_auto (CmState) before = { 0 };
  CmVerdict verdict = CM_VERDICT_ACCEPTED;
  if (!arrive (write, event, &arrival, error))
    return FALSE;
  if (arrival.done)
    return TRUE;
  if (write->view == NULL)
    write->view = cm_room_view_new (write->room);
  g_array_unref (write->view->extremities);
  write->view->extremities = g_array_new (FALSE, FALSE, sizeof (gint64));
  if (!state_before (write, &arrival, given, &before, error))
    return FALSE;
  if ((flags & CM_STORE_JUDGED) == 0 &&
      !cm_room_write_judge (write, arrival.event, &before, NULL, &verdict, error))
    return FALSE;
  if (verdict != CM_VERDICT_ACCEPTED) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN,
                         "The state of the room does not allow this");
    return FALSE;
  }
  /* The resident server that let the join in tells the others. */
  if (!cm_room_write_place (write, arrival.event, &before, flags | CM_STORE_QUIET,
                            arrival.place.stored, error))
    return FALSE;
  cm_room_write_add_missing (write, arrival.event, arrival.missing);
  g_ptr_array_add (write->arrived, cm_event_ref (arrival.event));
  return TRUE;
}
