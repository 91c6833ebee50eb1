/* Whose devices and cross-signing keys changed, told to everybody who shares a room, here and
 * elsewhere. These read the database and add to a write: call them on a worker, before the write is
 * submitted. */
#pragma once

#include "crypto/json-writer.h"
#include "schema/write.h"
#include "server/node.h"

G_BEGIN_DECLS

/* Adds to @write that a device of a local user changed (@keys: those that the write stores, NULL
 * for those that are there): the position, the topics of all local users who share a room, an EDU
 * for the servers that do. */
gboolean cm_device_lists_changed (CmNode *node, CmWrite *write, const char *user_id,
                                  const char *device_id, GBytes *keys, GError **error);
/* As that, for a device that the write gives another name. */
gboolean cm_device_lists_renamed (CmNode *node, CmWrite *write, const char *user_id,
                                  const char *device_id, const char *display_name, GError **error);
/* Adds to @write everything that goes when a device is deleted: keys, one-time keys, mailbox, and
 * the change. */
gboolean cm_device_lists_device_deleted (CmNode *node, CmWrite *write, const char *user_id,
                                         const char *device_id, GError **error);
/* Adds to @write that a local user's cross-signing keys changed. @master, @self_signing: what other
 * servers may know; nullable. */
gboolean
cm_device_lists_signing_keys_changed (CmNode *node, CmWrite *write, const char *user_id,
                                      GBytes *master, GBytes *self_signing, GError **error);
/* Adds to @write that another server's user changed devices: for the local users who share a room.
 */
gboolean
cm_device_lists_remote_changed (CmNode *node, CmWrite *write, const char *user_id, GError **error);

/* device_lists of sync and GET /keys/changes: @changed and @left (strv, transfer full) between two
 * positions: those who share a room with @user_id, or no longer do. */
gboolean cm_device_lists_between (CmNode *node, const char *user_id, gint64 from, gint64 to,
                                  char ***changed, char ***left, GError **error);

/* Writes device_one_time_keys_count (always with signed_curve25519) and
 * device_unused_fallback_key_types as members of the open object. */
gboolean cm_device_key_counts_put (CmNode *node, CmJsonWriter *writer, const char *user_id,
                                   const char *device_id, GError **error);
/* The counts alone (rows of cm_one_time_keys_count), as members of the open object. */
void cm_device_key_counts_write (CmJsonWriter *writer, const CmRows *counts);

G_END_DECLS
