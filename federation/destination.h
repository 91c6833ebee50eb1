/* One destination of the outbound queues: what it has yet to be sent, and how it stands. Guarded by
 * the lock of CmDestinations, but for what only the thread that serves it touches. */
#pragma once

#include "federation/destination-private.h"

G_BEGIN_DECLS

typedef enum {
  CM_DESTINATION_IDLE,     /* nothing to send */
  CM_DESTINATION_QUEUED,   /* waits for a thread */
  CM_DESTINATION_SERVED,   /* by a thread, one at a time */
  CM_DESTINATION_SLEEPING, /* until wake_at */
} CmDestinationState;

/* How soon a destination is likely to let go of a thread. */
typedef enum {
  CM_STANDING_QUICK,    /* it answered quickly the last time */
  CM_STANDING_NEW,      /* nothing is known, or it failed and was heard from since */
  CM_STANDING_DOUBTFUL, /* it failed, or was slow not long ago */
  CM_N_STANDINGS,
} CmStanding;

typedef struct {
  char *server;
  CmDestinationState state;
  gint64 wake_at;       /* ms since 1970 */
  GArray *events;       /* of CmOutgoing, in order: known without asking the database */
  gboolean behind;      /* there may be more in the database than in events */
  gboolean stored_edus; /* there may be EDUs in the database */
  GPtrArray *ephemeral; /* of Ephemeral */

  /* The serving thread's own. */
  CmTransactionBatch *batch; /* not yet acknowledged; the same until it is */
  gint64 sent; /* the position of the last event that was acknowledged since the start */
  guint limit; /* how many items a transaction may have: fewer after one was refused as a whole */
  guint failures;       /* since the last success */
  gboolean quick;       /* the last time, in the last run too */
  gint64 doubted_until; /* monotonic: it was slow */
} CmDestination;

CmDestination *cm_destination_new (const char *server);
void cm_destination_free (CmDestination *destination);

void cm_destination_add_event (CmDestination *destination, gint64 position, gint64 event);
void cm_destination_add_ephemeral (CmDestination *destination, const char *key, GBytes *edu);
gboolean cm_destination_has_work (CmDestination *destination);
/* While it is not served. */
CmStanding cm_destination_standing (const CmDestination *destination);

/* What one transaction is to be made of, taken under the lock. */
typedef struct {
  gboolean behind;
  gboolean stored_edus;
  GArray *events;       /* of CmOutgoing */
  GPtrArray *ephemeral; /* of GBytes */
  guint limit;
} CmDestinationWork;

CmDestinationWork cm_destination_take_work (CmDestination *destination);
void cm_destination_work_clear (CmDestinationWork *work);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CmDestinationWork, cm_destination_work_clear)

/* A request to it took @took_us; @answered: whether there was an answer. */
void cm_destination_took (CmDestination *destination, gint64 took_us, gboolean answered);
/* batch was acknowledged: by the server, and in the database. */
void cm_destination_acknowledged (CmDestination *destination);
/* batch was refused for what is in it: TRUE when a smaller one is to be tried, FALSE when one item
 * is left, and is to be given up. */
gboolean cm_destination_refused (CmDestination *destination);
/* What a destination is served with. */
typedef struct {
  CmPool *pool;
  CmCommitter *committer;
  CmFedClient *client;
  const char *server_name; /* this server's */
  GMutex *lock;
} CmDestinationWorld;

/* Sends one transaction, without the lock. Returns until when to sleep then (ms since 1970), 0: not
 * at all. */
gint64 cm_destination_serve (CmDestination *destination, const CmDestinationWorld *world);

G_END_DECLS
