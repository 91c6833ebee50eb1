#include "server/sync/gather.h"

#include "schema/receipt.h"
#include "schema/sync.h"
#include "server/node.h"
#include "server/push/push-rules.h"
#include "server/rooms/invite.h"
#include "server/sync/extras.h"
#include "server/sync/hub.h"
#include "server/sync/membership.h"
#include "server/sync/state.h"
#include "server/sync/stripped.h"
#include "server/sync/timeline.h"

#include <string.h>

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CmTimelineQuery, cm_event_filter_unset_query)

typedef struct {
  CmSyncAnswer *answer;
  const CmSyncRequest *request;
  GPtrArray *read;   /* of CmSyncRoom (borrowed): those whose timelines are read, in order */
  GHashTable *by_id; /* room id -> CmSyncRoom (borrowed) */
  GPtrArray *fresh;  /* room ids (borrowed): account data is wanted whole */
} Gathering;

static void
gathering_clear (Gathering *gathering)
{
  g_clear_pointer (&gathering->read, g_ptr_array_unref);
  g_clear_pointer (&gathering->by_id, g_hash_table_unref);
  g_clear_pointer (&gathering->fresh, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Gathering, gathering_clear)

static gboolean
is_inside (const CmSyncRoom *room)
{
  return room->membership == CM_MEMBERSHIP_JOIN;
}

static gboolean
has_timeline (const CmSyncRoom *room)
{
  return room->membership != CM_MEMBERSHIP_INVITE && room->membership != CM_MEMBERSHIP_KNOCK;
}

static void
index_rooms (Gathering *gathering)
{
  GPtrArray *rooms = gathering->answer->rooms;

  gathering->read = g_ptr_array_new ();
  gathering->fresh = g_ptr_array_new ();
  gathering->by_id = g_hash_table_new (g_str_hash, g_str_equal);
  for (guint i = 0; i < rooms->len; i++) {
    CmSyncRoom *room = g_ptr_array_index (rooms, i);
    g_hash_table_insert (gathering->by_id, room->room_id, room);
    if (!has_timeline (room))
      continue;
    g_ptr_array_add (gathering->read, room);
    if (room->fresh && !gathering->request->initial)
      g_ptr_array_add (gathering->fresh, room->room_id);
  }
  g_ptr_array_add (gathering->fresh, NULL);
}

static void
read_unwanted (CmSyncAnswer *answer, const CmRows *rows)
{
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    g_autoptr (GBytes) content = cm_rows_bytes (rows, i, 1);
    if (strcmp (cm_rows_text (rows, i, 0), "m.ignored_user_list") == 0)
      answer->ignored = cm_sync_ignored (content);
    else
      answer->no_invites = cm_invite_is_blocked (content);
  }
}

static gboolean
read_user (Gathering *gathering, GError **error)
{
  const CmSyncRequest *request = gathering->request;
  CmSyncAnswer *answer = gathering->answer;
  g_auto (CmSyncUserRows) rows = { 0 };
  {
    g_autoptr (CmDb) db = cm_pool_get (request->node->pool, error);
    if (db == NULL ||
        !cm_sync_read_user (db, request->user_id, request->user, request->since.position,
                            answer->next.position, &rows, error))
      return FALSE;
  }
  read_unwanted (answer, rows.unwanted);
  cm_sync_plan_rooms (answer, rows.memberships);
  cm_sync_plan_outside (answer, rows.outside);
  index_rooms (gathering);
  cm_sync_add_account_data (answer, rows.account_data, gathering->by_id);
  return !(rows.push_rules || request->initial) || cm_sync_add_push_rules (answer, error);
}

static GArray *
integers (void)
{
  return g_array_new (FALSE, FALSE, sizeof (gint64));
}

static void
append (GArray *array, gint64 value)
{
  g_array_append_val (array, value);
}

static void
fill_query (const Gathering *gathering, CmSyncRoomsQuery *query)
{
  const CmSyncRequest *request = gathering->request;

  for (guint i = 0; i < gathering->read->len; i++) {
    const CmSyncRoom *room = g_ptr_array_index (gathering->read, i);
    gint64 since = request->since.position;
    append (query->rooms, room->room);
    append (query->low, room->low);
    append (query->high, room->high);
    append (query->since, room->fresh || request->full_state ? 0 : since);
    append (query->receipts, !is_inside (room) ? G_MAXINT64 : room->fresh ? 0 : since);
  }
}

static CmSyncRoom *
room_at (const Gathering *gathering, const CmRows *rows, gsize row)
{
  return g_ptr_array_index (gathering->read, (guint) cm_rows_integer (rows, row, 0));
}

static void
take_states (const Gathering *gathering, const CmRows *rows)
{
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmSyncRoom *room = room_at (gathering, rows, i);
    room->known_state = cm_rows_integer (rows, i, 1);
    room->end_state = cm_rows_integer (rows, i, 2);
  }
}

static void
take_receipts (const Gathering *gathering, const CmRows *rows)
{
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmSyncRoom *room = room_at (gathering, rows, i);
    if (!cm_sync_wants_ephemeral (gathering->answer, room->room_id, "m.receipt"))
      continue;
    CmReceipt receipt = { .room = room->room,
                          .room_id = room->room_id,
                          .type = cm_rows_text (rows, i, 1),
                          .user_id = cm_rows_text (rows, i, 2),
                          .thread_id = cm_rows_text (rows, i, 3),
                          .event_id = cm_rows_text (rows, i, 4),
                          .ts = cm_rows_integer (rows, i, 5) };
    g_ptr_array_add (room->receipts, cm_receipt_copy (&receipt));
  }
}

/* Rooms in which something happens have their counters in memory, ahead of the table. */
static void
take_unread (const Gathering *gathering, const CmRows *rows)
{
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmSyncCount count = { cm_rows_integer (rows, i, 1), cm_rows_integer (rows, i, 2),
                          cm_rows_integer (rows, i, 3) };
    g_array_append_val (room_at (gathering, rows, i)->unread, count);
  }
  for (guint i = 0; i < gathering->read->len; i++) {
    CmSyncRoom *room = g_ptr_array_index (gathering->read, i);
    cm_sync_hub_unread (gathering->request->node->sync, room->room_id, gathering->request->user_id,
                        room->unread);
  }
}

static gboolean
read_rooms (Gathering *gathering, GError **error)
{
  const CmSyncRequest *request = gathering->request;
  g_autoptr (GArray) rooms = integers (), low = integers (), high = integers (),
                     since = integers (), receipts = integers ();
  g_auto (CmTimelineQuery) filter = { 0 };
  g_auto (CmSyncRoomsRows) rows = { 0 };

  if (gathering->read->len == 0)
    return TRUE;
  if (!cm_event_filter_set_query (request->filter->timeline, request->node->ids, &filter, error))
    return FALSE;
  CmSyncRoomsQuery query = { .rooms = rooms,
                             .low = low,
                             .high = high,
                             .since = since,
                             .receipts = receipts,
                             .limit = cm_sync_timeline_rows (gathering->answer, gathering->read),
                             .types = filter.types,
                             .not_types = filter.not_types,
                             .senders = filter.senders,
                             .not_senders = filter.not_senders,
                             .user_id = request->user_id,
                             .user = request->user,
                             .cut = gathering->answer->next.position,
                             .fresh = (const char *const *) gathering->fresh->pdata };
  fill_query (gathering, &query);
  {
    g_autoptr (CmDb) db = cm_pool_get (request->node->pool, error);
    if (db == NULL || !cm_sync_read_rooms (db, &query, &rows, error))
      return FALSE;
  }
  take_states (gathering, rows.states);
  take_receipts (gathering, rows.receipts);
  take_unread (gathering, rows.unread);
  cm_sync_add_account_data (gathering->answer, rows.account_data, gathering->by_id);
  return cm_sync_fill_timelines (gathering->answer, gathering->read, rows.timeline, error);
}

/* A client that knows all it can know of a room need not hear of it. */
static void
drop_silent (CmSyncAnswer *answer)
{
  if (answer->request->initial || answer->request->full_state)
    return;
  for (guint i = answer->rooms->len; i > 0; i--)
    if (!cm_sync_room_is_news (g_ptr_array_index (answer->rooms, i - 1)))
      g_ptr_array_remove_index (answer->rooms, i - 1);
}

gboolean
cm_sync_gather (CmSyncAnswer *answer, GError **error)
{
  g_auto (Gathering) gathering = { .answer = answer, .request = answer->request };

  if (!read_user (&gathering, error) || !read_rooms (&gathering, error))
    return FALSE;
  cm_sync_add_typing (answer);
  if (!cm_sync_add_stripped (answer, error) || !cm_sync_add_state (answer, error))
    return FALSE;
  drop_silent (answer);
  return cm_sync_add_presence (answer, error) && cm_sync_add_encryption (answer, error);
}
