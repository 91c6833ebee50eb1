/* History from before this node came into a room, or from while it was away. */
#include "federation/intake-private.h"

#include "schema/room-history.h"

#define MAX_SERVERS 3
#define MAX_EVENTS  100
#define MAX_FROM    10
#define TIME        (25 * G_USEC_PER_SEC)

static gboolean
find_missing (CmIntake *intake, gint64 room, gint64 position, char ***ids, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (cm_rooms_parts (intake->parts.rooms)->pool, error);

  *ids = db != NULL ? cm_room_missing_events (db, room, position, MAX_FROM, error) : NULL;
  return *ids != NULL;
}

/* Takes those out of @events that are in the graph already. */
static gboolean
drop_known (CmIntake *intake, GPtrArray *events, GError **error)
{
  for (guint i = events->len; i > 0; i--) {
    const CmEvent *event = events->pdata[i - 1];
    gboolean known;
    if (!cm_intake_is_known (intake, event->event_id, &known, error))
      return FALSE;
    if (known)
      g_ptr_array_remove_index (events, i - 1);
  }
  return TRUE;
}

/* @more: whether something new came. */
static gboolean
ask_server (const CmAsk *ask, const char *const *from, guint limit, gboolean *more, GError **error)
{
  g_autoptr (GPtrArray) events = cm_ask_backfill (ask, from, limit, error);

  if (events == NULL || !drop_known (ask->intake, events, error))
    return FALSE;
  if (events->len == 0)
    return TRUE;
  g_autoptr (CmGap) gap = cm_gap_of_history (ask, events, error);
  if (gap == NULL || !cm_gap_store (ask->intake, ask->room_id, gap, error))
    return FALSE;
  *more = TRUE;
  return TRUE;
}

gboolean
cm_intake_backfill (CmIntake *intake, const char *room_id, gint64 position, guint limit,
                    GError **error)
{
  g_autoptr (CmRoomView) view = cm_rooms_view (intake->parts.rooms, room_id, error);
  g_auto (GStrv) from = NULL;
  g_autoptr (GError) failure = NULL;
  gboolean more = FALSE;

  if (view == NULL || !find_missing (intake, view->room, position, &from, error))
    return FALSE;
  if (from[0] == NULL)
    return FALSE;
  for (guint i = 0; i < MAX_SERVERS && view->others->pdata[i] != NULL && !more; i++) {
    g_auto (CmLargeTurn) turn = { 0 };
    const CmAsk ask = { intake,        view->others->pdata[i],         room_id,
                        view->version, g_get_monotonic_time () + TIME, &turn };
    g_clear_error (&failure);
    ask_server (&ask, (const char *const *) from, MIN (limit, MAX_EVENTS), &more, &failure);
  }
  if (failure != NULL && !more)
    g_propagate_error (error, g_steal_pointer (&failure));
  return more;
}
