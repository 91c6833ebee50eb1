/* The rooms in which something happened lately: who of this server is in them, their newest events
 * and receipts. */
#include "server/sync/hub-private.h"

#include "schema/push.h"
#include "schema/sync.h"

#include <string.h>

/* After how long without use a room or a user is forgotten. */
#define KEEP_US (10 * 60 * G_TIME_SPAN_SECOND)

static void
free_member (gpointer data)
{
  CmHubMember *member = data;

  g_free (member->user_id);
  g_clear_pointer (&member->counts, g_array_unref);
  g_free (member);
}

static void
clear_event (gpointer data)
{
  CmHubEvent *event = data;

  cm_event_unref (event->event);
  g_clear_pointer (&event->shown, g_bytes_unref);
}

static void
clear_receipt (gpointer data)
{
  cm_receipt_free (((CmHubReceipt *) data)->receipt);
}

CmHubRoom *
cm_hub_room_ref (CmHubRoom *room)
{
  g_atomic_ref_count_inc (&room->refs);
  return room;
}

void
cm_hub_room_unref (CmHubRoom *room)
{
  if (!g_atomic_ref_count_dec (&room->refs))
    return;
  g_free (room->room_id);
  g_hash_table_unref (room->members);
  g_array_unref (room->events);
  g_array_unref (room->receipts);
  g_free (room);
}

static CmHubRoom *
new_room (const char *room_id, gint64 sym, gint64 position)
{
  CmHubRoom *room = g_new0 (CmHubRoom, 1);

  g_atomic_ref_count_init (&room->refs);
  room->room_id = g_strdup (room_id);
  room->room = sym;
  room->members = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, free_member);
  room->events = g_array_new (FALSE, FALSE, sizeof (CmHubEvent));
  g_array_set_clear_func (room->events, clear_event);
  room->receipts = g_array_new (FALSE, FALSE, sizeof (CmHubReceipt));
  g_array_set_clear_func (room->receipts, clear_receipt);
  room->from = room->receipts_from = position;
  return room;
}

static CmHubMember *
add_member (CmHubRoom *room, const char *user_id, gint64 user)
{
  CmHubMember *member = g_new0 (CmHubMember, 1);

  member->room = room;
  member->user_id = g_strdup (user_id);
  member->user = user;
  g_hash_table_insert (room->members, member->user_id, member);
  return member;
}

static void
take_unread (CmHubRoom *room, const CmRows *unread)
{
  g_autoptr (GHashTable) by_sym = g_hash_table_new (g_int64_hash, g_int64_equal);

  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, room->members);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    g_hash_table_insert (by_sym, &((CmHubMember *) value)->user, value);
  for (gsize i = 0; i < cm_rows_count (unread); i++) {
    gint64 user = cm_rows_integer (unread, i, 0);
    CmHubMember *member = g_hash_table_lookup (by_sym, &user);
    CmSyncCount count = { cm_rows_integer (unread, i, 1), cm_rows_integer (unread, i, 2),
                          cm_rows_integer (unread, i, 3) };
    if (member == NULL)
      continue;
    if (member->counts == NULL)
      member->counts = g_array_new (FALSE, FALSE, sizeof (CmSyncCount));
    g_array_append_val (member->counts, count);
  }
}

/* Whoever joined after what the hub has come to is added when it comes to that: what was said
 * before need not be his to see. */
static CmRows *
read_members (CmSyncHub *hub, CmDb *db, gint64 room, GError **error)
{
  return cm_sync_local_members (db, room, hub->position + 1, error);
}

/* With the mutex held, unless the room is nobody else's yet. */
static void
take_members (CmSyncHub *hub, CmHubRoom *room, const CmRows *members)
{
  g_autoptr (GHashTable) present = g_hash_table_new (g_str_hash, g_str_equal);
  GHashTableIter iter;
  gpointer user_id, member;

  for (gsize i = 0; i < cm_rows_count (members); i++) {
    const char *name = cm_rows_text (members, i, 0);
    g_hash_table_add (present, (gpointer) name);
    if (!g_hash_table_contains (room->members, name))
      add_member (room, name, cm_rows_integer (members, i, 1));
  }
  g_hash_table_iter_init (&iter, room->members);
  while (g_hash_table_iter_next (&iter, &user_id, &member)) {
    if (g_hash_table_contains (present, user_id))
      continue;
    cm_hub_count_nothing (hub, member);
    g_hash_table_iter_remove (&iter);
  }
}

static gint64
known_sym (CmSyncHub *hub, const char *room_id, GError **error)
{
  g_autoptr (GError) failure = NULL;
  gint64 sym = cm_sym_lookup (hub->node->ids, room_id, &failure);

  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  else if (sym == 0)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such room");
  return sym;
}

static CmHubRoom *
load (CmSyncHub *hub, const char *room_id, gint64 before, GError **error)
{
  gint64 sym = known_sym (hub, room_id, error);
  g_autoptr (CmDb) db = sym != 0 ? cm_pool_get (hub->node->pool, error) : NULL;
  g_autoptr (CmRows) members = db != NULL ? read_members (hub, db, sym, error) : NULL;
  g_autoptr (CmRows) unread = members != NULL ? cm_unread_of_room (db, sym, error) : NULL;
  gint64 state = unread != NULL ? cm_sync_state_before (db, sym, before, error) : -1;

  if (state < 0)
    return NULL;
  CmHubRoom *room = new_room (room_id, sym, before - 1);
  room->from_state = state;
  take_members (hub, room, members);
  take_unread (room, unread);
  return room;
}

/* Something of @room was missed. What is unread in it is known here only, and stays. */
static gboolean
refresh (CmSyncHub *hub, CmHubRoom *room, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (hub->node->pool, error);
  g_autoptr (CmRows) members = db != NULL ? read_members (hub, db, room->room, error) : NULL;
  gint64 state =
      members != NULL ? cm_sync_state_before (db, room->room, hub->position + 1, error) : -1;

  if (state < 0)
    return FALSE;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  g_array_set_size (room->events, 0);
  g_array_set_size (room->receipts, 0);
  room->from = room->receipts_from = hub->position;
  room->from_state = state;
  take_members (hub, room, members);
  room->stale = FALSE;
  return TRUE;
}

CmHubRoom *
cm_hub_room_open (CmSyncHub *hub, const char *room_id, gint64 before, GError **error)
{
  CmHubRoom *room = g_hash_table_lookup (hub->rooms, room_id);

  if (room == NULL) {
    room = load (hub, room_id, before, error);
    if (room == NULL)
      return NULL;
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
    g_hash_table_insert (hub->rooms, room->room_id, room);
  } else if (room->stale && !refresh (hub, room, error)) {
    return NULL;
  }
  room->used = g_get_monotonic_time ();
  return room;
}

void
cm_hub_room_update_member (CmSyncHub *hub, CmHubRoom *room, const char *user_id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoomView) view = cm_rooms_view (hub->node->rooms, room->room_id, &error);
  if (view == NULL && !g_error_matches (error, CM_ERROR, CM_ERROR_NOT_FOUND)) {
    g_warning ("Room %s: whether %s is in it is not known: %s", room->room_id, user_id,
               error->message);
    room->stale = TRUE;
    return;
  }
  gboolean joined = view != NULL && cm_room_membership (view, user_id) == CM_MEMBERSHIP_JOIN;
  CmHubMember *member = g_hash_table_lookup (room->members, user_id);
  gint64 user = joined && member == NULL ? cm_sym (hub->node->ids, user_id, NULL) : 0;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);

  if (user != 0)
    add_member (room, user_id, user);
  if (joined || member == NULL)
    return;
  /* The rows of the counters are left to cm_hub_flush, which must not find the member freed. */
  cm_hub_count_nothing (hub, member);
  g_hash_table_remove (room->members, user_id);
}

static void
drop_oldest (CmHubRoom *room)
{
  const CmHubEvent *oldest = &g_array_index (room->events, CmHubEvent, 0);

  room->from = oldest->position;
  room->from_state = oldest->event->state_after;
  g_array_remove_index (room->events, 0);
}

void
cm_hub_room_add_event (CmHubRoom *room, CmEvent *event)
{
  CmHubEvent entry = { cm_event_ref (event), event->position, NULL, 0 };

  if (room->events->len >= CM_HUB_ROOM_EVENTS)
    drop_oldest (room);
  /* What it redacts may stand here as it was (CVE-2024-6300). */
  while (event->redacts != NULL && room->events->len > 0)
    drop_oldest (room);
  g_array_append_val (room->events, entry);
}

void
cm_hub_room_add_receipt (CmHubRoom *room, const CmReceipt *receipt, gint64 position)
{
  CmHubReceipt entry = { cm_receipt_copy (receipt), position };

  if (room->receipts->len >= CM_HUB_ROOM_RECEIPTS) {
    room->receipts_from = g_array_index (room->receipts, CmHubReceipt, 0).position;
    g_array_remove_index (room->receipts, 0);
  }
  g_array_append_val (room->receipts, entry);
}

static gboolean
is_unused_user (gpointer key, gpointer value, gpointer before)
{
  const CmHubUser *user = value;

  return user->polls->len == 0 && user->used < *(gint64 *) before;
}

static gboolean
is_unused_room (gpointer key, gpointer value, gpointer before)
{
  return ((CmHubRoom *) value)->used < *(gint64 *) before;
}

void
cm_hub_sweep (CmSyncHub *hub)
{
  gint64 before = g_get_monotonic_time () - KEEP_US;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);

  g_hash_table_foreach_remove (hub->users, is_unused_user, &before);
  /* What is dirty points into rooms: a room goes only when all is written. */
  if (g_hash_table_size (hub->dirty) == 0)
    g_hash_table_foreach_remove (hub->rooms, is_unused_room, &before);
}
