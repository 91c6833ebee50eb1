/* Messages to devices of other servers' users, on their way out: measured as those that stay here
 * are, and put into m.direct_to_device EDUs of a bounded size (server-server, "Send-to-device
 * messaging"). */
#pragma once

#include "crypto/json.h"
#include "schema/write.h"

G_BEGIN_DECLS

typedef struct _CmDirectToDevice CmDirectToDevice;

/* All is borrowed, as is what is put in, until it is freed. */
CmDirectToDevice *cm_direct_to_device_new (CmWrite *write, const char *sender, const char *type);
void cm_direct_to_device_free (CmDirectToDevice *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmDirectToDevice, cm_direct_to_device_free)

/* Takes the messages for one user, by device; each user once. CM_ERROR_TOO_LARGE for a message
 * larger than an event may be, and for too many servers. */
gboolean cm_direct_to_device_put (CmDirectToDevice *self, const char *user_id,
                                  const CmJson *by_device, GError **error);
/* Adds to the write what was put in. */
void cm_direct_to_device_end (CmDirectToDevice *self);

G_END_DECLS
