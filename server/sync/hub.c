/* The hub's life: its thread, its users, and what others ask of it. */
#include "server/sync/hub-private.h"

#define TICK_US  G_TIME_SPAN_SECOND
#define SWEEP_US (60 * G_TIME_SPAN_SECOND)
/* How long an answer waits for the hub to catch up with the committer. */
#define SETTLE_US (2 * G_TIME_SPAN_SECOND)

/* Waits a tick at most. NULL: nothing came; *@closing: nothing will. */
static CmHubChange *
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
    CmHubChange *change = take (hub, &closing);
    if (change != NULL) {
      cm_hub_apply (hub, change);
      cm_hub_change_free (change);
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
  hub->applied = G_MAXUINT / 2;
  g_cond_broadcast (&hub->settled);
  g_mutex_unlock (&hub->mutex);
}

void
cm_sync_hub_free (CmSyncHub *hub)
{
  if (hub == NULL)
    return;
  g_queue_clear_full (&hub->queue, cm_hub_change_free);
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

/* With the mutex held. The count may wrap around. */
static gboolean
is_settled (const CmSyncHub *hub, gint64 position, guint told)
{
  return hub->position >= position && (gint) (hub->applied - told) >= 0;
}

gint64
cm_sync_hub_settle (CmSyncHub *hub)
{
  gint64 wanted = cm_committer_position (hub->node->committer);
  guint told = (guint) g_atomic_int_get (&hub->told);
  gint64 end = g_get_monotonic_time () + SETTLE_US;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);

  while (!is_settled (hub, wanted, told) && g_cond_wait_until (&hub->settled, &hub->mutex, end))
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
