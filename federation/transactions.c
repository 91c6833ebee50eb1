#include "federation/transactions.h"

typedef struct {
  CmAppended callback;
  gpointer data;
} Waiting;

typedef struct {
  char *key;
  gint64 number;   /* 0 while it is under way */
  GArray *waiting; /* of Waiting; NULL: nobody */
} Transaction;

struct _CmTransactions {
  gsize capacity;
  GMutex mutex; /* guards what follows */
  GHashTable *by_key;
  GQueue done; /* of Transaction, the oldest first */
};

static void
free_transaction (gpointer data)
{
  Transaction *transaction = data;
  g_clear_pointer (&transaction->waiting, g_array_unref);
  g_free (transaction->key);
  g_free (transaction);
}

CmTransactions *
cm_transactions_new (gsize capacity)
{
  CmTransactions *transactions = g_new0 (CmTransactions, 1);
  transactions->capacity = capacity;
  transactions->by_key = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, free_transaction);
  g_mutex_init (&transactions->mutex);
  g_queue_init (&transactions->done);
  return transactions;
}

void
cm_transactions_free (CmTransactions *transactions)
{
  g_queue_clear (&transactions->done);
  g_hash_table_unref (transactions->by_key);
  g_mutex_clear (&transactions->mutex);
  g_free (transactions);
}

CmTransactionState
cm_transactions_begin (CmTransactions *transactions, const char *key, CmAppended callback,
                       gpointer data, gint64 *number)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&transactions->mutex);
  Transaction *transaction = g_hash_table_lookup (transactions->by_key, key);
  if (transaction == NULL) {
    transaction = g_new0 (Transaction, 1);
    transaction->key = g_strdup (key);
    g_hash_table_insert (transactions->by_key, transaction->key, transaction);
    return CM_TRANSACTION_NEW;
  }
  *number = transaction->number;
  if (transaction->number != 0)
    return CM_TRANSACTION_DONE;
  if (transaction->waiting == NULL)
    transaction->waiting = g_array_new (FALSE, FALSE, sizeof (Waiting));
  Waiting waiting = { callback, data };
  g_array_append_val (transaction->waiting, waiting);
  return CM_TRANSACTION_WAITING;
}

/* Gives those who waited (transfer full, nullable). */
static GArray *
settle (CmTransactions *transactions, const char *key, const CmEvent *event)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&transactions->mutex);
  Transaction *transaction = g_hash_table_lookup (transactions->by_key, key);
  g_return_val_if_fail (transaction != NULL, NULL);
  GArray *waiting = g_steal_pointer (&transaction->waiting);
  if (event == NULL) {
    g_hash_table_remove (transactions->by_key, key);
    return waiting;
  }
  transaction->number = event->number;
  g_queue_push_tail (&transactions->done, transaction);
  while (transactions->done.length > transactions->capacity) {
    Transaction *oldest = g_queue_pop_head (&transactions->done);
    g_hash_table_remove (transactions->by_key, oldest->key);
  }
  return waiting;
}

void
cm_transactions_end (CmTransactions *transactions, const char *key, CmEvent *event,
                     const GError *error)
{
  g_autoptr (GArray) waiting = settle (transactions, key, event);
  for (guint i = 0; waiting != NULL && i < waiting->len; i++) {
    const Waiting *one = &g_array_index (waiting, Waiting, i);
    one->callback (event, error, one->data);
  }
}
