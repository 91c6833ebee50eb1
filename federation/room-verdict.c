/* What the room's rules say of an event on its way in (server-server, "Checks performed on receipt
 * of a PDU", 4 to 6). */
#include "federation/room-private.h"

#include <string.h>

/* A negative answer is one of the rules; what else failed is a failure. */
static gboolean
settle (gboolean said_yes, GError *why, gboolean *allowed, GError **error)
{
  *allowed = said_yes;
  if (said_yes)
    return TRUE;
  if (g_error_matches (why, CM_ERROR, CM_ERROR_FORBIDDEN)) {
    g_debug ("Event refused: %s", why->message);
    g_error_free (why);
    return TRUE;
  }
  g_propagate_error (error, why);
  return FALSE;
}

/* Before version 12 a room id says nothing of its create event: the room stays that of the first
 * (CVE-2025-54315). */
static gboolean
is_second_create (CmRoomWrite *write, const CmEvent *event, gboolean *second, GError **error)
{
  g_autoptr (GError) failure = NULL;
  *second = FALSE;
  if (strcmp (event->type, "m.room.create") != 0 || write->view == NULL)
    return TRUE;
  g_autoptr (CmEvent) first = cm_room_state_event (write->view, "m.room.create", "", &failure);
  *second = first != NULL && strcmp (first->event_id, event->event_id) != 0;
  if (failure == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

gboolean
cm_room_write_passes_auth (CmRoomWrite *write, const CmEvent *event, gboolean *allowed,
                           GError **error)
{
  GError *why = NULL;
  gboolean second;
  if (!is_second_create (write, event, &second, error))
    return FALSE;
  if (second) {
    g_set_error_literal (&why, CM_ERROR, CM_ERROR_FORBIDDEN, "The room has another m.room.create");
    return settle (FALSE, why, allowed, error);
  }
  gboolean yes = cm_rooms_judge_by_auth (write->room->rooms, event, &why);
  return settle (yes, why, allowed, error);
}

static gboolean
passes_state (CmRoomWrite *write, const CmEvent *event, const CmStateMap *state, gboolean *allowed,
              GError **error)
{
  GError *why = NULL;
  gboolean yes = cm_rooms_judge (write->room->rooms, event, state, &why);
  return settle (yes, why, allowed, error);
}

CmStateMap *
cm_room_write_state_to_pass (CmRoomWrite *write, const CmEvent *event, const CmState *before,
                             const CmStateMap *given, GError **error)
{
  CmStateMap *const maps[] = { write->view->state, before->map };
  if (write->view->state_id == before->id)
    return cm_state_map_ref (before->map);
  if (given == NULL)
    return cm_state_map_ref (write->view->state);
  return cm_event_store_resolve (write->room->rooms->events, event->version, maps,
                                 G_N_ELEMENTS (maps), error);
}

gboolean
cm_room_write_judge (CmRoomWrite *write, const CmEvent *event, const CmState *before,
                     const CmStateMap *current, CmVerdict *verdict, GError **error)
{
  gboolean allowed;
  *verdict = CM_VERDICT_REJECTED;
  if ((event->flags & CM_EVENT_REJECTED) != 0)
    return TRUE;
  if (!cm_room_write_passes_auth (write, event, &allowed, error))
    return FALSE;
  if (!allowed)
    return TRUE;
  if (!passes_state (write, event, before->map, &allowed, error))
    return FALSE;
  if (!allowed)
    return TRUE;
  if (current != NULL && current != before->map &&
      !passes_state (write, event, current, &allowed, error))
    return FALSE;
  *verdict = allowed ? CM_VERDICT_ACCEPTED : CM_VERDICT_SOFT_FAILED;
  return TRUE;
}
