#include "server/sync/timeline.h"

#include "server/node.h"

#include <string.h>

static gboolean
has_pattern (char **texts)
{
  for (gsize i = 0; texts != NULL && texts[i] != NULL; i++)
    if (strchr (texts[i], '*') != NULL)
      return TRUE;
  return FALSE;
}

/* Much of what is read may not be shown: what the query cannot tell the filter decides, and before
 * somebody came into a room much may be hidden from him. */
static gboolean
is_sieved (const CmSyncAnswer *answer, const GPtrArray *rooms)
{
  const CmEventFilter *filter = answer->request->filter->timeline;

  if (filter->has_contains_url || has_pattern (filter->types) || has_pattern (filter->not_types))
    return TRUE;
  for (guint i = 0; i < rooms->len && !answer->request->initial; i++)
    if (((const CmSyncRoom *) g_ptr_array_index (rooms, i))->fresh)
      return TRUE;
  return FALSE;
}

gint64
cm_sync_timeline_rows (const CmSyncAnswer *answer, const GPtrArray *rooms)
{
  gint64 limit = cm_sync_filter_limit (answer->request->filter);

  return is_sieved (answer, rooms) ? 10 * limit + 50 : limit + 1;
}

gboolean
cm_sync_wants_event (const CmSyncAnswer *answer, const CmEvent *event)
{
  const CmEventFilter *filter = answer->request->filter->timeline;

  /* client-server, "Ignoring Users": state events are sent all the same. */
  if (answer->ignored != NULL && event->state_key == NULL &&
      g_hash_table_contains (answer->ignored, event->sender))
    return FALSE;
  return cm_event_filter_wants_room (filter, event->room_id) &&
         cm_event_filter_wants (filter, event->type, event->sender, event->content);
}

/* Whether the states of the timeline hang together, so that what it shows is all that changed. */
static gboolean
is_linear (const CmSyncRoom *room)
{
  gint64 state = room->start_state;

  for (guint i = 0; i < room->timeline->len; i++) {
    const CmEvent *event = g_ptr_array_index (room->timeline, i);
    if (event->state_before != state)
      return FALSE;
    state = event->state_after;
  }
  return state == room->end_state;
}

void
cm_sync_trim_timeline (const CmSyncAnswer *answer, CmSyncRoom *room, GArray *positions)
{
  guint limit = cm_sync_filter_limit (answer->request->filter);
  gint64 oldest = positions->len > 0 ? g_array_index (positions, gint64, 0) - 1 : room->high;

  if (room->timeline->len > limit) {
    guint excess = room->timeline->len - limit;
    g_ptr_array_remove_range (room->timeline, 0, excess);
    g_ptr_array_remove_range (room->shown, 0, excess);
    oldest = g_array_index (positions, gint64, excess - 1);
    g_array_remove_range (positions, 0, excess);
    room->limited = TRUE;
  }
  room->prev_batch = oldest;
  const CmEvent *first = room->timeline->len > 0 ? g_ptr_array_index (room->timeline, 0) : NULL;
  room->start_state = first != NULL ? first->state_before : room->end_state;
  room->linear = is_linear (room);
}

/* What was read of all rooms together. */
typedef struct {
  GPtrArray *events; /* of CmEvent, NULL where it cannot be read */
  GHashTable *seen;  /* set of events that the user may see */
  gsize most;        /* rows of a room at most */
} Read;

static gboolean
read_events (const CmSyncAnswer *answer, const CmRows *rows, Read *read, GError **error)
{
  CmRooms *rooms = answer->request->node->rooms;
  gsize count = cm_rows_count (rows);
  g_autofree gint64 *numbers = g_new (gint64, count + 1);

  for (gsize i = 0; i < count; i++)
    numbers[i] = cm_rows_integer (rows, i, 1);
  read->events = cm_event_store_get_many (cm_rooms_events (rooms), numbers, count, error);
  if (read->events == NULL)
    return FALSE;
  g_autoptr (GPtrArray) visible = g_ptr_array_new ();
  for (gsize i = 0; i < count; i++)
    if (g_ptr_array_index (read->events, i) != NULL)
      g_ptr_array_add (visible, g_ptr_array_index (read->events, i));
  if (!cm_timeline_filter_for_user (rooms, visible, answer->request->user_id, error))
    return FALSE;
  read->seen = g_hash_table_new (NULL, NULL);
  for (guint i = 0; i < visible->len; i++)
    g_hash_table_add (read->seen, g_ptr_array_index (visible, i));
  return TRUE;
}

static gboolean
has_beginning (const CmSyncRoom *room)
{
  return room->timeline->len > 0 &&
         cm_event_is (g_ptr_array_index (room->timeline, 0), "m.room.create", "");
}

/* What is the room's state now its members may see, and would miss, had it come about while they
 * were away. */
static gboolean
is_current_state (const CmSyncAnswer *answer, const CmSyncRoom *room, const CmEvent *event)
{
  if (event->state_key == NULL || room->membership != CM_MEMBERSHIP_JOIN)
    return FALSE;
  g_autoptr (CmRoomView) view = cm_rooms_view (answer->request->node->rooms, room->room_id, NULL);
  return view != NULL &&
         cm_state_map_get (view->state, event->type_sym, event->state_key_sym) == event->number;
}

static gboolean
is_shown (const CmSyncAnswer *answer, const CmSyncRoom *room, CmEvent *event, const Read *read)
{
  if (event == NULL || !cm_sync_wants_event (answer, event))
    return FALSE;
  /* How it ended for him the user sees, whatever the visibility of history. */
  return g_hash_table_contains (read->seen, event) || event->number == room->membership_event ||
         is_current_state (answer, room, event);
}

/* Rows of one room from @row on, the newest first; returns the row after them. */
static gsize
fill_room (const CmSyncAnswer *answer, CmSyncRoom *room, const CmRows *rows, gsize row,
           const Read *read)
{
  gsize start = row, end = row;
  gint64 index = cm_rows_integer (rows, row, 0);
  g_autoptr (GArray) positions = g_array_new (FALSE, FALSE, sizeof (gint64));

  while (end < cm_rows_count (rows) && cm_rows_integer (rows, end, 0) == index)
    end++;
  /* The last row of a full page only says that there is more. */
  gboolean full = end - start == read->most;
  for (gsize i = end - (full ? 1 : 0); i > start; i--) {
    CmEvent *event = g_ptr_array_index (read->events, i - 1);
    gint64 position = cm_rows_integer (rows, i - 1, 2);
    if (!is_shown (answer, room, event, read))
      continue;
    g_ptr_array_add (room->timeline, cm_event_ref (event));
    g_ptr_array_add (room->shown, NULL);
    g_array_append_val (positions, position);
  }
  /* A room that is new to the client is a gap in what it knows, unless it sees its beginning. */
  room->limited = full || (room->fresh && !answer->request->initial && !has_beginning (room));
  cm_sync_trim_timeline (answer, room, positions);
  return end;
}

gboolean
cm_sync_fill_timelines (const CmSyncAnswer *answer, GPtrArray *rooms, const CmRows *rows,
                        GError **error)
{
  Read read = { .most = (gsize) cm_sync_timeline_rows (answer, rooms) };
  gboolean good = read_events (answer, rows, &read, error);

  for (guint i = 0; i < rooms->len; i++) {
    CmSyncRoom *room = g_ptr_array_index (rooms, i);
    room->prev_batch = room->high;
    room->start_state = room->end_state;
    room->linear = TRUE;
  }
  for (gsize row = 0; good && row < cm_rows_count (rows);) {
    guint index = (guint) cm_rows_integer (rows, row, 0);
    row = fill_room (answer, g_ptr_array_index (rooms, index), rows, row, &read);
  }
  g_clear_pointer (&read.events, g_ptr_array_unref);
  g_clear_pointer (&read.seen, g_hash_table_unref);
  return good;
}
