/* The counters of what is unread on their way to the database, many at once, and what is counted
 * again after a crash. */
#include "server/sync/hub-private.h"

#include "schema/push.h"
#include "schema/sync.h"

#include <string.h>

/* What is counted again after a crash at most. */
#define MAX_REPLAY 20000
#define FLUSH_US   (5 * G_TIME_SPAN_SECOND)

/* One row to be written. */
typedef struct {
  gint64 key[3]; /* user, room, thread */
  gint64 notifications;
  gint64 highlights;
} Row;

static guint
row_hash (gconstpointer data)
{
  const gint64 *key = data;

  return g_int64_hash (&key[0]) ^ (g_int64_hash (&key[1]) * 31) ^ (g_int64_hash (&key[2]) * 1021);
}

static gboolean
row_equal (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, 3 * sizeof (gint64)) == 0;
}

GHashTable *
cm_hub_dirty_new (void)
{
  return g_hash_table_new_full (row_hash, row_equal, g_free, NULL);
}

void
cm_hub_mark_dirty (CmSyncHub *hub, const CmHubMember *member, const CmSyncCount *count)
{
  Row row = { { member->user, member->room->room, count->thread },
              count->notifications,
              count->highlights };

  g_hash_table_add (hub->dirty, g_memdup2 (&row, sizeof row));
}

/* Rows on their way to the database. */
typedef struct {
  CmSyncHub *hub;
  GHashTable *rows;
} Flush;

static void
on_flushed (const CmWrite *write, gint64 position, const GError *error, gpointer data)
{
  Flush *flush = data;

  if (error != NULL)
    cm_hub_return_dirty (flush->hub, flush->rows);
  else
    g_hash_table_unref (flush->rows);
  g_free (flush);
}

void
cm_hub_take_dirty (CmSyncHub *hub, GHashTable *rows)
{
  GHashTableIter iter;
  gpointer row;

  g_hash_table_iter_init (&iter, rows);
  while (g_hash_table_iter_next (&iter, &row, NULL))
    if (!g_hash_table_contains (hub->dirty, row))
      g_hash_table_add (hub->dirty, g_memdup2 (row, sizeof (Row)));
}

static CmWrite *
flush_write (CmSyncHub *hub)
{
  g_autoptr (CmUnreadRows) rows = cm_unread_rows_new ();
  CmWrite *write = cm_write_new ();
  GHashTableIter iter;
  gpointer key;

  g_hash_table_iter_init (&iter, hub->dirty);
  while (g_hash_table_iter_next (&iter, &key, NULL)) {
    const Row *row = key;
    cm_unread_rows_add (rows, row->key[0], row->key[1], row->key[2], row->notifications,
                        row->highlights);
  }
  cm_unread_write (write, rows, hub->position);
  return write;
}

void
cm_hub_flush (CmSyncHub *hub, gboolean last)
{
  gint64 now = g_get_monotonic_time ();

  if (!last && now < hub->flushed + FLUSH_US)
    return;
  hub->flushed = now;
  if (hub->flushed_position == hub->position)
    return;
  hub->flushed_position = hub->position;
  CmWrite *write = flush_write (hub);
  if (last) {
    g_autoptr (GError) error = NULL;
    if (cm_committer_commit (hub->node->committer, write, &error) < 0)
      g_warning ("Unread counters: %s", error->message);
    return;
  }
  Flush *flush = g_new (Flush, 1);
  *flush = (Flush){ hub, hub->dirty };
  hub->dirty = cm_hub_dirty_new ();
  cm_committer_submit (hub->node->committer, write, NULL, on_flushed, flush);
}

static gboolean
replay_events (CmSyncHub *hub, const GArray *numbers, GError **error)
{
  g_autoptr (GPtrArray) events = cm_event_store_get_many (
      cm_rooms_events (hub->node->rooms), (const gint64 *) numbers->data, numbers->len, error);

  for (guint i = 0; events != NULL && i < events->len; i++) {
    CmEvent *event = g_ptr_array_index (events, i);
    CmHubRoom *room =
        event != NULL ? cm_hub_room_open (hub, event->room_id, event->position, error) : NULL;
    if (event != NULL && room == NULL)
      return FALSE;
    if (event == NULL)
      continue;
    cm_hub_count_event (hub, room, event);
    cm_hub_room_add_event (room, event);
  }
  return events != NULL;
}

static void
replay_receipts (CmSyncHub *hub, const CmRows *rows)
{
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmReceipt receipt = { .room_id = cm_rows_text (rows, i, 0),
                          .user_id = cm_rows_text (rows, i, 1),
                          .thread_id = cm_rows_text (rows, i, 2),
                          .event_position = cm_rows_integer (rows, i, 3) };
    CmHubRoom *room = cm_hub_room_open (hub, receipt.room_id, hub->position + 1, NULL);
    if (room != NULL)
      cm_hub_count_receipt (hub, room, &receipt);
  }
}

gboolean
cm_hub_replay (CmSyncHub *hub, GError **error)
{
  g_autoptr (CmRows) events = NULL, receipts = NULL;
  gint64 counted;
  {
    g_autoptr (CmDb) db = cm_pool_get (hub->node->pool, error);
    if (db == NULL || !cm_unread_position (db, &counted, error))
      return FALSE;
    hub->flushed_position = counted;
    if (counted >= hub->position)
      return TRUE;
    events = cm_unread_events_after (db, counted, MAX_REPLAY, error);
    receipts = events != NULL ? cm_receipts_after (db, counted, error) : NULL;
    if (receipts == NULL)
      return FALSE;
  }
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (gsize i = cm_rows_count (events); i > 0; i--) {
    gint64 number = cm_rows_integer (events, i - 1, 0);
    g_array_append_val (numbers, number);
  }
  if (!replay_events (hub, numbers, error))
    return FALSE;
  replay_receipts (hub, receipts);
  return TRUE;
}
