#include "server/sync/membership.h"

/* What a user's history in one room comes to. */
typedef struct {
  gint64 room;
  const char *room_id;
  CmMembership before; /* at since */
  CmMembership now;    /* at the cut */
  gint64 position;     /* when it became so */
  gint64 event;
  gboolean joined;       /* he was inside at some time */
  gboolean joined_since; /* he joined after since, whatever came then */
  gboolean left_since;   /* he was out at some point after since */
  gboolean forgotten;
} History;

/* Rows of one room from @row on; returns the row after them. */
static gsize
read_history (const CmRows *rows, gsize row, gint64 since, History *history)
{
  *history = (History){ .room = cm_rows_integer (rows, row, 0),
                        .room_id = cm_rows_text (rows, row, 1),
                        .forgotten = cm_rows_boolean (rows, row, 5) };
  for (; row < cm_rows_count (rows) && cm_rows_integer (rows, row, 0) == history->room; row++) {
    history->now = cm_membership_from_text (cm_rows_text (rows, row, 3));
    history->position = cm_rows_integer (rows, row, 2);
    history->event = cm_rows_integer (rows, row, 4);
    history->joined |= history->now == CM_MEMBERSHIP_JOIN;
    if (history->position <= since) {
      history->before = history->now;
      continue;
    }
    if (history->now == CM_MEMBERSHIP_JOIN)
      history->joined_since = TRUE;
    else
      history->left_since = TRUE;
  }
  return row;
}

static gboolean
plan_joined (const CmSyncRequest *request, const History *history, gint64 cut, CmSyncRoom *room)
{
  room->fresh = request->initial || history->before != CM_MEMBERSHIP_JOIN || history->left_since;
  /* History that was fetched later has negative positions. */
  room->low = room->fresh ? G_MININT64 : request->since.position;
  room->high = cut;
  return TRUE;
}

/* Nothing after the leave is the user's to see (CVE-2024-53867). */
static gboolean
plan_left (const CmSyncRequest *request, const History *history, CmSyncRoom *room)
{
  gboolean whole = request->initial || request->full_state;

  if (history->forgotten)
    return FALSE;
  if (whole ? !request->filter->include_leave : history->position <= request->since.position)
    return FALSE;
  room->high = history->position;
  if (!request->initial && !history->joined_since &&
      (history->before == CM_MEMBERSHIP_JOIN || history->position <= request->since.position)) {
    room->low = request->since.position;
    room->fresh = whole && history->joined;
    return TRUE;
  }
  /* Who was never inside (an invite turned down) sees that it is over, and nothing else. */
  room->fresh = history->joined_since;
  room->stateless = !history->joined;
  room->low = room->fresh ? G_MININT64 : history->position - 1;
  return TRUE;
}

static gboolean
plan (const CmSyncRequest *request, const History *history, gint64 cut, CmSyncRoom *room)
{
  room->membership = history->now;
  room->membership_event = history->event;
  switch (history->now) {
  case CM_MEMBERSHIP_JOIN:
    return plan_joined (request, history, cut, room);
  case CM_MEMBERSHIP_LEAVE:
  case CM_MEMBERSHIP_BAN:
    return plan_left (request, history, room);
  case CM_MEMBERSHIP_INVITE:
  case CM_MEMBERSHIP_KNOCK:
    room->high = history->position;
    return request->initial || request->full_state || history->position > request->since.position;
  case CM_MEMBERSHIP_NONE:
    break;
  }
  return FALSE;
}

void
cm_sync_plan_rooms (CmSyncAnswer *answer, const CmRows *memberships)
{
  const CmSyncRequest *request = answer->request;
  History history;

  for (gsize row = 0; row < cm_rows_count (memberships);) {
    row = read_history (memberships, row, request->since.position, &history);
    if (!cm_sync_filter_wants_room (request->filter, history.room_id))
      continue;
    g_autoptr (CmSyncRoom) room = cm_sync_room_new (history.room, history.room_id);
    if (plan (request, &history, answer->next.position, room))
      g_ptr_array_add (answer->rooms, g_steal_pointer (&room));
  }
}
