#include "federation/draft.h"

#include "crypto/hash.h"
#include "federation/room-private.h"

#include <string.h>

#define MAX_DEPTH ((G_GINT64_CONSTANT (1) << 53) - 1)

/* What an event stands on. */
typedef struct {
  const CmRoomVersion *version;
  const char *room_id; /* NULL: of a version 12 create */
  CmState state;       /* before it */
  GPtrArray *prev;     /* of CmEvent */
  GPtrArray *auth;     /* of CmEvent */
  gint64 depth;
} Ground;

static void
ground_clear (Ground *ground)
{
  cm_state_clear (&ground->state);
  g_clear_pointer (&ground->prev, g_ptr_array_unref);
  g_clear_pointer (&ground->auth, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Ground, ground_clear)

typedef struct {
  CmStateLookup *lookup;
  GPtrArray *auth;
} AuthPick;

static void
pick_auth (const char *type, const char *state_key, gpointer data)
{
  AuthPick *pick = data;
  const CmEvent *event = cm_state_lookup_find (type, state_key, pick->lookup);
  if (event != NULL && !g_ptr_array_find (pick->auth, event, NULL))
    g_ptr_array_add (pick->auth, cm_event_ref ((CmEvent *) event));
}

static gboolean
select_auth (Ground *ground, CmRooms *rooms, const CmDraft *draft, GError **error)
{
  g_auto (CmStateLookup) lookup;
  cm_state_lookup_init (&lookup, rooms, ground->state.map);
  ground->auth = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  AuthPick pick = { &lookup, ground->auth };
  cm_auth_keys (ground->version, draft->type, draft->sender, draft->state_key, draft->content,
                pick_auth, &pick);
  if (lookup.error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&lookup.error));
  return FALSE;
}

static int
newest_first (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  return x > y ? -1 : x < y;
}

/* All forward extremities, of too many the newest. @write NULL: nothing will be stored. */
static gboolean
take_ground (Ground *ground, CmRoomWrite *write, const CmRoomView *view, GError **error)
{
  CmRooms *rooms = view->rooms;
  g_autoptr (GArray) numbers = g_array_copy (view->extremities);
  gboolean all = numbers->len <= CM_EVENT_MAX_PREV_EVENTS;
  g_array_sort (numbers, newest_first);
  if (!all)
    g_array_set_size (numbers, CM_EVENT_MAX_PREV_EVENTS);
  ground->version = view->version;
  ground->room_id = view->room_id;
  ground->depth = MIN (view->depth + 1, MAX_DEPTH);
  ground->prev =
      cm_event_store_get_many (rooms->events, (const gint64 *) numbers->data, numbers->len, error);
  if (ground->prev == NULL)
    return FALSE;
  if (g_ptr_array_find (ground->prev, NULL, NULL)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_DATABASE, "An event of the graph is missing");
    return FALSE;
  }
  if (!all && write != NULL)
    return cm_room_write_merge (write, (const gint64 *) numbers->data, numbers->len, &ground->state,
                                error);
  ground->state = (CmState){ cm_state_map_ref (view->state), view->state_id };
  return TRUE;
}

static void
put_ids (CmJsonWriter *writer, const char *key, GPtrArray *events)
{
  cm_json_open_array (writer, key);
  for (guint i = 0; events != NULL && i < events->len; i++)
    cm_json_put_text (writer, NULL, ((CmEvent *) events->pdata[i])->event_id);
  cm_json_close (writer);
}

/* What a redaction takes back stands in the content or beside it, as the version has it, whatever
 * the client sent (client-server, "PUT /rooms/{roomId}/send/{eventType}/{txnId}"). */
static void
put_content (CmJsonWriter *writer, const CmDraft *draft, gboolean redacts_inside)
{
  CmJsonIter iter;
  const char *key;
  const CmJson *value;
  if (draft->redacts == NULL) {
    cm_json_put_node (writer, "content", draft->content);
    return;
  }
  cm_json_open_object (writer, "content");
  if (redacts_inside)
    cm_json_put_text (writer, "redacts", draft->redacts);
  cm_json_iter_init (&iter, draft->content);
  while (cm_json_iter_next (&iter, &key, &value)) {
    if (strcmp (key, "redacts") != 0)
      cm_json_put_member (writer, iter.key, value);
  }
  cm_json_close (writer);
}

static CmJsonDoc *
compose (const Ground *ground, const CmDraft *draft)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gboolean redacts_inside = ground->version->redacts_in_content;
  gint64 now = draft->origin_server_ts != 0 ? draft->origin_server_ts : g_get_real_time () / 1000;
  cm_json_open_object (writer, NULL);
  put_ids (writer, "auth_events", ground->auth);
  put_content (writer, draft, redacts_inside);
  cm_json_put_integer (writer, "depth", ground->depth);
  cm_json_put_integer (writer, "origin_server_ts", now);
  put_ids (writer, "prev_events", ground->prev);
  if (draft->redacts != NULL && !redacts_inside)
    cm_json_put_text (writer, "redacts", draft->redacts);
  cm_json_put_text (writer, "room_id", ground->room_id);
  cm_json_put_text (writer, "sender", draft->sender);
  cm_json_put_text (writer, "state_key", draft->state_key);
  cm_json_put_text (writer, "type", draft->type);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

/* (transfer full) the event, allowed by the state that it stands on. */
static CmEvent *
build (CmRooms *rooms, const CmJson *object, const Ground *ground, GError **error)
{
  g_autoptr (CmEvent) event =
      cm_event_build (ground->version, object, rooms->parts.server_name, rooms->parts.key, error);
  if (event == NULL)
    return NULL;
  if (g_bytes_get_size (event->bytes) > CM_EVENT_MAX_BYTES) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_TOO_LARGE, "The event is too large");
    return NULL;
  }
  return cm_rooms_judge (rooms, event, ground->state.map, error) ? g_steal_pointer (&event) : NULL;
}

static GArray *
numbers_of (GPtrArray *events)
{
  GArray *numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; events != NULL && i < events->len; i++)
    g_array_append_val (numbers, ((CmEvent *) events->pdata[i])->number);
  return numbers;
}

/* The present state event when @draft says the same by the same sender (NULL without @error when
 * not). */
static CmEvent *
find_echo (const CmRoomView *view, const CmDraft *draft, GError **error)
{
  if (draft->state_key == NULL)
    return NULL;
  g_autoptr (CmEvent) present = cm_room_state_event (view, draft->type, draft->state_key, error);
  if (present == NULL || strcmp (present->sender, draft->sender) != 0 ||
      !cm_json_equal (present->content, draft->content))
    return NULL;
  return g_steal_pointer (&present);
}

/* (transfer full) */
static CmEvent *
add (CmRoomWrite *write, const CmDraft *draft, CmStoreFlags flags, GError **error)
{
  CmRooms *rooms = write->room->rooms;
  g_auto (Ground) ground = { 0 };
  g_autoptr (GError) failure = NULL;
  if (write->view == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Room not found");
    return NULL;
  }
  CmEvent *echo = find_echo (write->view, draft, &failure);
  if (echo != NULL)
    return echo;
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (!take_ground (&ground, write, write->view, error) ||
      !select_auth (&ground, rooms, draft, error))
    return NULL;
  g_autoptr (CmJsonDoc) object = compose (&ground, draft);
  g_autoptr (CmEvent) event = build (rooms, cm_json_doc_root (object), &ground, error);
  if (event == NULL)
    return NULL;
  if (strcmp (event->type, "m.room.redaction") == 0 && event->state_key == NULL &&
      !cm_room_check_own_redaction (rooms, event, ground.state.map, error))
    return NULL;
  event->prev = numbers_of (ground.prev);
  event->auth = numbers_of (ground.auth);
  if (!cm_room_write_number (write, event, error) ||
      !cm_room_write_place (write, event, &ground.state, flags, FALSE, error))
    return NULL;
  return g_steal_pointer (&event);
}

CmEvent *
cm_draft_add (CmRoomWrite *write, const CmDraft *draft, CmStoreFlags flags, GError **error)
{
  CmEvent *event = add (write, draft, flags, error);
  if (event == NULL)
    cm_room_write_doubt (write, error);
  return event;
}

/* The ground of an event on top of @room as readers see it. */
static gboolean
take_ground_of (Ground *ground, CmRoom *room, const CmDraft *draft, GError **error)
{
  g_autoptr (CmRoomView) view = cm_room_view (room);
  if (view == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Room not found");
    return FALSE;
  }
  if (!take_ground (ground, NULL, view, error) || !select_auth (ground, room->rooms, draft, error))
    return FALSE;
  ground->room_id = room->room_id; /* outlives the view */
  return TRUE;
}

CmJsonDoc *
cm_draft_compose (CmRoom *room, const CmDraft *draft, GError **error)
{
  g_auto (Ground) ground = { 0 };
  return take_ground_of (&ground, room, draft, error) ? compose (&ground, draft) : NULL;
}

CmJsonDoc *
cm_room_template (CmRoom *room, const CmDraft *draft, GError **error)
{
  g_auto (Ground) ground = { 0 };
  if (!take_ground_of (&ground, room, draft, error))
    return NULL;
  g_autoptr (CmJsonDoc) object = compose (&ground, draft);
  /* Signed only to be judged; the other server signs what it makes of the template. */
  g_autoptr (CmEvent) event = build (room->rooms, cm_json_doc_root (object), &ground, error);
  return event != NULL ? g_steal_pointer (&object) : NULL;
}

CmEvent *
cm_room_build (CmRoom *room, const CmDraft *draft, GError **error)
{
  g_auto (Ground) ground = { 0 };
  if (!take_ground_of (&ground, room, draft, error))
    return NULL;
  g_autoptr (CmJsonDoc) object = compose (&ground, draft);
  return build (room->rooms, cm_json_doc_root (object), &ground, error);
}

/* The create event of a new room. In version 12 it names the room; before, the room has a name of
 * its own. */
static CmEvent *
build_create (CmRooms *rooms, const CmRoomVersion *version, const CmDraft *draft, GError **error)
{
  g_autofree char *opaque = cm_random_token (18);
  g_autofree char *room_id = g_strdup_printf ("!%s:%s", opaque, rooms->parts.server_name);
  g_auto (Ground) ground = {
    .version = version,
    .room_id = version->room_id_is_create_hash ? NULL : room_id,
    .state = { cm_state_map_new_empty (), 0 },
    .depth = 1,
  };
  g_autoptr (CmJsonDoc) object = compose (&ground, draft);
  CmEvent *event = build (rooms, cm_json_doc_root (object), &ground, error);
  if (event == NULL)
    return NULL;
  event->prev = numbers_of (NULL);
  event->auth = numbers_of (NULL);
  return event;
}

static gboolean
fill_room (CmRoomWrite *write, CmEvent *create, const CmDraft *drafts, gsize count, GError **error)
{
  g_autoptr (CmStateMap) nothing = cm_state_map_new_empty ();
  if (!cm_room_write_enter (write, create, nothing, CM_STORE_JUDGED, error))
    return FALSE;
  for (gsize i = 0; i < count; i++) {
    g_autoptr (CmEvent) event = cm_draft_add (write, &drafts[i], 0, error);
    if (event == NULL)
      return FALSE;
  }
  return TRUE;
}

CmRoom *
cm_rooms_create (CmRooms *rooms, const CmRoomVersion *version, const CmDraft *create,
                 const CmDraft *drafts, gsize count, CmCreateExtra extra_func, gpointer data,
                 GError **error)
{
  g_autoptr (CmEvent) event = build_create (rooms, version, create, error);
  g_autoptr (CmRoom) room =
      event != NULL ? cm_rooms_open (rooms, event->room_id, version, error) : NULL;
  if (room == NULL)
    return NULL;
  g_autoptr (CmRoomWrite) write = cm_room_write_begin (room, NULL, error);
  if (write == NULL || !fill_room (write, event, drafts, count, error))
    return NULL;
  if (extra_func != NULL)
    extra_func (cm_room_write_statements (write), room->room_id, room->sym, data);
  return cm_room_write_commit (g_steal_pointer (&write), error) ? g_steal_pointer (&room) : NULL;
}
