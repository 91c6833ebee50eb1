/* Whose devices and cross-signing keys changed, told to everybody who shares a room, here and elsewhere. */
#pragma once

#include "schema/write.h"
#include "server/node.h"

G_BEGIN_DECLS

/* Adds to @write that a local user's devices or keys changed: position, topics of all local users who share a room, EDUs for the servers that do.
 * @device_id NULL: cross-signing keys only. Reads the database: call before the write is submitted, on a worker. */
gboolean cm_device_lists_changed (CmNode *node, CmWrite *write, const char *user_id, const char *device_id, GError **error);
/* Adds to @write everything that goes when a device is deleted: keys, one-time keys, mailbox, and the change. */
gboolean cm_device_lists_device_deleted (CmNode *node, CmWrite *write, const char *user_id, const char *device_id, GError **error);

/* device_lists of sync and GET /keys/changes: @changed and @left (of char *, transfer container) between two positions, those who share a room
 * with @user_id, or no longer do. */
gboolean cm_device_lists_between (CmNode *node, const char *user_id, gint64 from, gint64 to, GPtrArray **changed, GPtrArray **left, GError **error);

/* device_one_time_keys_count and device_unused_fallback_key_types. */
gboolean cm_device_key_counts (CmNode *node, const char *user_id, const char *device_id, GHashTable **counts, GPtrArray **unused_fallback,
                               GError **error);

G_END_DECLS
