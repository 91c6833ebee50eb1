/* Who waits for what, and what is new. One thread takes every committed write in order: it counts
 * what is unread, keeps the newest changes of the rooms in use in memory, and wakes the held calls
 * of those whom a change concerns. */
#pragma once

#include "schema/committer.h"
#include "server/http/call.h"
#include "server/node.h"
#include "server/sync/answer.h"
#include "server/sync/lazy.h"

G_BEGIN_DECLS

/* After cm_rooms_new, whose listener must come first. */
CmSyncHub *cm_sync_hub_new (CmNode *node, GError **error);
/* Its thread, which needs lanes and edge. */
void cm_sync_hub_start (CmSyncHub *hub);
/* From now on no call is held, and those that are get their answers: for the end. */
void cm_sync_hub_hold_none (CmSyncHub *hub);
/* Finishes what was published, and writes the counters. When no calls come any more. */
void cm_sync_hub_stop (CmSyncHub *hub);
void cm_sync_hub_free (CmSyncHub *hub);

/* The committer's listener. */
void cm_sync_hub_published (const CmWrite *write, gint64 position, gpointer hub);
/* Something in memory changed (typing) for everybody in a room, or (presence) for one user. */
void cm_sync_hub_wake_room (CmSyncHub *hub, const char *room_id);
void cm_sync_hub_wake_user (CmSyncHub *hub, const char *user_id);
/* A token was revoked, or an account deactivated: its open polls end with M_UNKNOWN_TOKEN.
 * @device_id NULL: all devices. */
void cm_sync_hub_drop (CmSyncHub *hub, const char *user_id, const char *device_id);
/* The user's pushers changed. */
void cm_sync_hub_forget_profile (CmSyncHub *hub, const char *user_id);

/* For other things that wait for a user's news (the participant). Blocks at most @timeout_ms; the
 * newest position. */
gint64 cm_sync_hub_wait (CmSyncHub *hub, const char *user_id, gint64 after, guint timeout_ms);

/* Waits until everything that is committed or changed in memory by now went through the hub; the
 * position it stands at, which is how far an answer may read. */
gint64 cm_sync_hub_settle (CmSyncHub *hub);
gboolean cm_sync_hub_is_polling (CmSyncHub *hub, const char *user_id);
CmLazyMembers *cm_sync_hub_lazy (CmSyncHub *hub);
/* Puts the user's counters in a room in place of @counts (of CmSyncCount), if they are in memory.
 */
gboolean
cm_sync_hub_unread (CmSyncHub *hub, const char *room_id, const char *user_id, GArray *counts);

/* Fills in @answer from memory. FALSE, without @error too, when memory does not have all of it:
 * then
 * @answer is of no use. */
gboolean cm_sync_hub_recent (CmSyncHub *hub, CmSyncAnswer *answer, GError **error);
/* What the database said of the user, for the next time. */
void cm_sync_hub_prime (CmSyncHub *hub, const CmSyncAnswer *answer);

/* GET /sync: takes @request (transfer full); answers now or later. */
void cm_sync_hub_serve (CmSyncHub *hub, CmCall *call, CmSyncRequest *request);

G_END_DECLS
