#include "federation/room-private.h"

#include <string.h>

#define MAX_ROOMS         10000
#define MAX_EVENTS        30000
#define MAX_STATE_ENTRIES (4 * 1024 * 1024) /* 64 MiB */
#define MAX_TRANSACTIONS  20000

static const CmSql sql_room = {
  "room-load",
  "SELECT version, state, extremities, depth, epoch FROM room WHERE id = $1",
};

static const CmSql sql_members = {
  "room-member-counts",
  "SELECT membership, local, count(*) FROM member "
  "WHERE room = $1 AND membership IN ('join', 'invite') GROUP BY membership, local",
};

static const CmSql sql_servers = {
  "room-servers",
  "SELECT s.text, r.joined FROM room_server r JOIN sym s ON s.id = r.server WHERE r.room = $1",
};

void
cm_state_clear (CmState *state)
{
  g_clear_pointer (&state->map, cm_state_map_unref);
}

CmState
cm_state_copy (const CmState *state)
{
  return (CmState){ cm_state_map_ref (state->map), state->id };
}

CmRoom *
cm_room_ref (CmRoom *room)
{
  g_atomic_ref_count_inc (&room->refs);
  return room;
}

void
cm_room_unref (CmRoom *room)
{
  if (!g_atomic_ref_count_dec (&room->refs))
    return;
  g_clear_pointer (&room->tip, cm_room_view_unref);
  g_clear_pointer (&room->view, cm_room_view_unref);
  g_hash_table_unref (room->resolved);
  g_hash_table_unref (room->pending);
  g_mutex_clear (&room->lock);
  g_mutex_clear (&room->view_mutex);
  g_free (room->room_id);
  g_free (room);
}

static CmRoom *
new_room (CmRooms *rooms, const char *room_id)
{
  CmRoom *room = g_new0 (CmRoom, 1);
  g_atomic_ref_count_init (&room->refs);
  room->rooms = rooms;
  room->room_id = g_strdup (room_id);
  room->link.data = room;
  room->resolved = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  room->pending = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_mutex_init (&room->lock);
  g_mutex_init (&room->view_mutex);
  return room;
}

/* The committer's listener. All that is needed rides with the write, so that it may outlive the
 * rooms. */
static void
on_committed (const CmWrite *write, gint64 position, gpointer data)
{
  CmRoomWrite *own = cm_write_attached (write, "room");
  if (own != NULL)
    cm_room_write_committed (own, position);
}

CmRooms *
cm_rooms_new (const CmRoomsParts *parts, GError **error)
{
  gint64 member = cm_sym (parts->ids, "m.room.member", error);
  if (member == 0)
    return NULL;
  CmRooms *rooms = g_new0 (CmRooms, 1);
  rooms->parts = *parts;
  rooms->parts.server_name = g_strdup (parts->server_name);
  rooms->parts.key = cm_signing_key_ref (parts->key);
  rooms->events = cm_event_store_new (parts->pool, parts->ids, MAX_EVENTS);
  rooms->states = cm_state_store_new (parts->pool, parts->ids, MAX_STATE_ENTRIES);
  rooms->transactions = cm_transactions_new (MAX_TRANSACTIONS);
  rooms->retries = cm_append_retries_new (rooms);
  rooms->member_sym = (guint32) member;
  rooms->rooms = g_hash_table_new (g_str_hash, g_str_equal);
  g_mutex_init (&rooms->mutex);
  g_cond_init (&rooms->idle);
  g_queue_init (&rooms->lru);
  cm_committer_listen (parts->committer, on_committed, NULL);
  return rooms;
}

/* Caller holds rooms->mutex. */
static void
unlist (CmRooms *rooms, CmRoom *room)
{
  g_queue_unlink (&rooms->lru, &room->link);
  g_hash_table_remove (rooms->rooms, room->room_id);
  cm_room_unref (room);
}

void
cm_rooms_free (CmRooms *rooms)
{
  g_mutex_lock (&rooms->mutex);
  while (rooms->in_flight > 0)
    g_cond_wait (&rooms->idle, &rooms->mutex);
  g_mutex_unlock (&rooms->mutex);
  g_thread_pool_free (rooms->retries, FALSE, TRUE);
  while (rooms->lru.head != NULL)
    unlist (rooms, rooms->lru.head->data);
  g_hash_table_unref (rooms->rooms);
  g_clear_pointer (&rooms->erased, g_hash_table_unref);
  cm_transactions_free (rooms->transactions);
  cm_state_store_free (rooms->states);
  cm_event_store_free (rooms->events);
  cm_signing_key_unref (rooms->parts.key);
  g_free ((char *) rooms->parts.server_name);
  g_mutex_clear (&rooms->mutex);
  g_cond_clear (&rooms->idle);
  g_free (rooms);
}

void
cm_rooms_set_erased (CmRooms *rooms, const GArray *users)
{
  GHashTable *erased = users->len > 0 ? g_hash_table_new (NULL, NULL) : NULL;
  for (guint i = 0; i < users->len; i++)
    g_hash_table_add (erased, GUINT_TO_POINTER ((guint) g_array_index (users, gint64, i)));

  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&rooms->mutex);
  g_clear_pointer (&rooms->erased, g_hash_table_unref);
  rooms->erased = erased;
}

gboolean
cm_rooms_is_erased (CmRooms *rooms, const CmEvent *event)
{
  if (event->state_key != NULL && !cm_event_is (event, "m.room.member", event->sender))
    return FALSE;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&rooms->mutex);
  return rooms->erased != NULL &&
         g_hash_table_contains (rooms->erased, GUINT_TO_POINTER (event->sender_sym));
}

CmEventStore *
cm_rooms_events (CmRooms *rooms)
{
  return rooms->events;
}

const CmRoomsParts *
cm_rooms_parts (CmRooms *rooms)
{
  return &rooms->parts;
}

void
cm_rooms_begin_work (CmRooms *rooms)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&rooms->mutex);
  rooms->in_flight++;
}

void
cm_rooms_end_work (CmRooms *rooms)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&rooms->mutex);
  if (--rooms->in_flight == 0)
    g_cond_broadcast (&rooms->idle);
}

void
cm_rooms_forget (CmRoom *room)
{
  CmRooms *rooms = room->rooms;
  g_atomic_int_set (&room->broken, TRUE);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&rooms->mutex);
  if (g_hash_table_lookup (rooms->rooms, room->room_id) == room)
    unlist (rooms, room);
}

/* A room that only the table holds has no writer and no write under way. */
static void
evict (CmRooms *rooms)
{
  GList *link = rooms->lru.tail;
  while (link != NULL && rooms->lru.length > MAX_ROOMS) {
    CmRoom *room = link->data;
    link = link->prev;
    if (g_atomic_ref_count_compare (&room->refs, 1))
      unlist (rooms, room);
  }
}

/* (transfer full) the room of the table, perhaps not loaded yet. */
static CmRoom *
take (CmRooms *rooms, const char *room_id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&rooms->mutex);
  CmRoom *room = g_hash_table_lookup (rooms->rooms, room_id);
  if (room != NULL) {
    g_queue_unlink (&rooms->lru, &room->link);
    g_queue_push_head_link (&rooms->lru, &room->link);
    return cm_room_ref (room);
  }
  room = new_room (rooms, room_id);
  g_hash_table_insert (rooms->rooms, room->room_id, room);
  g_queue_push_head_link (&rooms->lru, &room->link);
  cm_room_ref (room);
  evict (rooms);
  return room;
}

static void
set_not_found (GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Room not found");
}

static void
read_members (CmRoomView *view, const CmRows *members, const CmRows *servers)
{
  for (gsize i = 0; i < cm_rows_count (members); i++) {
    gint64 count = cm_rows_integer (members, i, 2);
    if (strcmp (cm_rows_text (members, i, 0), "invite") == 0) {
      view->invited += count;
      continue;
    }
    view->joined += count;
    if (cm_rows_boolean (members, i, 1))
      view->local_joined += count;
  }
  GHashTable *counts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (gsize i = 0; i < cm_rows_count (servers); i++)
    g_hash_table_insert (counts, g_strdup (cm_rows_text (servers, i, 0)),
                         GINT_TO_POINTER (cm_rows_integer (servers, i, 1)));
  cm_room_view_set_servers (view, counts);
}

/* Fills in version, epoch and tip from the room's row, if it has one. */
static gboolean
read_room (CmRoom *room, GError **error)
{
  CmRooms *rooms = room->rooms;
  g_autoptr (CmRows) row = NULL, members = NULL, servers = NULL;
  {
    g_autoptr (CmDb) db = cm_pool_get (rooms->parts.pool, error);
    if (db == NULL || !cm_db_send (db, &sql_room, CM_ARGS (CM_INT (room->sym)), error) ||
        !cm_db_send (db, &sql_members, CM_ARGS (CM_INT (room->sym)), error) ||
        !cm_db_send (db, &sql_servers, CM_ARGS (CM_INT (room->sym)), error) ||
        (row = cm_db_receive (db, error)) == NULL ||
        (members = cm_db_receive (db, error)) == NULL ||
        (servers = cm_db_receive (db, error)) == NULL)
      return FALSE;
  }
  if (cm_rows_count (row) == 0)
    return TRUE;
  room->stored = TRUE;
  room->version = cm_room_version_find (cm_rows_text (row, 0, 0));
  room->epoch = cm_rows_integer (row, 0, 4);
  if (room->version == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNSUPPORTED_ROOM_VERSION,
                         "This room's version is not supported");
    return FALSE;
  }
  if (cm_rows_is_null (row, 0, 1))
    return TRUE;
  g_auto (CmState) state = { NULL, cm_rows_integer (row, 0, 1) };
  state.map = cm_state_store_get (rooms->states, state.id, error);
  if (state.map == NULL)
    return FALSE;
  room->tip = cm_room_view_new (room);
  cm_room_view_set_state (room->tip, &state);
  g_array_unref (room->tip->extremities);
  room->tip->extremities = cm_rows_integers (row, 0, 2);
  room->tip->depth = cm_rows_integer (row, 0, 3);
  read_members (room->tip, members, servers);
  return TRUE;
}

/* Once; @version as for cm_rooms_open. */
static gboolean
load (CmRoom *room, const CmRoomVersion *version, GError **error)
{
  CmIds *ids = room->rooms->parts.ids;
  g_autoptr (GError) failure = NULL;
  room->sym = version != NULL ? cm_sym (ids, room->room_id, &failure)
                              : cm_sym_lookup (ids, room->room_id, &failure);
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (room->sym != 0 && !read_room (room, error))
    return FALSE;
  if (room->version == NULL)
    room->version = version;
  if (room->version == NULL) {
    set_not_found (error);
    return FALSE;
  }
  if (room->tip != NULL)
    cm_room_publish (room, room->tip);
  g_atomic_int_set (&room->loaded, TRUE);
  return TRUE;
}

CmRoom *
cm_rooms_open (CmRooms *rooms, const char *room_id, const CmRoomVersion *version, GError **error)
{
  for (;;) {
    g_autoptr (CmRoom) room = take (rooms, room_id);
    if (g_atomic_int_get (&room->loaded))
      return g_steal_pointer (&room);
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&room->lock);
    if (g_atomic_int_get (&room->broken))
      continue; /* another thread failed to load it and took it out of the table */
    if (g_atomic_int_get (&room->loaded) || load (room, version, error)) {
      g_clear_pointer (&locker, g_mutex_locker_free);
      return g_steal_pointer (&room);
    }
    cm_rooms_forget (room);
    return NULL;
  }
}

CmRoom *
cm_rooms_get (CmRooms *rooms, const char *room_id, GError **error)
{
  g_autoptr (CmRoom) room = cm_rooms_open (rooms, room_id, NULL, error);
  if (room == NULL)
    return NULL;
  g_autoptr (CmRoomView) view = cm_room_view (room);
  if (view != NULL)
    return g_steal_pointer (&room);
  set_not_found (error);
  return NULL;
}

CmRoomView *
cm_rooms_view (CmRooms *rooms, const char *room_id, GError **error)
{
  g_autoptr (CmRoom) room = cm_rooms_open (rooms, room_id, NULL, error);
  CmRoomView *view = room != NULL ? cm_room_view (room) : NULL;
  if (room != NULL && view == NULL)
    set_not_found (error);
  return view;
}

CmStateMap *
cm_rooms_state_at (CmRooms *rooms, gint64 state_id, GError **error)
{
  return cm_state_store_get (rooms->states, state_id, error);
}

GPtrArray *
cm_rooms_states_at (CmRooms *rooms, const gint64 *state_ids, gsize count, GError **error)
{
  return cm_state_store_get_many (rooms->states, state_ids, count, error);
}
