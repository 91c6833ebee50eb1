/* What the rooms of the participant share: who it is, and its Olm account. */
#pragma once

#include "crypto/olm/account.h"
#include "schema/db.h"
#include "server/participant/participant.h"
#include "server/router/ask.h"

G_BEGIN_DECLS

typedef struct _CmPeers CmPeers;

struct _CmParticipant {
  CmNode *node;
  char *user_id;
  char *device_id;
  CmAsker asker;

  /* Guards the account and all sessions: whatever encrypts or decrypts holds it. Asking others is
   * done without it where that can take long. */
  GRecMutex crypto;
  CmOlmAccount *account;
  CmPeers *peers;
  gint64 fallback_made_us; /* monotonic; 0 until the first */
  GHashTable *mended; /* curve25519 key of a device -> when its session was replaced (gint64 *) */

  GMutex listeners_lock;
  GPtrArray *listeners; /* of Listener */
  guint last_handle;

  GPtrArray *undecrypted; /* of Waiting events, of the sync thread only */
  char *since;
  GThread *thread;
  gint stopping; /* atomic */
};

/* "participant:USER:what": what a sealed secret is bound to. */
char *cm_participant_context (const CmParticipant *participant, const char *what);
/* Seals and stores the account: after every change of it, before the change shows. */
gboolean cm_participant_store_account (CmParticipant *participant, CmDb *db, GError **error);
/* Uploads what is not published yet, and makes new one-time keys when @count (those that the server
 * holds) is low. */
gboolean cm_participant_upload_keys (CmParticipant *participant, gint64 count,
                                     gboolean fallback_used, GError **error);

/* PUT sendToDevice with @messages: {user: {device: content}}. */
gboolean cm_participant_send_to_devices (CmParticipant *participant, const char *type,
                                         const CmJson *messages, GError **error);

G_END_DECLS
