/* How news comes to the hub: what was committed and what changed in memory, as changes in its
 * queue. */
#include "server/sync/hub-private.h"

#include "crypto/id.h"

void
cm_hub_change_free (gpointer data)
{
  CmHubChange *change = data;

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
enqueue (CmSyncHub *hub, CmHubChange *change)
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
  CmHubChange *change = g_new0 (CmHubChange, 1);
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
    cm_hub_change_free (change);
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
  CmHubChange *change = g_new0 (CmHubChange, 1);

  change->rooms = one_text (room_id);
  change->users = one_text (user_id);
  change->ephemeral = TRUE;
  enqueue (hub, change);
  g_atomic_int_inc (&hub->told);
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
  CmHubChange *change = g_new0 (CmHubChange, 1);

  change->rooms = one_text (NULL);
  change->users = one_text (NULL);
  change->profile = g_strdup (user_id);
  enqueue (hub, change);
}

void
cm_hub_return_dirty (CmSyncHub *hub, GHashTable *rows)
{
  CmHubChange *change = g_new0 (CmHubChange, 1);

  change->rooms = one_text (NULL);
  change->users = one_text (NULL);
  change->unread = rows;
  enqueue (hub, change);
}
