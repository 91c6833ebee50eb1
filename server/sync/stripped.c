#include "server/sync/stripped.h"

#include "crypto/json-writer.h"
#include "server/client-event.h"
#include "server/node.h"

#include <string.h>

/* client-server, "Stripped state", the recommended ones. */
static const char *const recommended[] = {
  "m.room.create",     "m.room.name",       "m.room.avatar",
  "m.room.topic",      "m.room.join_rules", "m.room.canonical_alias",
  "m.room.encryption",
};

static gboolean
is_ignored (const CmSyncAnswer *answer, const char *user_id)
{
  return user_id != NULL && answer->ignored != NULL &&
         g_hash_table_contains (answer->ignored, user_id);
}

/* client-server, "Ignoring users" and "Invite permission" */
static gboolean
is_unwanted (const CmSyncAnswer *answer, CmMembership membership, const char *sender)
{
  return (answer->no_invites && membership == CM_MEMBERSHIP_INVITE) || is_ignored (answer, sender);
}

/* What other servers sent was checked when it came; still, what is no stripped event is not shown,
 * so that one room cannot break all of a client's sync (CVE-2024-52815). */
static gboolean
is_stripped_event (const CmJson *json)
{
  return cm_json_get_text (json, "type") != NULL && cm_json_get_text (json, "sender") != NULL &&
         cm_json_get_text (json, "state_key") != NULL &&
         cm_json_get_object (json, "content") != NULL;
}

static void
put_stripped (CmJsonWriter *writer, const CmJson *json)
{
  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, "content", cm_json_get (json, "content"));
  cm_json_put_text (writer, "sender", cm_json_get_text (json, "sender"));
  cm_json_put_text (writer, "state_key", cm_json_get_text (json, "state_key"));
  cm_json_put_text (writer, "type", cm_json_get_text (json, "type"));
  cm_json_close (writer);
}

static gboolean
is_own_member (const CmJson *json, const char *user_id)
{
  return g_strcmp0 (cm_json_get_text (json, "type"), "m.room.member") == 0 &&
         g_strcmp0 (cm_json_get_text (json, "state_key"), user_id) == 0;
}

static CmJsonDoc *
parse_column (const CmRows *rows, gsize row, int column)
{
  g_autoptr (GBytes) bytes = cm_rows_bytes (rows, row, column);

  return bytes != NULL ? cm_json_parse_bytes (bytes, NULL) : NULL;
}

/* The state that was told, and the member event itself. */
static GBytes *
outside_stripped (const char *user_id, const CmJson *state, const CmJson *event)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *item;
  CmJsonIter iter;

  cm_json_open_array (writer, NULL);
  cm_json_iter_init (&iter, cm_json_type (state) == CM_JSON_ARRAY ? state : NULL);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (is_stripped_event (item) && !is_own_member (item, user_id))
      put_stripped (writer, item);
  if (is_stripped_event (event))
    put_stripped (writer, event);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

/* An invite that was turned down, or a knock taken back, from afar. */
static void
show_departure (CmSyncRoom *room, const CmRows *rows, gsize row)
{
  const CmRoomVersion *version = cm_room_version_find (cm_rows_text (rows, row, 4));
  g_autoptr (GBytes) bytes = cm_rows_bytes (rows, row, 2);
  CmEvent *event = version != NULL && bytes != NULL
                       ? cm_event_load (version, bytes, cm_rows_text (rows, row, 3), NULL)
                       : NULL;

  room->stateless = TRUE;
  room->prev_batch = room->high;
  if (event == NULL)
    return;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_event_write (writer, NULL, event, CM_FORMAT_CLIENT_NO_ROOM_ID, NULL);
  g_ptr_array_add (room->timeline, event);
  g_ptr_array_add (room->shown, cm_json_writer_end (writer));
}

static gint64
find_room (const CmSyncAnswer *answer, const char *room_id)
{
  for (guint i = 0; i < answer->rooms->len; i++)
    if (strcmp (((CmSyncRoom *) g_ptr_array_index (answer->rooms, i))->room_id, room_id) == 0)
      return i;
  return -1;
}

static void
plan_outside_room (CmSyncAnswer *answer, const CmRows *rows, gsize row)
{
  const CmSyncRequest *request = answer->request;
  const char *room_id = cm_rows_text (rows, row, 0);
  CmMembership membership = cm_membership_from_text (cm_rows_text (rows, row, 1));
  g_autoptr (CmJsonDoc) event = parse_column (rows, row, 2), state = parse_column (rows, row, 5);
  const CmJson *json = event != NULL ? cm_json_doc_root (event) : NULL;
  gint64 other = find_room (answer, room_id);

  /* A room that was left, and to which he is asked anew. */
  if (other >= 0) {
    const CmSyncRoom *room = g_ptr_array_index (answer->rooms, (guint) other);
    if (room->membership == CM_MEMBERSHIP_JOIN || room->high > cm_rows_integer (rows, row, 6))
      return;
    g_ptr_array_remove_index (answer->rooms, (guint) other);
  }
  gboolean asked = membership == CM_MEMBERSHIP_INVITE || membership == CM_MEMBERSHIP_KNOCK;
  if (!cm_sync_filter_wants_room (request->filter, room_id) ||
      is_unwanted (answer, membership, cm_json_get_text (json, "sender")) ||
      (!asked && request->initial))
    return;
  CmSyncRoom *room = cm_sync_room_new (0, room_id);
  room->membership = membership;
  room->high = cm_rows_integer (rows, row, 6);
  if (asked)
    room->stripped =
        outside_stripped (request->user_id, state != NULL ? cm_json_doc_root (state) : NULL, json);
  else
    show_departure (room, rows, row);
  g_ptr_array_add (answer->rooms, room);
}

void
cm_sync_plan_outside (CmSyncAnswer *answer, const CmRows *outside)
{
  for (gsize row = 0; row < cm_rows_count (outside); row++)
    plan_outside_room (answer, outside, row);
}

/* The stripped state of a room that is here, as it was when @member came about. */
static GBytes *
inside_stripped (CmRooms *rooms, const CmEvent *member, GError **error)
{
  g_autoptr (CmStateMap) state = cm_rooms_state_at (rooms, member->state_before, error);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (state == NULL)
    return NULL;
  cm_json_open_array (writer, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (recommended); i++) {
    g_autoptr (CmEvent) event = cm_rooms_event_in (rooms, state, recommended[i], "", NULL);
    if (event != NULL)
      cm_client_event_put_stripped (writer, NULL, event);
  }
  g_autoptr (CmEvent) inviter =
      cm_rooms_event_in (rooms, state, "m.room.member", member->sender, NULL);
  if (inviter != NULL && strcmp (member->sender, member->state_key) != 0)
    cm_client_event_put_stripped (writer, NULL, inviter);
  cm_client_event_put_stripped (writer, NULL, member);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

gboolean
cm_sync_add_stripped (CmSyncAnswer *answer, GError **error)
{
  CmRooms *rooms = answer->request->node->rooms;

  for (guint i = answer->rooms->len; i > 0; i--) {
    CmSyncRoom *room = g_ptr_array_index (answer->rooms, i - 1);
    g_autoptr (GError) failure = NULL;
    if (room->stripped != NULL ||
        (room->membership != CM_MEMBERSHIP_INVITE && room->membership != CM_MEMBERSHIP_KNOCK))
      continue;
    g_autoptr (CmEvent) member =
        cm_event_store_get (cm_rooms_events (rooms), room->membership_event, &failure);
    if (member != NULL && member->state_key != NULL &&
        !is_unwanted (answer, room->membership, member->sender))
      room->stripped = inside_stripped (rooms, member, &failure);
    if (g_error_matches (failure, CM_ERROR, CM_ERROR_UNAVAILABLE)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
    if (room->stripped == NULL)
      g_ptr_array_remove_index (answer->rooms, i - 1);
  }
  return TRUE;
}
