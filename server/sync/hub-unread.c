/* What is unread: counted in memory as events come, by everybody's push rules. */
#include "server/sync/hub-private.h"

#include "crypto/id.h"
#include "federation/timeline.h"
#include "schema/push.h"
#include "schema/sync.h"
#include "server/rooms/thread.h"

#include <string.h>

/* How far back counters are worked out anew when a receipt falls behind. */
#define MAX_RECOUNT 500

/* With the mutex held. */
static CmSyncCount *
count_of (CmHubMember *member, gint64 thread)
{
  CmSyncCount fresh = { thread, 0, 0 };

  if (member->counts == NULL)
    member->counts = g_array_new (FALSE, FALSE, sizeof (CmSyncCount));
  for (guint i = 0; i < member->counts->len; i++) {
    CmSyncCount *count = &g_array_index (member->counts, CmSyncCount, i);
    if (count->thread == thread)
      return count;
  }
  g_array_append_val (member->counts, fresh);
  return &g_array_index (member->counts, CmSyncCount, member->counts->len - 1);
}

static gint64
thread_of (CmRooms *rooms, const CmEvent *event)
{
  g_autoptr (CmEvent) root =
      (event->flags & CM_EVENT_HAS_RELATION) != 0 ? cm_thread_root (rooms, event) : NULL;

  return root != NULL ? root->number : 0;
}

/* What @event means to the members of its room. What it means to everybody who has the default
 * rules and is not named in it is worked out once. */
typedef struct {
  CmSyncHub *hub;
  const CmEvent *event;
  CmRoomView *view; /* NULL: this server is not in the room */
  gboolean has_general;
  CmPushVerdict general;
} Judge;

static CmPushVerdict
judge (Judge *judge, const CmPushProfile *profile, const char *user_id)
{
  CmMatch match = { judge->event, judge->view, user_id };
  CmPushVerdict verdict = { 0 };

  if (strcmp (judge->event->sender, user_id) == 0 ||
      (profile->ignored != NULL && g_hash_table_contains (profile->ignored, judge->event->sender)))
    return verdict;
  if (!profile->is_default || cm_match_is_personal (&match)) {
    cm_matcher_match (profile->matcher, &match, &verdict);
    return verdict;
  }
  if (!judge->has_general)
    cm_matcher_match (profile->matcher, &match, &judge->general);
  judge->has_general = TRUE;
  return judge->general;
}

static gboolean
load_profiles (CmSyncHub *hub, CmHubRoom *room)
{
  g_autofree const char **user_ids =
      (const char **) g_hash_table_get_keys_as_array (room->members, NULL);
  g_autoptr (GError) error = NULL;

  if (cm_push_profiles_load (hub->profiles, user_ids, &error))
    return TRUE;
  g_warning ("Unread counters: %s", error->message);
  return FALSE;
}

/* Whom an event notifies. */
typedef struct {
  CmHubMember *member;
  CmPushVerdict verdict;
  gboolean has_pushers;
  gint64 unread; /* in the room, with it */
} Notified;

static gint64
total (const CmHubMember *member)
{
  gint64 sum = 0;

  for (guint i = 0; member->counts != NULL && i < member->counts->len; i++)
    sum += g_array_index (member->counts, CmSyncCount, i).notifications;
  return sum;
}

static void
apply (CmSyncHub *hub, gint64 thread, GArray *notified)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);

  for (guint i = 0; i < notified->len; i++) {
    Notified *one = &g_array_index (notified, Notified, i);
    CmSyncCount *count = count_of (one->member, thread);
    count->notifications++;
    count->highlights += one->verdict.highlight;
    cm_hub_mark_dirty (hub, one->member, count);
    one->unread = total (one->member);
  }
}

static void
tell_pushers (CmSyncHub *hub, CmEvent *event, const GArray *notified)
{
  for (guint i = 0; hub->sender != NULL && i < notified->len; i++) {
    const Notified *one = &g_array_index (notified, Notified, i);
    CmPushNews news = { one->member->user_id,
                        one->member->user,
                        one->member->room->room,
                        one->unread,
                        event,
                        one->verdict.actions,
                        NULL };
    if (one->has_pushers)
      cm_push_sender_tell (hub->sender, &news);
  }
}

/* Who is asked into a room is no member of it yet, and nothing of it is unread to him. */
static void
push_invite (Judge *judging, CmEvent *event, GBytes *stripped)
{
  CmSyncHub *hub = judging->hub;
  const char *user_ids[] = { event->state_key, NULL };
  gint64 user = cm_sym (hub->node->ids, event->state_key, NULL);
  gint64 room = cm_sym (hub->node->ids, event->room_id, NULL);

  if (user == 0 || room == 0 || !cm_id_domain_is (event->state_key, hub->node->server_name) ||
      !cm_push_profiles_load (hub->profiles, user_ids, NULL))
    return;
  const CmPushProfile *profile = cm_push_profiles_find (hub->profiles, event->state_key);
  CmPushVerdict verdict = judge (judging, profile, event->state_key);
  CmPushNews news = { .user_id = event->state_key,
                      .user = user,
                      .room = room,
                      .event = event,
                      .actions = verdict.actions,
                      .stripped = stripped };
  if (verdict.notify && profile->has_pushers)
    cm_push_sender_tell (hub->sender, &news);
}

void
cm_hub_push_invite (CmSyncHub *hub, CmEvent *event, GBytes *stripped)
{
  Judge judging = { .hub = hub, .event = event };

  if (hub->sender != NULL)
    push_invite (&judging, event, stripped);
}

void
cm_hub_count_event (CmSyncHub *hub, CmHubRoom *room, CmEvent *event)
{
  CmRooms *rooms = hub->node->rooms;
  g_autoptr (CmRoomView) view = cm_rooms_view (rooms, room->room_id, NULL);
  g_autoptr (GArray) notified = g_array_new (FALSE, FALSE, sizeof (Notified));
  Judge judging = { .hub = hub, .event = event, .view = view };
  GHashTableIter iter;
  gpointer value;

  if (view == NULL || !load_profiles (hub, room))
    return;
  g_hash_table_iter_init (&iter, room->members);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    Notified one = { .member = value };
    const CmPushProfile *profile = cm_push_profiles_find (hub->profiles, one.member->user_id);
    if (profile == NULL)
      continue;
    one.verdict = judge (&judging, profile, one.member->user_id);
    one.has_pushers = profile->has_pushers;
    if (one.verdict.notify)
      g_array_append_val (notified, one);
  }
  apply (hub, thread_of (rooms, event), notified);
  tell_pushers (hub, event, notified);
  if (hub->sender != NULL && event->state_key != NULL &&
      g_strcmp0 (cm_event_membership (event), "invite") == 0)
    push_invite (&judging, event, NULL);
}

void
cm_hub_count_nothing (CmSyncHub *hub, CmHubMember *member)
{
  for (guint i = 0; member->counts != NULL && i < member->counts->len; i++) {
    CmSyncCount *count = &g_array_index (member->counts, CmSyncCount, i);
    count->notifications = count->highlights = 0;
    cm_hub_mark_dirty (hub, member, count);
  }
}

/* What a receipt leaves unread. */
typedef struct {
  gint64 thread;    /* this one only; -1: all */
  GHashTable *read; /* thread id -> gint64*: position up to which it is read */
} Limits;

static gint64
read_up_to (const Limits *limits, const char *thread_id)
{
  const gint64 *all = g_hash_table_lookup (limits->read, "");
  const gint64 *one = g_hash_table_lookup (limits->read, thread_id);

  return MAX (all != NULL ? *all : 0, one != NULL ? *one : 0);
}

static GHashTable *
read_receipts (CmSyncHub *hub, CmHubRoom *room, const char *user_id, GError **error)
{
  g_autoptr (GArray) rooms = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (CmDb) db = cm_pool_get (hub->node->pool, error);

  g_array_append_val (rooms, room->room);
  g_autoptr (CmRows) rows = db != NULL ? cm_receipts_read (db, user_id, rooms, error) : NULL;
  if (rows == NULL)
    return NULL;
  GHashTable *read = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    gint64 position = cm_rows_integer (rows, i, 2);
    g_hash_table_replace (read, g_strdup (cm_rows_text (rows, i, 1)),
                          g_memdup2 (&position, sizeof position));
  }
  return read;
}

/* Counts the events of @page anew for @member. */
static void
recount (CmSyncHub *hub, CmHubMember *member, const Limits *limits, const CmTimelinePage *page,
         CmRoomView *view)
{
  const CmPushProfile *profile = cm_push_profiles_find (hub->profiles, member->user_id);

  for (guint i = 0; profile != NULL && i < page->events->len; i++) {
    const CmEvent *event = g_ptr_array_index (page->events, i);
    Judge judging = { .hub = hub, .event = event, .view = view };
    CmPushVerdict verdict = judge (&judging, profile, member->user_id);
    g_autoptr (CmEvent) root = verdict.notify ? cm_thread_root (hub->node->rooms, event) : NULL;
    gint64 thread = root != NULL ? root->number : 0;
    if (!verdict.notify || (limits->thread >= 0 && limits->thread != thread) ||
        event->position <= read_up_to (limits, root != NULL ? root->event_id : "main"))
      continue;
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
    CmSyncCount *count = count_of (member, thread);
    count->notifications++;
    count->highlights += verdict.highlight;
    cm_hub_mark_dirty (hub, member, count);
  }
}

static void
reset_counts (CmSyncHub *hub, CmHubMember *member, gint64 thread)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);

  for (guint i = 0; member->counts != NULL && i < member->counts->len; i++) {
    CmSyncCount *count = &g_array_index (member->counts, CmSyncCount, i);
    if (thread >= 0 && count->thread != thread)
      continue;
    count->notifications = count->highlights = 0;
    cm_hub_mark_dirty (hub, member, count);
  }
}

static gboolean
count_after (CmSyncHub *hub, CmHubMember *member, Limits *limits, gint64 position, GError **error)
{
  CmRooms *rooms = hub->node->rooms;
  CmTimelineQuery query = { .room = member->room->room,
                            .from = G_MAXINT64,
                            .to = position,
                            .backwards = TRUE,
                            .limit = MAX_RECOUNT };
  g_autoptr (CmTimelinePage) page = cm_timeline_read (rooms, &query, error);
  g_autoptr (CmRoomView) view =
      page != NULL ? cm_rooms_view (rooms, member->room->room_id, error) : NULL;
  g_autoptr (GHashTable) read =
      view != NULL ? read_receipts (hub, member->room, member->user_id, error) : NULL;

  if (read == NULL || !load_profiles (hub, member->room))
    return FALSE;
  limits->read = read;
  recount (hub, member, limits, page, view);
  return TRUE;
}

/* -1: all threads; -2: a thread that is not known. */
static gint64
receipt_thread (CmRooms *rooms, const CmReceipt *receipt)
{
  if (receipt->thread_id[0] == '\0')
    return -1;
  if (strcmp (receipt->thread_id, "main") == 0)
    return 0;
  g_autoptr (CmEvent) root =
      cm_event_store_find (cm_rooms_events (rooms), receipt->thread_id, NULL);
  return root != NULL ? root->number : -2;
}

/* Fewer are unread: clients that are asleep show the number. */
static void
push_counts (CmSyncHub *hub, const CmHubMember *member)
{
  const CmPushProfile *profile = cm_push_profiles_find (hub->profiles, member->user_id);
  CmPushNews news = { .user_id = member->user_id,
                      .user = member->user,
                      .room = member->room->room,
                      .unread = total (member) };

  if (hub->sender != NULL && profile != NULL && profile->has_pushers)
    cm_push_sender_tell (hub->sender, &news);
}

void
cm_hub_count_receipt (CmSyncHub *hub, CmHubRoom *room, const CmReceipt *receipt)
{
  CmHubMember *member = g_hash_table_lookup (room->members, receipt->user_id);
  Limits limits = { .thread = receipt_thread (hub->node->rooms, receipt) };
  gint64 newest = room->events->len > 0
                      ? g_array_index (room->events, CmHubEvent, room->events->len - 1).position
                      : room->from;
  g_autoptr (GError) error = NULL;

  if (member == NULL || member->counts == NULL || receipt->event_position <= 0 ||
      limits.thread == -2)
    return;
  reset_counts (hub, member, limits.thread);
  if (receipt->event_position < newest &&
      !count_after (hub, member, &limits, receipt->event_position, &error) && error != NULL)
    g_warning ("Unread counters: %s", error->message);
  push_counts (hub, member);
}
