/* Idempotent sends: which transaction id of which device an event came with. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

/* Of the events @numbers (of gint64): (transfer full) number (gint64*) -> transaction id, for those
 * that this device sent. */
GHashTable *cm_client_transactions_of (CmDb *db, const char *user_id, const char *device_id,
                                       GArray *numbers, GError **error);

G_END_DECLS
