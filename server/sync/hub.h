/* Who waits for what: long polls that wake when a position concerns their user, and the newest changes of each user in memory. */
#pragma once

#include "schema/committer.h"
#include "server/http/call.h"
#include "server/node.h"

G_BEGIN_DECLS

CmSyncHub *cm_sync_hub_new (CmNode *node);
void cm_sync_hub_free (CmSyncHub *hub);

/* The committer's listener: publishes what a write concerns. */
void cm_sync_hub_published (const CmWrite *write, gint64 position, gpointer hub);
/* Something in memory changed (typing, presence) for everybody in a room, or for one user. */
void cm_sync_hub_wake_room (CmSyncHub *hub, const char *room_id);
void cm_sync_hub_wake_user (CmSyncHub *hub, const char *user_id);
/* A token was revoked, or an account deactivated: its open polls end with M_UNKNOWN_TOKEN. @device_id NULL: all devices. */
void cm_sync_hub_drop (CmSyncHub *hub, const char *user_id, const char *device_id);

/* For other things that wait for a user's news (the participant). Blocks at most @timeout_ms; the newest position. */
gint64 cm_sync_hub_wait (CmSyncHub *hub, const char *user_id, gint64 after, guint timeout_ms);

G_END_DECLS
