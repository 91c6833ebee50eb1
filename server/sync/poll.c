/* Calls that are held until there is news. No thread waits for them: whoever brings news puts them
 * into the hub's queue, which a few jobs on the client lane work off. */
#include "server/sync/hub-private.h"

#include "server/http/http-server.h"
#include "server/router/lanes.h"
#include "server/sync/compute.h"

#include <string.h>

/* Jobs on the lane at a time, so that a wave of news leaves threads for other calls; and how many
 * answers each works out before it lets others have its thread. */
#define MAX_WORKERS 4
#define BATCH       8
/* Held calls of one user: who opens more is answered on the oldest. */
#define MAX_POLLS 40

static CmSyncPoll *
poll_ref (CmSyncPoll *poll)
{
  g_atomic_ref_count_inc (&poll->refs);
  return poll;
}

static void
poll_unref (CmSyncPoll *poll)
{
  if (!g_atomic_ref_count_dec (&poll->refs))
    return;
  cm_call_unref (poll->call);
  cm_sync_request_free (poll->request);
  g_free (poll);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmSyncPoll, poll_unref)

/* With the mutex held. The queue has a reference of its own. */
static void
make_ready (CmSyncPoll *poll)
{
  poll->state = CM_POLL_RUNNING;
  g_queue_push_tail (&poll->hub->ready, poll_ref (poll));
}

void
cm_hub_wake (CmSyncHub *hub, CmHubUser *user)
{
  for (guint i = 0; i < user->polls->len; i++) {
    CmSyncPoll *poll = g_ptr_array_index (user->polls, i);
    if (poll->state == CM_POLL_PARKED)
      make_ready (poll);
  }
}

/* With the mutex held: FALSE when somebody else has ended it. Nothing wakes it any more. */
static gboolean
retire (CmSyncPoll *poll)
{
  if (poll->state == CM_POLL_DONE)
    return FALSE;
  poll->state = CM_POLL_DONE;
  poll->user->used = g_get_monotonic_time ();
  g_ptr_array_remove (poll->user->polls, poll);
  g_hash_table_remove (poll->hub->polls, poll->call);
  return TRUE;
}

/* After retire, without the mutex: lets go of what the hub held. */
static void
release (CmSyncPoll *poll)
{
  CmTimer *timer = g_steal_pointer (&poll->timer);

  if (timer != NULL && cm_timer_cancel (timer))
    poll_unref (poll);
  poll_unref (poll);
}

static CmReply *
revoked_reply (void)
{
  g_autoptr (GError) error = g_error_new_literal (CM_ERROR, CM_ERROR_UNKNOWN_TOKEN,
                                                  "The access token is not valid any more");

  return cm_reply_error (error);
}

static void
finish (CmSyncPoll *poll, CmReply *reply)
{
  gboolean ended, revoked;
  {
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&poll->hub->mutex);
    ended = retire (poll);
    revoked = poll->revoked;
  }
  if (!ended || revoked)
    cm_reply_free (reply);
  if (ended && revoked)
    cm_call_reply (poll->call, revoked_reply ());
  else if (ended)
    cm_call_reply (poll->call, reply);
  if (ended)
    release (poll);
}

/* TRUE when there is nothing to say and the call was put aside. */
static gboolean
park (CmSyncPoll *poll, const CmSyncAnswer *answer)
{
  const CmHubUser *user = poll->user;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&poll->hub->mutex);

  if (!cm_sync_answer_is_empty (answer) || poll->expired || poll->revoked || poll->hub->hold_none ||
      poll->state == CM_POLL_DONE)
    return FALSE;
  /* What came while the answer was worked out is not in it. */
  if (user->newest > answer->next.position || user->ephemeral > answer->next.ephemeral)
    make_ready (poll);
  else
    poll->state = CM_POLL_PARKED;
  return TRUE;
}

static gboolean
is_revoked (CmSyncPoll *poll)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&poll->hub->mutex);

  return poll->revoked;
}

static void
work_on (CmSyncPoll *poll)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmSyncAnswer) answer = cm_call_is_gone (poll->call) || is_revoked (poll)
                                        ? NULL
                                        : cm_sync_compute (poll->request, &error);

  if (answer != NULL && park (poll, answer))
    return;
  CmReply *reply = answer != NULL ? cm_sync_write (answer, &error) : NULL;
  if (reply == NULL && error == NULL)
    error = g_error_new_literal (CM_ERROR, CM_ERROR_UNAVAILABLE, "The client is gone");
  finish (poll, reply != NULL ? reply : cm_reply_error (error));
}

/* (transfer full) the next that is ready; NULL when there is none, and one worker less. */
static CmSyncPoll *
take_ready (CmSyncHub *hub, gboolean *more)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  CmSyncPoll *poll = g_queue_pop_head (&hub->ready);

  *more = !g_queue_is_empty (&hub->ready);
  if (poll == NULL)
    hub->workers--;
  return poll;
}

static void
work (gpointer data)
{
  CmSyncHub *hub = data;
  gboolean more;

  for (guint i = 0; i < BATCH; i++) {
    g_autoptr (CmSyncPoll) poll = take_ready (hub, &more);
    if (poll == NULL)
      return;
    work_on (poll);
  }
  if (cm_lanes_push (hub->node->lanes, CM_LANE_CLIENT, work, hub))
    return;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  hub->workers--;
}

/* TRUE when one more worker is wanted; it is counted already. */
static gboolean
hire (CmSyncHub *hub)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);

  if (hub->workers >= MAX_WORKERS || hub->workers * BATCH >= g_queue_get_length (&hub->ready))
    return FALSE;
  hub->workers++;
  return TRUE;
}

void
cm_hub_kick (CmSyncHub *hub)
{
  while (hire (hub)) {
    if (cm_lanes_push (hub->node->lanes, CM_LANE_CLIENT, work, hub))
      continue;
    /* The lane is full. The hub's thread looks again with its next tick. */
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
    hub->workers--;
    return;
  }
}

/* The client has waited as long as it meant to. On a loop's thread. */
static gboolean
on_expired (gpointer data)
{
  g_autoptr (CmSyncPoll) poll = data;
  {
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&poll->hub->mutex);
    poll->expired = TRUE;
    if (poll->state == CM_POLL_PARKED)
      make_ready (poll);
  }
  cm_hub_kick (poll->hub);
  return G_SOURCE_REMOVE;
}

/* On the thread of the call's loop. */
static void
on_gone (CmCall *call, gpointer data)
{
  CmSyncHub *hub = cm_call_node (call)->sync;
  CmSyncPoll *poll;
  {
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
    poll = g_hash_table_lookup (hub->polls, call);
    if (poll == NULL || !retire (poll))
      return;
  }
  release (poll);
}

/* With the mutex held. */
static void
limit_polls (CmHubUser *user)
{
  for (guint i = 0; i + MAX_POLLS <= user->polls->len; i++) {
    CmSyncPoll *oldest = g_ptr_array_index (user->polls, i);
    oldest->expired = TRUE;
    if (oldest->state == CM_POLL_PARKED)
      make_ready (oldest);
  }
}

static CmSyncPoll *
hold (CmSyncHub *hub, CmCall *call, CmSyncRequest *request)
{
  CmSyncPoll *poll = g_new0 (CmSyncPoll, 1);

  g_atomic_ref_count_init (&poll->refs);
  poll->hub = hub;
  poll->call = cm_call_ref (call);
  poll->request = request;
  poll->state = CM_POLL_RUNNING;
  poll->expired = request->timeout_ms == 0;
  if (!poll->expired)
    poll->timer =
        cm_http_server_timer (hub->node->http, request->timeout_ms, on_expired, poll_ref (poll));
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  poll->user = cm_hub_user_activate (hub, request->user_id);
  limit_polls (poll->user);
  g_ptr_array_add (poll->user->polls, poll);
  g_hash_table_insert (hub->polls, call, poll);
  return poll;
}

void
cm_sync_hub_serve (CmSyncHub *hub, CmCall *call, CmSyncRequest *request)
{
  g_autoptr (CmSyncPoll) poll = poll_ref (hold (hub, call, request));

  cm_call_on_gone (call, on_gone, NULL);
  work_on (poll);
  /* It may have expired, or a poll of the user's been pushed out. */
  cm_hub_kick (hub);
}

void
cm_sync_hub_hold_none (CmSyncHub *hub)
{
  {
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
    GHashTableIter iter;
    gpointer poll;
    hub->hold_none = TRUE;
    g_hash_table_iter_init (&iter, hub->polls);
    while (g_hash_table_iter_next (&iter, NULL, &poll))
      if (((CmSyncPoll *) poll)->state == CM_POLL_PARKED)
        make_ready (poll);
  }
  cm_hub_kick (hub);
}

void
cm_sync_hub_drop (CmSyncHub *hub, const char *user_id, const char *device_id)
{
  {
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
    CmHubUser *user = g_hash_table_lookup (hub->users, user_id);
    for (guint i = 0; user != NULL && i < user->polls->len; i++) {
      CmSyncPoll *poll = g_ptr_array_index (user->polls, i);
      if (device_id != NULL && g_strcmp0 (poll->request->device_id, device_id) != 0)
        continue;
      poll->revoked = TRUE;
      if (poll->state == CM_POLL_PARKED)
        make_ready (poll);
    }
  }
  cm_hub_kick (hub);
}
