/* Answers from memory: what came into a user's rooms since a moment ago. Anything else that
 * concerns him, memberships, account data, messages to his devices, goes by the database. */
#include "server/sync/hub-private.h"

#include "server/client-event.h"
#include "server/sync/extras.h"
#include "server/sync/state.h"
#include "server/sync/timeline.h"

#include <string.h>

/* Texts of events hold their age, and counters of keys may change without a word. */
#define SHOWN_US (5 * G_TIME_SPAN_SECOND)
#define KEYS_US  (30 * G_TIME_SPAN_SECOND)

typedef struct {
  CmSyncHub *hub;
  CmSyncAnswer *answer;
  const CmSyncRequest *request;
  gint64 since, cut;
  gint64 ephemeral; /* counter */
  gboolean presence;
} Recent;

/* These run with the mutex held. */

static gboolean
is_known (const Recent *recent, const CmHubUser *user)
{
  const CmSyncToken *since = &recent->request->since;

  return user->primed && user->from <= since->position && user->personal <= since->position &&
         since->position <= recent->cut && since->to_device == since->position &&
         since->epoch == recent->answer->next.epoch;
}

static void
take_events (const Recent *recent, const CmHubRoom *room, CmSyncRoom *shown)
{
  g_autoptr (GArray) positions = g_array_new (FALSE, FALSE, sizeof (gint64));
  gint64 fresh = g_get_monotonic_time () - SHOWN_US;

  shown->known_state = shown->end_state = room->from_state;
  for (guint i = 0; i < room->events->len; i++) {
    const CmHubEvent *entry = &g_array_index (room->events, CmHubEvent, i);
    if (entry->position > recent->cut)
      break;
    shown->end_state = entry->event->state_after;
    if (entry->position <= recent->since) {
      shown->known_state = entry->event->state_after;
      continue;
    }
    if (!cm_sync_wants_event (recent->answer, entry->event))
      continue;
    gboolean own = strcmp (entry->event->sender, recent->request->user_id) == 0;
    gboolean usable = entry->shown != NULL && entry->shown_at > fresh && !own;
    g_ptr_array_add (shown->timeline, cm_event_ref (entry->event));
    g_ptr_array_add (shown->shown, usable ? g_bytes_ref (entry->shown) : NULL);
    g_array_append_val (positions, entry->position);
  }
  shown->start_state = shown->end_state;
  shown->prev_batch = shown->high;
  shown->linear = TRUE;
  if (positions->len > 0)
    cm_sync_trim_timeline (recent->answer, shown, positions);
}

static void
take_receipts (const Recent *recent, const CmHubRoom *room, CmSyncRoom *shown)
{
  if (!cm_sync_wants_ephemeral (recent->answer, room->room_id, "m.receipt"))
    return;
  for (guint i = 0; i < room->receipts->len; i++) {
    const CmHubReceipt *entry = &g_array_index (room->receipts, CmHubReceipt, i);
    const CmReceipt *receipt = entry->receipt;
    gboolean is_private = strcmp (receipt->type, "m.read") != 0;
    if (entry->position > recent->since && entry->position <= recent->cut &&
        (!is_private || strcmp (receipt->user_id, recent->request->user_id) == 0))
      g_ptr_array_add (shown->receipts, cm_receipt_copy (receipt));
  }
}

/* Who comes and goes changes whose devices the user is told of, which the database knows. */
static gboolean
has_memberships (const Recent *recent, const CmHubRoom *room)
{
  for (guint i = room->events->len; i > 0; i--) {
    const CmHubEvent *entry = &g_array_index (room->events, CmHubEvent, i - 1);
    if (entry->position <= recent->since)
      break;
    if (entry->event->state_key != NULL && strcmp (entry->event->type, "m.room.member") == 0)
      return TRUE;
  }
  return FALSE;
}

static gboolean
take_room (const Recent *recent, const CmHubRoom *room)
{
  const CmHubMember *member = g_hash_table_lookup (room->members, recent->request->user_id);

  if (member == NULL || room->from > recent->since || room->receipts_from > recent->since ||
      has_memberships (recent, room))
    return FALSE;
  CmSyncRoom *shown = cm_sync_room_new (room->room, room->room_id);
  shown->membership = CM_MEMBERSHIP_JOIN;
  shown->low = recent->since;
  shown->high = recent->cut;
  g_ptr_array_add (recent->answer->rooms, shown);
  take_events (recent, room, shown);
  take_receipts (recent, room, shown);
  if (member->counts != NULL)
    g_array_append_vals (shown->unread, member->counts->data, member->counts->len);
  return TRUE;
}

static gboolean
concerns (const Recent *recent, const CmHubMark *mark)
{
  return mark->counter != 0 ? mark->counter > recent->ephemeral
                            : mark->position > recent->since && mark->position <= recent->cut;
}

static gboolean
take_rooms (const Recent *recent, const CmHubUser *user)
{
  g_autoptr (GHashTable) taken = g_hash_table_new (NULL, NULL);

  for (guint i = user->marks->len; i > 0; i--) {
    const CmHubMark *mark = &g_array_index (user->marks, CmHubMark, i - 1);
    if (!concerns (recent, mark) || !g_hash_table_add (taken, mark->room) ||
        !cm_sync_filter_wants_room (recent->request->filter, mark->room->room_id))
      continue;
    if (!take_room (recent, mark->room))
      return FALSE;
  }
  return TRUE;
}

static void
take_keys (const Recent *recent, const CmHubUser *user)
{
  const char *device = recent->request->device_id;
  const CmHubKeys *keys = device != NULL ? g_hash_table_lookup (user->keys, device) : NULL;

  if (keys == NULL || keys->read_at + KEYS_US < g_get_monotonic_time ())
    return;
  recent->answer->keys = cm_json_doc_ref (keys->doc);
}

static gboolean
take (Recent *recent)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&recent->hub->mutex);
  CmHubUser *user = cm_hub_user_activate (recent->hub, recent->request->user_id);

  if (!is_known (recent, user))
    return FALSE;
  recent->presence = user->presence > recent->ephemeral;
  if (user->ignored != NULL)
    recent->answer->ignored = g_hash_table_ref (user->ignored);
  take_keys (recent, user);
  return take_rooms (recent, user);
}

/* These without. */

static void
remember_texts (CmSyncHub *hub, GPtrArray *events, GPtrArray *texts)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  gint64 now = g_get_monotonic_time ();

  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    CmHubRoom *room = g_hash_table_lookup (hub->rooms, event->room_id);
    for (guint j = 0; room != NULL && j < room->events->len; j++) {
      CmHubEvent *entry = &g_array_index (room->events, CmHubEvent, j);
      if (entry->event != event)
        continue;
      g_clear_pointer (&entry->shown, g_bytes_unref);
      entry->shown = g_bytes_ref (g_ptr_array_index (texts, i));
      entry->shown_at = now;
    }
  }
}

/* Everybody in the room but its sender sees an event alike, so its text is made once. */
static gboolean
render (const Recent *recent, GError **error)
{
  const CmSyncRequest *request = recent->request;
  CmViewer viewer = { .node = request->node,
                      .user_id = request->user_id,
                      .flags = CM_SHOW_NO_ROOM_ID | CM_SHOW_NO_AGGREGATIONS };
  g_autoptr (GPtrArray) events = g_ptr_array_new ();
  g_autoptr (GPtrArray) places = g_ptr_array_new (); /* of gpointer * in shown */

  for (guint r = 0; r < recent->answer->rooms->len; r++) {
    const CmSyncRoom *room = g_ptr_array_index (recent->answer->rooms, r);
    for (guint i = 0; i < room->timeline->len; i++) {
      CmEvent *event = g_ptr_array_index (room->timeline, i);
      if (room->shown->pdata[i] != NULL || strcmp (event->sender, request->user_id) == 0)
        continue;
      g_ptr_array_add (events, event);
      g_ptr_array_add (places, &room->shown->pdata[i]);
    }
  }
  if (events->len == 0 || request->filter->federation_format)
    return TRUE;
  g_autoptr (GPtrArray) texts = cm_client_events (&viewer, events, error);
  if (texts == NULL)
    return FALSE;
  for (guint i = 0; i < events->len; i++)
    *(gpointer *) g_ptr_array_index (places, i) = g_bytes_ref (g_ptr_array_index (texts, i));
  remember_texts (recent->hub, events, texts);
  return TRUE;
}

static void
remember_keys (CmSyncHub *hub, const CmSyncAnswer *answer)
{
  const CmSyncRequest *request = answer->request;

  if (answer->keys == NULL)
    return;
  CmHubKeys *keys = g_new (CmHubKeys, 1);
  *keys = (CmHubKeys){ cm_json_doc_ref (answer->keys), g_get_monotonic_time () };
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  CmHubUser *user = cm_hub_user_activate (hub, request->user_id);
  /* What was read before the last change is not kept. */
  if (user->personal > answer->next.position)
    cm_hub_keys_free (keys);
  else
    g_hash_table_replace (user->keys, g_strdup (request->device_id), keys);
}

static void
drop_silent (CmSyncAnswer *answer)
{
  for (guint i = answer->rooms->len; i > 0; i--)
    if (!cm_sync_room_is_news (g_ptr_array_index (answer->rooms, i - 1)))
      g_ptr_array_remove_index (answer->rooms, i - 1);
}

static gboolean
has_newcomers (const CmSyncAnswer *answer)
{
  for (guint i = 0; i < answer->rooms->len; i++)
    if (((const CmSyncRoom *) g_ptr_array_index (answer->rooms, i))->changed_members)
      return TRUE;
  return FALSE;
}

gboolean
cm_sync_hub_recent (CmSyncHub *hub, CmSyncAnswer *answer, GError **error)
{
  Recent recent = { .hub = hub,
                    .answer = answer,
                    .request = answer->request,
                    .since = answer->request->since.position,
                    .cut = answer->next.position,
                    .ephemeral = cm_sync_ephemeral_since (answer) };

  if (!take (&recent))
    return FALSE;
  answer->next.to_device = answer->next.position;
  cm_sync_add_typing (answer);
  if (!cm_sync_add_state (answer, error))
    return FALSE;
  drop_silent (answer);
  if (!render (&recent, error) ||
      ((recent.presence || has_newcomers (answer)) && !cm_sync_add_presence (answer, error)))
    return FALSE;
  if (answer->keys != NULL)
    return TRUE;
  if (!cm_sync_add_key_counts (answer, error))
    return FALSE;
  remember_keys (hub, answer);
  return TRUE;
}

void
cm_sync_hub_prime (CmSyncHub *hub, const CmSyncAnswer *answer)
{
  remember_keys (hub, answer);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&hub->mutex);
  CmHubUser *user = cm_hub_user_activate (hub, answer->request->user_id);

  if (user->personal > answer->next.position)
    return;
  g_clear_pointer (&user->ignored, g_hash_table_unref);
  user->ignored = answer->ignored != NULL ? g_hash_table_ref (answer->ignored) : NULL;
  user->primed = TRUE;
}
