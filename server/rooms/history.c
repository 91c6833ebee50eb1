#include "server/rooms/history.h"

#include "federation/timeline.h"
#include "server/node.h"

#include <string.h>

/* How often the database is asked for one page when most of what it gives may not be seen: enough
 * for a page to be found behind much that is hidden, and bounded. */
#define MAX_ROUNDS 20

void
cm_history_page_free (CmHistoryPage *page)
{
  g_ptr_array_unref (page->events);
  g_free (page);
}

/* A cut to the exclusive bounds of CmTimelineQuery. */
static void
set_bounds (const CmHistoryQuery *query, CmTimelineQuery *timeline)
{
  gint64 until = MIN (query->room->until, CM_CUT_LAST);

  if (query->backwards) {
    timeline->from = MIN (query->from, until) + 1;
    timeline->to = query->to;
  } else {
    timeline->from = query->from;
    timeline->to = MIN (query->to, until) + 1;
  }
}

/* Moves what is wanted of @found over to the page, until that is full. */
static void
take (CmHistoryPage *page, const CmHistoryQuery *query, GPtrArray *found)
{
  for (guint i = 0; i < found->len; i++) {
    CmEvent *event = found->pdata[i];
    if (!cm_event_filter_wants (query->filter, event->type, event->sender, event->content))
      continue;
    if (page->events->len == query->limit)
      return;
    g_ptr_array_add (page->events, cm_event_ref (event));
    page->end = query->backwards ? event->position - 1 : event->position;
  }
}

/* One round. The cursor follows what the database gave and not what could be shown of it
 * (CVE-2026-45076), but for what did not fit any more. */
static gboolean
read_round (CmHistoryPage *page, const CmHistoryQuery *query, CmTimelineQuery *timeline,
            GError **error)
{
  CmRooms *rooms = query->node->rooms;
  g_autoptr (CmTimelinePage) raw = cm_timeline_read (rooms, timeline, error);

  if (raw == NULL)
    return FALSE;
  page->at_end = !raw->more;
  page->moved = page->moved || raw->end != timeline->from;
  if (!cm_timeline_filter_for_user (rooms, raw->events, query->user_id, error))
    return FALSE;
  take (page, query, raw->events);
  if (page->events->len < query->limit) {
    timeline->from = raw->end;
    page->end = query->backwards ? raw->end - 1 : raw->end;
  }
  return TRUE;
}

CmHistoryPage *
cm_history_read (const CmHistoryQuery *query, GError **error)
{
  g_autoptr (CmHistoryPage) page = g_new0 (CmHistoryPage, 1);
  CmTimelineQuery timeline = { .room = query->room->view->room,
                               .backwards = query->backwards,
                               .limit = query->limit };

  page->events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  page->end = query->from;
  if (!cm_event_filter_wants_room (query->filter, query->room->view->room_id))
    return g_steal_pointer (&page);
  set_bounds (query, &timeline);
  gboolean good = cm_event_filter_set_query (query->filter, query->node->ids, &timeline, error);
  for (int round = 0;
       good && round < MAX_ROUNDS && !page->at_end && page->events->len < query->limit; round++)
    good = read_round (page, query, &timeline, error);
  cm_event_filter_unset_query (&timeline);
  return good ? g_steal_pointer (&page) : NULL;
}

GPtrArray *
cm_history_members (CmNode *node, GPtrArray *events, const CmStateMap *state, GError **error)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  gint64 type = cm_sym (node->ids, "m.room.member", error);

  if (type == 0)
    return NULL;
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = events->pdata[i];
    gint64 number = cm_state_map_get (state, (guint32) type, event->sender_sym);
    if (g_hash_table_add (seen, GUINT_TO_POINTER (event->sender_sym)) && number != 0)
      g_array_append_val (numbers, number);
  }
  return cm_event_store_get_many (cm_rooms_events (node->rooms), (const gint64 *) numbers->data,
                                  numbers->len, error);
}

CmEventFilter *
cm_call_event_filter (CmCall *call, GError **error)
{
  const char *text = cm_call_query (call, "filter");
  g_autoptr (CmJsonDoc) doc = NULL;

  if (text != NULL) {
    doc = cm_json_parse (text, strlen (text), error);
    if (doc == NULL)
      return NULL;
  }
  return cm_event_filter_new (doc != NULL ? cm_json_doc_root (doc) : NULL, error);
}
