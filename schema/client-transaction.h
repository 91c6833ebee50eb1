/* Idempotent sends: which transaction id of which device an event came with. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

/* Of the events @numbers (of gint64): (transfer full) number (gint64*) -> transaction id, for those
 * that this device sent. */
GHashTable *cm_client_transactions_of (CmDb *db, const char *user_id, const char *device_id,
                                       GArray *numbers, GError **error);

/* Whether a device sent an event with this transaction id before. */
gboolean cm_client_transaction_is_known (CmDb *db, const char *user_id, const char *device_id,
                                         const char *scope, const char *txn_id, gboolean *known,
                                         GError **error);

/* Forgets @limit of those from before @before_ms (ms since 1970), or of devices that are no more.
 * *@more: whether that may not have been all. */
gboolean cm_client_transaction_forget_old (CmDb *db, gint64 before_ms, gint64 limit, gboolean *more,
                                           GError **error);
gboolean
cm_client_transaction_forget_deleted (CmDb *db, gint64 limit, gboolean *more, GError **error);

G_END_DECLS
