#include "server/rooms/search.h"

#include "schema/membership.h"
#include "schema/search.h"

/* So many hits are looked at, in portions. */
#define MAX_SCANNED 1000
#define PORTION     500

/* (transfer full) syms of the caller's rooms, of those that the filter wants. */
static GArray *
rooms_to_search (const CmRoomSearchQuery *query, GError **error)
{
  CmNode *node = query->node;
  g_autoptr (GArray) syms = g_array_new (FALSE, FALSE, sizeof (gint64));
  gint64 user = cm_sym (node->ids, query->user_id, error);
  g_auto (GStrv) rooms = NULL;

  if (user == 0)
    return NULL;
  {
    g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
    rooms = db != NULL ? cm_membership_rooms (db, user, "join", error) : NULL;
  }
  for (gsize i = 0; rooms != NULL && rooms[i] != NULL; i++) {
    if (!cm_event_filter_wants_room (query->filter, rooms[i]))
      continue;
    gint64 sym = cm_sym (node->ids, rooms[i], error);
    if (sym == 0)
      return NULL;
    g_array_append_val (syms, sym);
  }
  return rooms != NULL ? g_steal_pointer (&syms) : NULL;
}

/* (transfer full) of CmSearchHit: a portion of all that match. */
static GArray *
find_hits (const CmRoomSearchQuery *query, GArray *rooms, gint64 offset, GError **error)
{
  const CmSearchQuery portion = { .term = query->term,
                                  .rooms = rooms,
                                  .keys = query->keys,
                                  .by_rank = query->by_rank,
                                  .offset = offset,
                                  .limit = PORTION };
  g_autoptr (CmDb) db = cm_pool_get (query->node->pool, error);

  return db != NULL ? cm_search_find (db, &portion, error) : NULL;
}

static double
rank_of (const GArray *hits, gint64 number)
{
  for (guint i = 0; i < hits->len; i++)
    if (g_array_index (hits, CmSearchHit, i).event == number)
      return g_array_index (hits, CmSearchHit, i).rank;
  return 0;
}

/* Counts those of @hits that may be seen and are wanted, and keeps those of the page. */
static gboolean
take_hits (CmRoomSearchPage *page, const CmRoomSearchQuery *query, const GArray *hits,
           GError **error)
{
  CmRooms *rooms = query->node->rooms;
  g_autofree gint64 *numbers = g_new (gint64, hits->len + 1);

  for (guint i = 0; i < hits->len; i++)
    numbers[i] = g_array_index (hits, CmSearchHit, i).event;
  g_autoptr (GPtrArray) events =
      cm_event_store_get_many (cm_rooms_events (rooms), numbers, hits->len, error);
  if (events == NULL || !cm_timeline_filter_for_user (rooms, events, query->user_id, error))
    return FALSE;
  for (guint i = 0; i < events->len; i++) {
    CmEvent *event = events->pdata[i];
    if (cm_rooms_is_erased (rooms, event) ||
        !cm_event_filter_wants (query->filter, event->type, event->sender, event->content))
      continue;
    gint64 place = page->count++;
    if (place < query->offset || place >= query->offset + query->limit)
      continue;
    double rank = rank_of (hits, event->number);
    g_ptr_array_add (page->events, cm_event_ref (event));
    g_array_append_val (page->ranks, rank);
  }
  return TRUE;
}

void
cm_room_search_page_free (CmRoomSearchPage *page)
{
  g_ptr_array_unref (page->events);
  g_array_unref (page->ranks);
  g_free (page);
}

CmRoomSearchPage *
cm_room_search (const CmRoomSearchQuery *query, GError **error)
{
  g_autoptr (GArray) rooms = rooms_to_search (query, error);
  g_autoptr (CmRoomSearchPage) page = g_new0 (CmRoomSearchPage, 1);
  gboolean end = FALSE;

  page->events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  page->ranks = g_array_new (FALSE, FALSE, sizeof (double));
  if (rooms == NULL)
    return NULL;
  for (gint64 scanned = 0; scanned < MAX_SCANNED && !end; scanned += PORTION) {
    g_autoptr (GArray) hits = find_hits (query, rooms, scanned, error);
    if (hits == NULL || !take_hits (page, query, hits, error))
      return NULL;
    end = hits->len < PORTION;
  }
  page->more = page->count > query->offset + query->limit;
  return g_steal_pointer (&page);
}
