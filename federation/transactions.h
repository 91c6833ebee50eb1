/* Answers to repeated sends (client-server, "Transaction identifiers"), as far as memory goes back:
 * a repeat of one under way waits for it, a repeat of one that is done costs no write. Table
 * client_transaction knows the rest. */
#pragma once

#include "federation/append.h"

G_BEGIN_DECLS

typedef struct _CmTransactions CmTransactions;

/* @capacity: how many that are done are remembered. */
CmTransactions *cm_transactions_new (gsize capacity);
void cm_transactions_free (CmTransactions *transactions);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmTransactions, cm_transactions_free)

typedef enum {
  CM_TRANSACTION_NEW,     /* the caller carries it out and tells cm_transactions_end */
  CM_TRANSACTION_WAITING, /* @callback comes when it is done */
  CM_TRANSACTION_DONE,    /* @number has its event's */
} CmTransactionState;

CmTransactionState cm_transactions_begin (CmTransactions *transactions, const char *key,
                                          CmAppended callback, gpointer data, gint64 *number);
/* Tells those who wait. @event NULL: it failed with @error and may be tried anew. */
void cm_transactions_end (CmTransactions *transactions, const char *key, CmEvent *event,
                          const GError *error);

G_END_DECLS
