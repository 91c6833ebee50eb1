/* Joining a room through a server that is in it. */
#include "federation/handshake-private.h"

#include "crypto/id.h"

#include <string.h>

/* What a resident server answered to send_join. */
typedef struct {
  CmEvent *join;        /* perhaps countersigned */
  GPtrArray *events;    /* of CmEvent: state and auth chain, verified and sorted */
  GPtrArray *state_ids; /* of char* */
} Welcome;

static void
welcome_clear (Welcome *welcome)
{
  g_clear_pointer (&welcome->join, cm_event_unref);
  g_clear_pointer (&welcome->events, g_ptr_array_unref);
  g_clear_pointer (&welcome->state_ids, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Welcome, welcome_clear)

/* One joins a room at a time: its state is replaced by that. FALSE after waiting for another. */
static gboolean
begin_join (CmIntake *intake, const char *room_id, const CmRoomVersion *version)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&intake->mutex);

  if (!g_hash_table_contains (intake->joining, room_id)) {
    g_hash_table_insert (intake->joining, g_strdup (room_id), (gpointer) version);
    return TRUE;
  }
  while (g_hash_table_contains (intake->joining, room_id))
    g_cond_wait (&intake->entered, &intake->mutex);
  return FALSE;
}

static void
end_join (CmIntake *intake, const char *room_id)
{
  g_autoptr (GError) error = NULL;

  g_mutex_lock (&intake->mutex);
  g_hash_table_remove (intake->joining, room_id);
  g_cond_broadcast (&intake->entered);
  g_mutex_unlock (&intake->mutex);
  if (!cm_parking_wake_all (intake->parking, &error))
    g_warning ("Events of %s must wait: %s", room_id, error->message);
}

/* Adds the events of @list; @ids: (nullable) gets their ids. One that is bad is left out: a join
 * must not fail for it (class fed-poison-event). */
static void
parse_list (const CmPlea *plea, const CmRoomVersion *version, const CmJson *list, GPtrArray *events,
            GHashTable *seen, GPtrArray *ids)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, list);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    g_autoptr (GError) failure = NULL;
    g_autoptr (CmEvent) event = cm_event_parse_of_room (version, plea->room_id, item, &failure);
    if (event == NULL) {
      g_message ("An event of %s is left out: %s", plea->room_id, failure->message);
      continue;
    }
    if (ids != NULL)
      g_ptr_array_add (ids, g_strdup (event->event_id));
    /* Looked up first: adding what is there would put the repeated id in place of the kept one. */
    if (g_hash_table_contains (seen, event->event_id))
      continue;
    g_hash_table_add (seen, event->event_id);
    g_ptr_array_add (events, g_steal_pointer (&event));
  }
}

static void
read_events (const CmPlea *plea, const CmRoomVersion *version, const CmJson *answer,
             Welcome *welcome)
{
  g_autoptr (GPtrArray) events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  welcome->state_ids = g_ptr_array_new_with_free_func (g_free);
  parse_list (plea, version, cm_json_get_array (answer, "state"), events, seen, welcome->state_ids);
  parse_list (plea, version, cm_json_get_array (answer, "auth_chain"), events, seen, NULL);
  cm_intake_prove_all (plea->intake, events, NULL);
  welcome->events = cm_events_sort (events, CM_EDGE_AUTH);
}

/* A restricted join comes back with the signature of the server that vouches for it. */
static gboolean
read_join (const CmPlea *plea, const CmEvent *own, const CmJson *answer, Welcome *welcome,
           GError **error)
{
  if (cm_json_get (own->content, "join_authorised_via_users_server") == NULL) {
    welcome->join = cm_event_renew (own, error);
    return welcome->join != NULL;
  }
  welcome->join =
      cm_intake_verify (plea->intake, own->version, cm_json_get_object (answer, "event"), error);
  if (welcome->join == NULL)
    return FALSE;
  if (strcmp (welcome->join->event_id, own->event_id) == 0 &&
      (welcome->join->flags & CM_EVENT_REDACTED) == 0)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, "The server signed another event");
  return FALSE;
}

static gboolean
bad_answer (GError **error, const char *why)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_GATEWAY, why);
  return FALSE;
}

/* The create event that this node knows the room by; NULL without @error when it knows none. */
static CmEvent *
find_known_create (CmRooms *rooms, const char *room_id, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmRoomView) view = cm_rooms_view (rooms, room_id, &failure);

  if (view != NULL)
    return cm_room_state_event (view, "m.room.create", "", error);
  if (!g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND))
    g_propagate_error (error, g_steal_pointer (&failure));
  return NULL;
}

/* The create event must be there, of the version that was said, and the one that the room was known
 * by (CVE-2025-54315). */
static gboolean
check_create (CmRooms *rooms, const CmStateMap *state, const CmEvent *join, const CmEvent *known,
              GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) create = cm_rooms_event_in (rooms, state, "m.room.create", "", &failure);

  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (create == NULL)
    return bad_answer (error, "The server's answer lacks the create event");
  if (g_strcmp0 (cm_json_get_text (create->content, "room_version"), join->version->name) != 0)
    return bad_answer (error, "The room is of another version than the server said");
  if (known != NULL && strcmp (known->event_id, create->event_id) != 0)
    return bad_answer (error, "The room is another one of the same name");
  return TRUE;
}

static gboolean
fill_write (const CmPlea *plea, CmRoomWrite *write, const Welcome *welcome, const CmEvent *known,
            GError **error)
{
  CmRooms *rooms = plea->intake->parts.rooms;
  g_autoptr (GPtrArray) missing = NULL;

  if (!cm_room_write_outliers (write, welcome->events, error))
    return FALSE;
  g_autoptr (CmStateMap) state = cm_place_state (rooms, plea->room_id, welcome->state_ids, error);
  if (state == NULL || !check_create (rooms, state, welcome->join, known, error) ||
      !cm_rooms_link (rooms, welcome->join, NULL, &missing, error))
    return FALSE;
  if (missing->len > 0)
    return bad_answer (error, "The server's answer lacks what authorises the join");
  return cm_room_write_enter (write, welcome->join, state, 0, error);
}

static CmRoom *
enter (const CmPlea *plea, const Welcome *welcome, GError **error)
{
  CmRooms *rooms = plea->intake->parts.rooms;
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) known = find_known_create (rooms, plea->room_id, &failure);

  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  g_autoptr (CmRoom) room = cm_rooms_open (rooms, plea->room_id, welcome->join->version, error);
  g_autoptr (CmRoomWrite) write = room != NULL ? cm_room_write_begin (room, NULL, error) : NULL;
  if (write == NULL || !fill_write (plea, write, welcome, known, error))
    return NULL;
  return cm_room_write_commit (g_steal_pointer (&write), error) ? g_steal_pointer (&room) : NULL;
}

static CmRoom *
join_through (const CmPlea *plea, const char *server, const CmEvent *event, GError **error)
{
  g_autoptr (CmJsonDoc) answer = cm_plea_send (plea, server, event, error);
  g_auto (Welcome) welcome = { 0 };

  if (answer == NULL || !read_join (plea, event, cm_json_doc_root (answer), &welcome, error))
    return NULL;
  read_events (plea, event->version, cm_json_doc_root (answer), &welcome);
  return enter (plea, &welcome, error);
}

static gboolean
is_inside (const CmPlea *plea)
{
  g_autoptr (CmRoomView) view = cm_rooms_view (plea->intake->parts.rooms, plea->room_id, NULL);

  return view != NULL && view->local_joined > 0;
}

/* Another user of this server has just joined. */
static CmRoom *
join_here (const CmPlea *plea, GError **error)
{
  g_autoptr (CmRoom) room = cm_rooms_get (plea->intake->parts.rooms, plea->room_id, error);
  const CmDraft draft = { .type = "m.room.member",
                          .state_key = plea->user_id,
                          .sender = plea->user_id,
                          .content = plea->content };
  g_autoptr (CmEvent) event = room != NULL ? cm_room_append_one (room, &draft, error) : NULL;

  return event != NULL ? g_steal_pointer (&room) : NULL;
}

static CmRoom *
join_at (const CmPlea *plea, const char *server, GError **error)
{
  g_autoptr (CmEvent) event = cm_plea_make (plea, server, error);

  if (event == NULL)
    return NULL;
  while (!begin_join (plea->intake, plea->room_id, event->version)) {
    if (is_inside (plea))
      return join_here (plea, error);
  }
  CmRoom *room = join_through (plea, server, event, error);
  end_join (plea->intake, plea->room_id);
  return room;
}

static gboolean
try_server (const CmPlea *plea, const char *server, gpointer data, GError **error)
{
  CmRoom **room = data;

  *room = join_at (plea, server, error);
  return *room != NULL;
}

CmRoom *
cm_handshake_join (CmIntake *intake, const char *room_id, const char *user_id,
                   const char *const *via, const CmJson *content, GError **error)
{
  const CmPlea plea = { intake, room_id, user_id, "join", content };
  CmRoom *room = NULL;

  return cm_plea_through (&plea, via, try_server, &room, error) ? room : NULL;
}
