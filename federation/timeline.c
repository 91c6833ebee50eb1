#include "federation/timeline.h"

#define SELECT                                                                                     \
  "SELECT id, position FROM event WHERE room = $1 AND position > $2 AND position < $3 "            \
  "AND ($5::bigint[] IS NULL OR type = ANY ($5)) AND ($6::bigint[] IS NULL OR type <> ALL ($6)) "  \
  "AND ($7::bigint[] IS NULL OR sender = ANY ($7)) "                                               \
  "AND ($8::bigint[] IS NULL OR sender <> ALL ($8)) "

/* Rejected, soft-failed and outlier events have no position and so never stand here. */
static const CmSql sql_forwards = { "timeline-forwards", SELECT "ORDER BY position LIMIT $4" };
static const CmSql sql_backwards = { "timeline-backwards",
                                     SELECT "ORDER BY position DESC LIMIT $4" };

/* One row more than asked for tells whether there is more. */
static CmRows *
read_rows (CmRooms *rooms, const CmTimelineQuery *query, GError **error)
{
  gint64 low = query->backwards ? query->to : query->from;
  gint64 high = query->backwards ? query->from : query->to;
  gint64 limit = (gint64) MIN (query->limit, G_MAXINT32) + 1;
  g_autoptr (CmDb) db = cm_pool_get (cm_rooms_parts (rooms)->pool, error);
  if (db == NULL)
    return NULL;
  return cm_db_query (
      db, query->backwards ? &sql_backwards : &sql_forwards,
      CM_ARGS (CM_INT (query->room), CM_INT (low), CM_INT (high), CM_INT (limit),
               cm_param_integers (query->types), cm_param_integers (query->not_types),
               cm_param_integers (query->senders), cm_param_integers (query->not_senders)),
      error);
}

void
cm_timeline_page_free (CmTimelinePage *page)
{
  g_clear_pointer (&page->events, g_ptr_array_unref);
  g_free (page);
}

CmTimelinePage *
cm_timeline_read (CmRooms *rooms, const CmTimelineQuery *query, GError **error)
{
  g_autoptr (CmRows) rows = read_rows (rooms, query, error);
  if (rows == NULL)
    return NULL;
  g_autoptr (CmTimelinePage) page = g_new0 (CmTimelinePage, 1);
  gsize count = MIN (cm_rows_count (rows), query->limit);
  page->more = cm_rows_count (rows) > query->limit;
  /* The cursor moves over what the database gave, whatever of it can be read or shown
   * (CVE-2026-45076). */
  page->end = count > 0 ? cm_rows_integer (rows, count - 1, 1) : query->from;

  g_autofree gint64 *numbers = g_new (gint64, count + 1);
  for (gsize i = 0; i < count; i++)
    numbers[i] = cm_rows_integer (rows, i, 0);
  page->events = cm_event_store_get_many (cm_rooms_events (rooms), numbers, count, error);
  if (page->events == NULL)
    return NULL;
  for (gsize i = 0; i < count; i++) {
    if (page->events->pdata[i] != NULL)
      cm_event_set_position (page->events->pdata[i], cm_rows_integer (rows, i, 1));
  }
  while (g_ptr_array_remove (page->events, NULL))
    continue;
  return g_steal_pointer (&page);
}
