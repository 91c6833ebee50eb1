/* What stands beside the rooms' events: account data, typing, presence, and what encryption needs.
 */
#pragma once

#include "schema/db.h"
#include "server/sync/answer.h"

G_BEGIN_DECLS

/* The counter up to which the client knows what is ephemeral; 0: nothing, the process has another
 * life. */
gint64 cm_sync_ephemeral_since (const CmSyncAnswer *answer);
gboolean
cm_sync_wants_ephemeral (const CmSyncAnswer *answer, const char *room_id, const char *type);

/* @rows: room id, type, content. @rooms: room id -> CmSyncRoom. */
void cm_sync_add_account_data (CmSyncAnswer *answer, const CmRows *rows, GHashTable *rooms);
gboolean cm_sync_add_push_rules (CmSyncAnswer *answer, GError **error);

/* For the joined rooms of the answer in which that changed since the request's token. */
void cm_sync_add_typing (CmSyncAnswer *answer);
void cm_sync_room_add_typing (const CmSyncAnswer *answer, CmSyncRoom *room);

gboolean cm_sync_add_presence (CmSyncAnswer *answer, GError **error);
/* Messages to the device (those that the request acknowledges are deleted), changed device lists,
 * key counts. */
gboolean cm_sync_add_encryption (CmSyncAnswer *answer, GError **error);
/* Of it, the last. */
gboolean cm_sync_add_key_counts (CmSyncAnswer *answer, GError **error);

G_END_DECLS
