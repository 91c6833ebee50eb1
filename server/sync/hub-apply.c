/* What a change comes to, and for whom: rooms take it in, their members and other users it concerns
 * have news. */
#include "server/sync/hub-private.h"

#include <string.h>

static void
mark_user (CmHubUser *user, CmHubRoom *room, gint64 position, gint64 counter)
{
  CmHubMark mark = { cm_hub_room_ref (room), position, counter };

  if (user->marks->len >= CM_HUB_USER_CHANGES) {
    user->from = g_array_index (user->marks, CmHubMark, 0).position + 1;
    g_array_remove_index (user->marks, 0);
  }
  g_array_append_val (user->marks, mark);
  user->ephemeral = MAX (user->ephemeral, counter);
  if (counter == 0)
    user->newest = position;
}

static void
apply_events (CmSyncHub *hub, CmHubRoom *room, const CmHubChange *change)
{
  for (guint i = 0; change->events != NULL && i < change->events->len; i++) {
    CmEvent *event = g_ptr_array_index (change->events, i);
    if (event->position > 0 && strcmp (event->room_id, room->room_id) == 0)
      cm_hub_count_event (hub, room, event);
  }
  for (guint i = 0; change->receipts != NULL && i < change->receipts->len; i++) {
    const CmReceipt *receipt = g_ptr_array_index (change->receipts, i);
    if (strcmp (receipt->room_id, room->room_id) == 0)
      cm_hub_count_receipt (hub, room, receipt);
  }
}

static void
keep_events (CmHubRoom *room, const CmHubChange *change)
{
  for (guint i = 0; change->events != NULL && i < change->events->len; i++) {
    CmEvent *event = g_ptr_array_index (change->events, i);
    if (event->position > 0 && strcmp (event->room_id, room->room_id) == 0)
      cm_hub_room_add_event (room, event);
  }
  for (guint i = 0; change->receipts != NULL && i < change->receipts->len; i++) {
    const CmReceipt *receipt = g_ptr_array_index (change->receipts, i);
    if (strcmp (receipt->room_id, room->room_id) == 0)
      cm_hub_room_add_receipt (room, receipt, change->position);
  }
}

/* The room's members learn of it. */
static void
publish_room (CmSyncHub *hub, CmHubRoom *room, const CmHubChange *change, gint64 counter)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  GHashTableIter iter;
  gpointer user_id;

  keep_events (room, change);
  room->newest = MAX (room->newest, change->position);
  g_hash_table_iter_init (&iter, room->members);
  while (g_hash_table_iter_next (&iter, &user_id, NULL)) {
    CmHubUser *user = g_hash_table_lookup (hub->users, user_id);
    if (user != NULL)
      mark_user (user, room, change->ephemeral ? hub->position : change->position, counter);
  }
}

/* Something was committed up to @position that the hub does not know: who follows /sync, and every
 * room, starts anew from the database. */
static void
lose_track (CmSyncHub *hub, gint64 position)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  GHashTableIter iter;
  gpointer value;

  hub->position = MAX (hub->position, position);
  g_hash_table_iter_init (&iter, hub->rooms);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    ((CmHubRoom *) value)->stale = TRUE;
  g_hash_table_iter_init (&iter, hub->users);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    CmHubUser *user = value;
    g_array_set_size (user->marks, 0);
    user->from = user->personal = user->newest = position;
    user->primed = FALSE;
    g_hash_table_remove_all (user->keys);
    cm_hub_wake (hub, user);
  }
}

static void
process_room (CmSyncHub *hub, const CmHubChange *change, const char *room_id, gint64 counter)
{
  g_autoptr (GError) error = NULL;
  CmHubRoom *room = cm_hub_room_open (hub, room_id, hub->position + 1, &error);

  if (room == NULL) {
    g_warning ("Room %s: who is told of what is new is not known: %s", room_id, error->message);
    if (!change->ephemeral)
      lose_track (hub, change->position);
    return;
  }
  for (gsize i = 0; !change->ephemeral && change->users[i] != NULL; i++)
    cm_hub_room_update_member (hub, room, change->users[i]);
  apply_events (hub, room, change);
  publish_room (hub, room, change, counter);
}

/* With the mutex held. */
static void
publish_user (CmHubUser *user, const CmHubChange *change, gint64 counter)
{
  if (change->ephemeral) {
    user->ephemeral = user->presence = counter;
    g_hash_table_remove_all (user->keys);
    return;
  }
  user->personal = MAX (user->personal, change->position);
  user->newest = MAX (user->newest, change->position);
  user->primed = FALSE;
  g_hash_table_remove_all (user->keys);
}

static void
wake_members (CmSyncHub *hub, const char *room_id)
{
  CmHubRoom *room = g_hash_table_lookup (hub->rooms, room_id);
  GHashTableIter iter;
  gpointer user_id;

  if (room == NULL)
    return;
  g_hash_table_iter_init (&iter, room->members);
  while (g_hash_table_iter_next (&iter, &user_id, NULL)) {
    CmHubUser *user = g_hash_table_lookup (hub->users, user_id);
    if (user != NULL)
      cm_hub_wake (hub, user);
  }
}

/* The last step, in one: the position moves, and who waited for it is woken. */
static void
publish (CmSyncHub *hub, const CmHubChange *change, gint64 counter)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);

  hub->position = MAX (hub->position, change->position);
  for (gsize i = 0; change->users[i] != NULL; i++) {
    CmHubUser *user = g_hash_table_lookup (hub->users, change->users[i]);
    if (user == NULL)
      continue;
    publish_user (user, change, counter);
    cm_hub_wake (hub, user);
  }
  for (gsize i = 0; change->rooms[i] != NULL; i++)
    wake_members (hub, change->rooms[i]);
  hub->applied += change->ephemeral ? 1 : 0;
  g_cond_broadcast (&hub->settled);
}

void
cm_hub_apply (CmSyncHub *hub, const CmHubChange *change)
{
  gint64 counter = change->ephemeral ? cm_ephemeral_counter (hub->node->ephemeral) : 0;

  /* Positions follow each other. Those that are missing belong to a write whose outcome was lost
   * with a connection, or to another node's. */
  if (change->first > hub->position + 1)
    lose_track (hub, change->first - 1);
  if (change->profile != NULL)
    cm_push_profiles_forget (hub->profiles, change->profile);
  if (change->unread != NULL)
    cm_hub_take_dirty (hub, change->unread);
  for (gsize i = 0; change->rooms[i] != NULL; i++)
    process_room (hub, change, change->rooms[i], counter);
  if (change->invite != NULL)
    cm_hub_push_invite (hub, change->invite, change->invite_state);
  publish (hub, change, counter);
  cm_hub_kick (hub);
}
