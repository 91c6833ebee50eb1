#include "schema/client-transaction.h"

static const CmSql transactions_of_device = {
  "client_transactions_of_device",
  "SELECT t.event, t.txn_id FROM client_transaction t JOIN sym s ON s.id = t.user_id"
  " WHERE t.event = ANY ($3) AND s.text = $1 AND t.device_id = $2",
};

static const CmSql transaction_is_known = {
  "client_transaction_is_known",
  "SELECT 1 FROM client_transaction t JOIN sym s ON s.id = t.user_id"
  " WHERE s.text = $1 AND t.device_id = $2 AND t.scope = $3 AND t.txn_id = $4",
};

/* Rows are named by their place: an order by age with a limit is then one walk along the index. */
static const CmSql forget_old = {
  "client_transaction_forget_old",
  "DELETE FROM client_transaction WHERE ctid = ANY (ARRAY ("
  "SELECT ctid FROM client_transaction WHERE ts < $1 ORDER BY ts LIMIT $2))",
};

/* '' is the device of those who have none. */
static const CmSql forget_deleted = {
  "client_transaction_forget_deleted",
  "DELETE FROM client_transaction WHERE ctid = ANY (ARRAY ("
  "SELECT t.ctid FROM client_transaction t JOIN sym s ON s.id = t.user_id"
  " WHERE t.device_id <> '' AND NOT EXISTS"
  " (SELECT FROM device d WHERE d.user_id = s.text AND d.device_id = t.device_id) LIMIT $1))",
};

static gint64 *
copy_of (gint64 number)
{
  gint64 *copy = g_new (gint64, 1);

  *copy = number;
  return copy;
}

GHashTable *
cm_client_transactions_of (CmDb *db, const char *user_id, const char *device_id, GArray *numbers,
                           GError **error)
{
  const gint64 *values = (const gint64 *) numbers->data;
  g_autoptr (CmRows) rows = cm_db_query (
      db, &transactions_of_device,
      CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_INTS (values, numbers->len)), error);

  if (rows == NULL)
    return NULL;
  GHashTable *transactions = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_hash_table_insert (transactions, copy_of (cm_rows_integer (rows, i, 0)),
                         g_strdup (cm_rows_text (rows, i, 1)));
  return transactions;
}

gboolean
cm_client_transaction_is_known (CmDb *db, const char *user_id, const char *device_id,
                                const char *scope, const char *txn_id, gboolean *known,
                                GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (
      db, &transaction_is_known,
      CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_TEXT (scope), CM_TEXT (txn_id)), error);

  if (rows == NULL)
    return FALSE;
  *known = cm_rows_count (rows) > 0;
  return TRUE;
}

/* *@more: whether @limit rows went, so that there may be more. */
static gboolean
forget (CmDb *db, const CmSql *sql, const CmParam *params, gsize n_params, gint64 limit,
        gboolean *more, GError **error)
{
  gint64 gone = 0;
  gboolean done = cm_db_run (db, sql, params, n_params, &gone, error);

  *more = gone >= limit;
  return done;
}

gboolean
cm_client_transaction_forget_old (CmDb *db, gint64 before_ms, gint64 limit, gboolean *more,
                                  GError **error)
{
  return forget (db, &forget_old, CM_ARGS (CM_INT (before_ms), CM_INT (limit)), limit, more, error);
}

gboolean
cm_client_transaction_forget_deleted (CmDb *db, gint64 limit, gboolean *more, GError **error)
{
  return forget (db, &forget_deleted, CM_ARGS (CM_INT (limit)), limit, more, error);
}
