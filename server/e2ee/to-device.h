/* Mailboxes: messages to devices, kept until the device's next sync acknowledges them. */
#pragma once

#include "crypto/json.h"
#include "schema/write.h"
#include "server/node.h"

G_BEGIN_DECLS

#define CM_TO_DEVICE_MAX_BYTES 65536

/* (transfer full) a message as its device's sync shows it. CM_ERROR_BAD_JSON when one of @device_id
 * and @content is not what it must be, CM_ERROR_TOO_LARGE above CM_TO_DEVICE_MAX_BYTES. */
GBytes *cm_to_device_message (const char *sender, const char *type, const char *device_id,
                              const CmJson *content, GError **error);
/* Adds one message to @write for a device of a local user, or "*" for all of them. */
gboolean cm_to_device_put (CmNode *node, CmWrite *write, const char *sender, const char *type,
                           const char *user_id, const char *device_id, const CmJson *content,
                           GError **error);
/* Up to @limit messages after @from and up to @to: (transfer full) an array of GBytes; @last gets
 * the position they reach. */
GPtrArray *cm_to_device_read (CmNode *node, const char *user_id, const char *device_id, gint64 from,
                              gint64 to, guint limit, gint64 *last, GError **error);
/* Deletes what was acknowledged: everything up to @position. */
gboolean cm_to_device_acknowledge (CmNode *node, const char *user_id, const char *device_id,
                                   gint64 position, GError **error);

G_END_DECLS
