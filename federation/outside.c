/* An invite is taken back, or a knock refused, in a room that this node is not in. */
#include "federation/intake-private.h"

#include "crypto/id.h"
#include "schema/inbound.h"

#include <string.h>

/* FALSE without @error: there is none. */
static gboolean
find (CmIntake *intake, const char *room_id, const char *user_id, CmOutside *outside,
      GError **error)
{
  const CmRoomsParts *parts = cm_rooms_parts (intake->parts.rooms);
  g_autoptr (GError) failure = NULL;
  gboolean found = FALSE;

  outside->room = cm_sym_lookup (parts->ids, room_id, &failure);
  if (outside->room != 0)
    outside->user = cm_sym_lookup (parts->ids, user_id, &failure);
  if (outside->user != 0) {
    g_autoptr (CmDb) db = cm_pool_get (parts->pool, &failure);
    found = db != NULL && cm_outside_find (db, outside, &failure);
  }
  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  return found && strcmp (outside->membership, "leave") != 0;
}

static gboolean
names (const CmEvent *event, const char *auth_event)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_array (event->json, "auth_events"));
  while (cm_json_iter_next (&iter, NULL, &item)) {
    if (strcmp (cm_json_text (item), auth_event) == 0)
      return TRUE;
  }
  return FALSE;
}

/* The state of the room is not known, so that nobody's power is: it must come from the server that
 * invited, and end just this membership. */
static gboolean
ends (const CmEvent *event, const CmOutside *outside)
{
  g_autoptr (CmEvent) member =
      cm_event_load (event->version, outside->event, outside->event_id, NULL);

  if (member == NULL || !names (event, member->event_id))
    return FALSE;
  return strcmp (outside->membership, "knock") == 0 ||
         g_strcmp0 (cm_id_domain (event->sender), cm_id_domain (member->sender)) == 0;
}

static gboolean
end (CmIntake *intake, const CmOutside *outside, const CmEvent *event, GError **error)
{
  CmWrite *write = cm_write_new ();
  gint64 offset = cm_write_take_positions (write, 1);

  cm_outside_leave (write, outside->user, outside->room, event->event_id, event->bytes, offset);
  cm_write_topic (write, CM_TOPIC_USER, event->state_key);
  return cm_committer_commit (cm_rooms_parts (intake->parts.rooms)->committer, write, error) >= 0;
}

gboolean
cm_intake_receive_outside (CmIntake *intake, const CmJson *pdu, GError **error)
{
  const char *room_id = cm_json_get_text (pdu, "room_id");
  const char *user_id = cm_json_get_text (pdu, "state_key");
  const char *membership = cm_json_get_text (cm_json_get_object (pdu, "content"), "membership");
  g_autoptr (GError) failure = NULL;
  g_auto (CmOutside) outside = { 0 };

  gboolean may = g_strcmp0 (cm_json_get_text (pdu, "type"), "m.room.member") == 0 &&
                 cm_id_is_user (user_id) && cm_id_domain_is (user_id, intake->server_name) &&
                 (g_strcmp0 (membership, "leave") == 0 || g_strcmp0 (membership, "ban") == 0) &&
                 find (intake, room_id, user_id, &outside, &failure);
  const CmRoomVersion *version = may ? cm_room_version_find (outside.room_version) : NULL;
  g_autoptr (CmEvent) event =
      version != NULL ? cm_intake_verify (intake, version, pdu, &failure) : NULL;
  if (event != NULL && ends (event, &outside))
    return end (intake, &outside, event, error);
  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  else
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "This server is not in the room");
  return FALSE;
}
