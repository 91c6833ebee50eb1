#include "schema/db-private.h"

struct _CmTransaction {
  CmDb *db;
};

/* BEGIN travels with the first statement: a transaction costs one round trip more than its
 * statements, not two. */
CmTransaction *
cm_transaction_begin (CmDb *db, GError **error)
{
  static const CmSql begin = { "begin", "BEGIN" };
  cm_db_drain (db);
  g_return_val_if_fail (PQtransactionStatus (db->conn) != PQTRANS_INTRANS, NULL);
  if (!cm_db_send_quietly (db, &begin, error))
    return NULL;
  CmTransaction *transaction = g_new (CmTransaction, 1);
  transaction->db = db;
  return transaction;
}

gboolean
cm_transaction_commit (CmTransaction *transaction, GError **error)
{
  static const CmSql commit = { "commit", "COMMIT" };
  g_return_val_if_fail (transaction->db != NULL, FALSE);
  CmDb *db = g_steal_pointer (&transaction->db);
  g_autoptr (CmRows) rows = cm_db_query (db, &commit, CM_NO_ARGS, error);
  if (rows == NULL) {
    cm_db_reset (db);
    return FALSE;
  }
  if (g_strcmp0 (cm_rows_tag (rows), "COMMIT") == 0)
    return TRUE;
  /* A statement had failed before: PostgreSQL answers ROLLBACK, without an error. */
  g_set_error_literal (error, CM_ERROR, CM_ERROR_DATABASE, "The database failed");
  return FALSE;
}

void
cm_transaction_end (CmTransaction *transaction)
{
  if (transaction == NULL)
    return;
  if (transaction->db != NULL)
    cm_db_reset (transaction->db);
  g_free (transaction);
}
