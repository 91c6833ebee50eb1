#include "schema/receipt.h"

static const CmSql put = {
  "receipt-put",
  "INSERT INTO receipt AS r (room, user_id, type, thread_id, event_id, event_position, ts, "
  "position)"
  " VALUES ($1, $2, $3, $4, $5, nullif ($6::bigint, 0), $7, $8)"
  " ON CONFLICT (room, user_id, type, thread_id) DO UPDATE"
  " SET event_id = excluded.event_id, event_position = excluded.event_position, ts = excluded.ts,"
  " position = excluded.position"
  " WHERE r.event_position IS NULL OR excluded.event_position > r.event_position",
};

static const CmSql keep_threads = {
  "receipt-keep-threads",
  "DELETE FROM receipt WHERE room = $1 AND user_id = $2 AND type = $3 AND thread_id IN ("
  "SELECT thread_id FROM receipt WHERE room = $1 AND user_id = $2 AND type = $3"
  " AND thread_id NOT IN ('', 'main') ORDER BY position DESC OFFSET $4)",
};

static const CmSql find = {
  "receipt-position",
  "SELECT coalesce (event_position, 0) FROM receipt"
  " WHERE room = $1 AND user_id = $2 AND type = $3 AND thread_id = $4",
};

static const CmSql read_up_to = {
  "receipts-read",
  "SELECT room, thread_id, max (event_position) FROM receipt"
  " WHERE user_id = $1 AND room = ANY ($2) AND event_position IS NOT NULL"
  " GROUP BY room, thread_id",
};

static const CmSql after = {
  "receipts-after",
  "SELECT s.text, r.user_id, r.thread_id, r.event_position FROM receipt r"
  " JOIN sym s ON s.id = r.room"
  " WHERE r.position > $1 AND r.event_position IS NOT NULL ORDER BY r.position",
};

CmReceipt *
cm_receipt_copy (const CmReceipt *receipt)
{
  CmReceipt *copy = g_memdup2 (receipt, sizeof *receipt);

  copy->room_id = g_strdup (receipt->room_id);
  copy->user_id = g_strdup (receipt->user_id);
  copy->type = g_strdup (receipt->type);
  copy->thread_id = g_strdup (receipt->thread_id);
  copy->event_id = g_strdup (receipt->event_id);
  return copy;
}

void
cm_receipt_free (CmReceipt *receipt)
{
  g_free ((char *) receipt->room_id);
  g_free ((char *) receipt->user_id);
  g_free ((char *) receipt->type);
  g_free ((char *) receipt->thread_id);
  g_free ((char *) receipt->event_id);
  g_free (receipt);
}

void
cm_receipt_write (CmWrite *write, const CmReceipt *receipt)
{
  gint64 offset = cm_write_take_positions (write, 1);
  GPtrArray *attached = cm_write_attached (write, "receipts");

  cm_write_add (write, &put,
                CM_ARGS (CM_INT (receipt->room), CM_TEXT (receipt->user_id),
                         CM_TEXT (receipt->type), CM_TEXT (receipt->thread_id),
                         CM_TEXT (receipt->event_id), CM_INT (receipt->event_position),
                         CM_INT (receipt->ts), CM_POSITION (offset)));
  if (attached == NULL) {
    attached = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_receipt_free);
    cm_write_attach (write, "receipts", attached, (GDestroyNotify) g_ptr_array_unref);
  }
  g_ptr_array_add (attached, cm_receipt_copy (receipt));
  cm_write_topic (write, CM_TOPIC_ROOM, receipt->room_id);
}

void
cm_receipt_keep_threads (CmWrite *write, const CmReceipt *receipt, gint64 limit)
{
  cm_write_add (write, &keep_threads,
                CM_ARGS (CM_INT (receipt->room), CM_TEXT (receipt->user_id),
                         CM_TEXT (receipt->type), CM_INT (limit)));
}

gboolean
cm_receipt_position (CmDb *db, const CmReceipt *receipt, gint64 *position, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &find,
                   CM_ARGS (CM_INT (receipt->room), CM_TEXT (receipt->user_id),
                            CM_TEXT (receipt->type), CM_TEXT (receipt->thread_id)),
                   error);

  if (rows == NULL)
    return FALSE;
  *position = cm_rows_count (rows) > 0 ? cm_rows_integer (rows, 0, 0) : 0;
  return TRUE;
}

CmRows *
cm_receipts_read (CmDb *db, const char *user_id, const GArray *rooms, GError **error)
{
  return cm_db_query (db, &read_up_to, CM_ARGS (CM_TEXT (user_id), cm_param_integers (rooms)),
                      error);
}

CmRows *
cm_receipts_after (CmDb *db, gint64 position, GError **error)
{
  return cm_db_query (db, &after, CM_ARGS (CM_INT (position)), error);
}
