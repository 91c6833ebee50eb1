/* Devices of other servers' users. They are asked for when a client wants them, or when news of
 * them do not follow on what is known; one request a user at a time, which all who want it share,
 * and the client's back-off for servers that fail. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

typedef struct _CmRemoteKeys CmRemoteKeys;

CmRemoteKeys *cm_remote_keys_new (CmNode *node);
/* Waits for what runs. */
void cm_remote_keys_free (CmRemoteKeys *keys);

/* Asks the user's server for all of his devices and keeps them. Blocking, and no connection may be
 * held. */
gboolean
cm_remote_keys_fetch (CmRemoteKeys *keys, const char *user_id, guint timeout_ms, GError **error);
/* The same soon, in the background; not again within a minute for the same user: whoever then asks
 * for the keys fetches them. */
void cm_remote_keys_resync (CmRemoteKeys *keys, const char *user_id);

/* Runs @func on one of the threads that may wait for other servers. */
void cm_remote_keys_run (CmRemoteKeys *keys, GFunc func, gpointer data);
/* TRUE when the node is ending: whatever still waits should fail at once. */
gboolean cm_remote_keys_ending (CmRemoteKeys *keys);

G_END_DECLS
