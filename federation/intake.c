#include "federation/intake-private.h"

#include "crypto/id.h"
#include "federation/auth-rules.h"

#include <string.h>

#define MAX_TRIES 5

gboolean
cm_room_check_acl (const CmRoomView *view, const char *server, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) acl = cm_room_state_event (view, "m.room.server_acl", "", &failure);

  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (cm_server_acl_allows (acl, server))
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "The room shuts this server out");
  return FALSE;
}

gboolean
cm_intake_receive (CmIntake *intake, const char *origin, const CmJson *pdu, GError **error)
{
  const char *room_id = cm_json_get_text (pdu, "room_id");
  gboolean known;

  if (!cm_id_is_room (room_id)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, "The event is of no room");
    return FALSE;
  }
  g_autoptr (CmRoom) room = cm_rooms_get (intake->parts.rooms, room_id, error);
  g_autoptr (CmRoomView) view = room != NULL ? cm_room_view (room) : NULL;
  if (view == NULL || !cm_room_check_acl (view, origin, error))
    return FALSE;
  g_autoptr (CmEvent) event = cm_intake_verify (intake, view->version, pdu, error);
  if (event == NULL || !cm_room_check_acl (view, cm_id_domain (event->sender), error) ||
      !cm_intake_is_known (intake, event->event_id, &known, error))
    return FALSE;
  return known || cm_intake_place (intake, origin, room, event, error);
}

/* FALSE without @error: the write lost a race. */
static gboolean
try_store (CmIntake *intake, const char *room_id, CmEvent *event, CmStoreFlags flags,
           GError **error)
{
  CmRooms *rooms = intake->parts.rooms;
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmRoom) room = cm_rooms_get (rooms, room_id, error);
  g_autoptr (CmRoomWrite) write = room != NULL ? cm_room_write_begin (room, NULL, &failure) : NULL;
  g_autoptr (GPtrArray) missing = NULL;
  CmVerdict verdict = CM_VERDICT_ACCEPTED;

  if (room == NULL)
    return FALSE;
  gboolean ok = write != NULL && cm_rooms_link (rooms, event, &missing, NULL, &failure);
  if (ok && missing->len > 0) {
    g_set_error_literal (&failure, CM_ERROR, CM_ERROR_FORBIDDEN,
                         "What the event stands on is not known");
    ok = FALSE;
  }
  ok = ok && cm_room_write_live (write, event, NULL, flags, &verdict, &failure);
  if (ok && verdict != CM_VERDICT_ACCEPTED) {
    g_set_error_literal (&failure, CM_ERROR, CM_ERROR_FORBIDDEN,
                         "The rules of the room do not allow this");
    ok = FALSE;
  }
  if (ok && cm_room_write_commit (g_steal_pointer (&write), &failure))
    return TRUE;
  if (!g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT))
    g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

CmEvent *
cm_intake_store (CmIntake *intake, const char *room_id, CmEvent *event, CmStoreFlags flags,
                 GError **error)
{
  for (guint tries = 0; tries < MAX_TRIES; tries++) {
    g_autoptr (GError) failure = NULL;
    g_autoptr (CmEvent) fresh = cm_event_renew (event, error);
    if (fresh == NULL)
      return NULL;
    if (try_store (intake, room_id, fresh, flags, &failure))
      return cm_event_store_find (cm_rooms_events (intake->parts.rooms), event->event_id, error);
    if (failure != NULL) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return NULL;
    }
  }
  g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "Please try again");
  return NULL;
}

CmEvent *
cm_intake_admit (CmIntake *intake, CmRoom *room, CmEvent *event, GError **error)
{
  g_autoptr (CmRoomView) view = cm_room_view (room);

  return cm_intake_store (intake, view->room_id, event, CM_STORE_RELAY, error);
}

gboolean
cm_intake_look_again (CmIntake *intake, GError **error)
{
  return cm_parking_wake_all (intake->parking, error);
}

CmIntake *
cm_intake_new (const CmIntakeParts *parts, GError **error)
{
  g_autoptr (CmIntake) intake = g_new0 (CmIntake, 1);

  intake->parts = *parts;
  intake->server_name = cm_rooms_parts (parts->rooms)->server_name;
  g_mutex_init (&intake->mutex);
  g_cond_init (&intake->entered);
  g_cond_init (&intake->read);
  intake->joining = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  intake->budgets = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  intake->parking = cm_parking_new (intake, error);
  return intake->parking != NULL ? g_steal_pointer (&intake) : NULL;
}

void
cm_intake_free (CmIntake *intake)
{
  g_clear_pointer (&intake->parking, cm_parking_free);
  g_hash_table_unref (intake->joining);
  g_hash_table_unref (intake->budgets);
  g_mutex_clear (&intake->mutex);
  g_cond_clear (&intake->entered);
  g_cond_clear (&intake->read);
  g_free (intake);
}
