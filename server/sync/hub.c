#include "server/sync/hub-private.h"

#include "crypto/id.h"

#include <string.h>

#define TICK_US  G_TIME_SPAN_SECOND
#define SWEEP_US (60 * G_TIME_SPAN_SECOND)
/* How long an answer waits for the hub to catch up with the committer. */
#define SETTLE_US (2 * G_TIME_SPAN_SECOND)

/* What a write comes to for those who wait; or something in memory changed. */
typedef struct {
  gint64 first;        /* position of the write, and ... */
  gint64 position;     /* ... its last; 0: it has none */
  char **rooms;        /* topics */
  char **users;        /* those of this server */
  GPtrArray *events;   /* of CmEvent; nullable */
  GPtrArray *receipts; /* of CmReceipt; nullable */
  CmEvent *invite;     /* of a user of this server into a room that it is not in; nullable */
  GBytes *invite_state;
  char *profile;      /* user id: push rules or ignored users changed; nullable */
  gboolean ephemeral; /* typing in rooms, presence for users */
  GHashTable *unread; /* counters that could not be written; nullable */
} Change;

static void
free_change (gpointer data)
{
  Change *change = data;

  g_strfreev (change->rooms);
  g_strfreev (change->users);
  g_clear_pointer (&change->events, g_ptr_array_unref);
  g_clear_pointer (&change->receipts, g_ptr_array_unref);
  g_clear_pointer (&change->invite, cm_event_unref);
  g_clear_pointer (&change->invite_state, g_bytes_unref);
  g_free (change->profile);
  g_clear_pointer (&change->unread, g_hash_table_unref);
  g_free (change);
}

static void
enqueue (CmSyncHub *hub, Change *change)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->queue_mutex);

  g_queue_push_tail (&hub->queue, change);
  g_cond_signal (&hub->queued);
}

typedef struct {
  const char *server_name;
  GStrvBuilder *rooms;
  GStrvBuilder *users;
} Topics;

static void
take_topic (CmTopicKind kind, const char *name, gpointer data)
{
  Topics *topics = data;

  if (kind == CM_TOPIC_ROOM)
    g_strv_builder_add (topics->rooms, name);
  else if (kind == CM_TOPIC_USER && cm_id_domain_is (name, topics->server_name))
    g_strv_builder_add (topics->users, name);
}

static GPtrArray *
ref_array (GPtrArray *array)
{
  return array != NULL && array->len > 0 ? g_ptr_array_ref (array) : NULL;
}

static void
end_polls (gpointer object, gpointer hub)
{
  char **device = object;

  cm_sync_hub_drop (hub, device[0], device[1]);
}

/* On the committer's thread: takes what is needed and leaves the work to the hub's. */
void
cm_sync_hub_published (const CmWrite *write, gint64 position, gpointer data)
{
  CmSyncHub *hub = data;
  Change *change = g_new0 (Change, 1);
  g_autoptr (GStrvBuilder) rooms = g_strv_builder_new (), users = g_strv_builder_new ();
  Topics topics = { hub->node->server_name, rooms, users };
  const char *profile = cm_write_attached (write, "push-profile");
  CmEvent *invite = cm_write_attached (write, "invite");
  GBytes *invite_state = cm_write_attached (write, "invite-state");

  cm_write_foreach_attached (write, "ended-device", end_polls, hub);
  cm_write_foreach_topic (write, take_topic, &topics);
  change->first = position;
  change->position = position > 0 ? position + cm_write_positions (write) - 1 : 0;
  change->rooms = g_strv_builder_end (rooms);
  change->users = g_strv_builder_end (users);
  change->events = ref_array (cm_write_attached (write, "events"));
  change->receipts = ref_array (cm_write_attached (write, "receipts"));
  change->invite = invite != NULL ? cm_event_ref (invite) : NULL;
  change->invite_state = invite_state != NULL ? g_bytes_ref (invite_state) : NULL;
  change->profile = g_strdup (profile);
  if (change->position == 0 && change->users[0] == NULL && profile == NULL)
    free_change (change);
  else
    enqueue (hub, change);
}

static char **
one_text (const char *text)
{
  char **list = g_new0 (char *, text != NULL ? 2 : 1);

  list[0] = g_strdup (text);
  return list;
}

static void
wake_ephemeral (CmSyncHub *hub, const char *room_id, const char *user_id)
{
  Change *change = g_new0 (Change, 1);

  change->rooms = one_text (room_id);
  change->users = one_text (user_id);
  change->ephemeral = TRUE;
  enqueue (hub, change);
}

void
cm_sync_hub_wake_room (CmSyncHub *hub, const char *room_id)
{
  wake_ephemeral (hub, room_id, NULL);
}

void
cm_sync_hub_wake_user (CmSyncHub *hub, const char *user_id)
{
  wake_ephemeral (hub, NULL, user_id);
}

void
cm_sync_hub_forget_profile (CmSyncHub *hub, const char *user_id)
{
  Change *change = g_new0 (Change, 1);

  change->rooms = one_text (NULL);
  change->users = one_text (NULL);
  change->profile = g_strdup (user_id);
  enqueue (hub, change);
}

void
cm_hub_return_dirty (CmSyncHub *hub, GHashTable *rows)
{
  Change *change = g_new0 (Change, 1);

  change->rooms = one_text (NULL);
  change->users = one_text (NULL);
  change->unread = rows;
  enqueue (hub, change);
}

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
apply_events (CmSyncHub *hub, CmHubRoom *room, const Change *change)
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
keep_events (CmHubRoom *room, const Change *change)
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
publish_room (CmSyncHub *hub, CmHubRoom *room, const Change *change, gint64 counter)
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
process_room (CmSyncHub *hub, const Change *change, const char *room_id, gint64 counter)
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
publish_user (CmHubUser *user, const Change *change, gint64 counter)
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
publish (CmSyncHub *hub, const Change *change, gint64 counter)
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
  g_cond_broadcast (&hub->settled);
}

static void
process (CmSyncHub *hub, const Change *change)
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

/* Waits a tick at most. NULL: nothing came; *@closing: nothing will. */
static Change *
take (CmSyncHub *hub, gboolean *closing)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->queue_mutex);
  gint64 end = g_get_monotonic_time () + TICK_US;

  while (g_queue_is_empty (&hub->queue) && !hub->closing &&
         g_cond_wait_until (&hub->queued, &hub->queue_mutex, end))
    continue;
  *closing = hub->closing && g_queue_is_empty (&hub->queue);
  return g_queue_pop_head (&hub->queue);
}

static void
look_around (CmSyncHub *hub)
{
  gint64 now = g_get_monotonic_time ();

  if (now < hub->ticked + TICK_US)
    return;
  hub->ticked = now;
  cm_ephemeral_tick (hub->node->ephemeral);
  cm_push_sender_tick (hub->sender);
  cm_hub_flush (hub, FALSE);
  cm_hub_kick (hub);
  if (now < hub->swept + SWEEP_US)
    return;
  hub->swept = now;
  cm_hub_sweep (hub);
}

static gpointer
run (gpointer data)
{
  CmSyncHub *hub = data;
  gboolean closing = FALSE;

  while (!closing) {
    Change *change = take (hub, &closing);
    if (change != NULL) {
      process (hub, change);
      free_change (change);
    }
    if (!closing)
      look_around (hub);
  }
  cm_hub_flush (hub, TRUE);
  return NULL;
}

static void
clear_mark (gpointer data)
{
  cm_hub_room_unref (((CmHubMark *) data)->room);
}

void
cm_hub_keys_free (gpointer data)
{
  CmHubKeys *keys = data;

  cm_json_doc_unref (keys->doc);
  g_free (keys);
}

static void
free_user (gpointer data)
{
  CmHubUser *user = data;

  g_free (user->user_id);
  g_array_unref (user->marks);
  g_clear_pointer (&user->ignored, g_hash_table_unref);
  g_hash_table_unref (user->keys);
  g_ptr_array_unref (user->polls);
  g_free (user);
}

CmHubUser *
cm_hub_user_activate (CmSyncHub *hub, const char *user_id)
{
  CmHubUser *user = g_hash_table_lookup (hub->users, user_id);

  if (user == NULL) {
    user = g_new0 (CmHubUser, 1);
    user->user_id = g_strdup (user_id);
    user->from = user->personal = user->newest = hub->position;
    user->marks = g_array_new (FALSE, FALSE, sizeof (CmHubMark));
    g_array_set_clear_func (user->marks, clear_mark);
    user->keys = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, cm_hub_keys_free);
    user->polls = g_ptr_array_new ();
    g_hash_table_insert (hub->users, user->user_id, user);
  }
  user->used = g_get_monotonic_time ();
  return user;
}

CmSyncHub *
cm_sync_hub_new (CmNode *node, GError **error)
{
  CmSyncHub *hub = g_new0 (CmSyncHub, 1);

  hub->node = node;
  hub->profiles = cm_push_profiles_new (node);
  hub->lazy = cm_lazy_members_new ();
  g_mutex_init (&hub->queue_mutex);
  g_cond_init (&hub->queued);
  g_mutex_init (&hub->mutex);
  g_cond_init (&hub->settled);
  hub->rooms =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) cm_hub_room_unref);
  hub->users = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, free_user);
  hub->polls = g_hash_table_new (NULL, NULL);
  hub->dirty = cm_hub_dirty_new ();
  hub->position = cm_committer_position (node->committer);
  if (!cm_hub_replay (hub, error)) {
    cm_sync_hub_free (hub);
    return NULL;
  }
  cm_committer_listen (node->committer, cm_sync_hub_published, hub);
  return hub;
}

void
cm_sync_hub_start (CmSyncHub *hub)
{
  hub->sender = cm_push_sender_new (hub->node);
  hub->thread = g_thread_new ("sync-hub", run, hub);
}

void
cm_sync_hub_stop (CmSyncHub *hub)
{
  if (hub == NULL || hub->thread == NULL)
    return;
  g_mutex_lock (&hub->queue_mutex);
  hub->closing = TRUE;
  g_cond_signal (&hub->queued);
  g_mutex_unlock (&hub->queue_mutex);
  g_thread_join (g_steal_pointer (&hub->thread));
  g_clear_pointer (&hub->sender, cm_push_sender_free);
  /* Nobody waits for it any more. */
  g_mutex_lock (&hub->mutex);
  hub->position = G_MAXINT64 / 2;
  g_cond_broadcast (&hub->settled);
  g_mutex_unlock (&hub->mutex);
}

void
cm_sync_hub_free (CmSyncHub *hub)
{
  if (hub == NULL)
    return;
  g_queue_clear_full (&hub->queue, free_change);
  g_hash_table_unref (hub->users);
  g_hash_table_unref (hub->rooms);
  g_hash_table_unref (hub->polls);
  g_hash_table_unref (hub->dirty);
  cm_push_profiles_free (hub->profiles);
  cm_lazy_members_free (hub->lazy);
  g_mutex_clear (&hub->queue_mutex);
  g_cond_clear (&hub->queued);
  g_mutex_clear (&hub->mutex);
  g_cond_clear (&hub->settled);
  g_free (hub);
}

CmLazyMembers *
cm_sync_hub_lazy (CmSyncHub *hub)
{
  return hub->lazy;
}

gint64
cm_sync_hub_settle (CmSyncHub *hub)
{
  gint64 wanted = cm_committer_position (hub->node->committer);
  gint64 end = g_get_monotonic_time () + SETTLE_US;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);

  while (hub->position < wanted && g_cond_wait_until (&hub->settled, &hub->mutex, end))
    continue;
  return hub->position;
}

gint64
cm_sync_hub_wait (CmSyncHub *hub, const char *user_id, gint64 after, guint timeout_ms)
{
  gint64 end = g_get_monotonic_time () + timeout_ms * G_TIME_SPAN_MILLISECOND;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  CmHubUser *user = cm_hub_user_activate (hub, user_id);

  while (user->newest <= after && g_cond_wait_until (&hub->settled, &hub->mutex, end))
    user = cm_hub_user_activate (hub, user_id);
  return hub->position;
}

gboolean
cm_sync_hub_is_polling (CmSyncHub *hub, const char *user_id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  const CmHubUser *user = g_hash_table_lookup (hub->users, user_id);

  return user != NULL && user->polls->len > 0;
}

gboolean
cm_sync_hub_unread (CmSyncHub *hub, const char *room_id, const char *user_id, GArray *counts)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  const CmHubRoom *room = g_hash_table_lookup (hub->rooms, room_id);
  const CmHubMember *member = room != NULL ? g_hash_table_lookup (room->members, user_id) : NULL;

  if (member == NULL)
    return FALSE;
  g_array_set_size (counts, 0);
  if (member->counts != NULL)
    g_array_append_vals (counts, member->counts->data, member->counts->len);
  return TRUE;
}
