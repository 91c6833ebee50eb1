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

/* @may_ask: else it is to fail at once, and to wait for nothing. */
typedef void (*CmRemoteWork) (gpointer data, gboolean may_ask);

/* Runs @work once, on one of the threads that may wait for other servers: for @user_id (nullable:
 * for nobody here), who asks, and for @server, which is asked, only so many are at work at a time,
 * and of the rest only so much waits. Of what may not wait it runs at once, on this thread, to
 * fail.
 */
void cm_remote_keys_run (CmRemoteKeys *keys, const char *user_id, const char *server,
                         CmRemoteWork work, gpointer data);
/* TRUE when the node is ending: whatever still waits should fail at once. */
gboolean cm_remote_keys_ending (CmRemoteKeys *keys);

G_END_DECLS
