/* One event loop of the edge: a thread, a GMainContext, and one GSource that watches the
 * descriptors which matter: each daemon's epoll set, the hang-ups, and an eventfd for answers from
 * other threads. */
#pragma once

#include "server/http/call-private.h"
#include "server/http/wheel.h"

G_BEGIN_DECLS

struct MHD_Daemon;

typedef struct _CmPort CmPort;

/* One listener on one loop. */
typedef struct {
  CmLoop *loop;       /* not a reference: the loop owns this */
  const CmPort *port; /* the server's */
  struct MHD_Daemon *mhd;
  gpointer tag;     /* of the epoll descriptor in the loop's source */
  gboolean resumed; /* must be run although its descriptor may be quiet */
} CmDaemon;

struct _CmLoop {
  gint refs;
  GThread *thread;
  GMainContext *context;
  GSource *source;
  CmWheel *wheel;
  int wake_fd, hangup_fd;
  gpointer wake_tag, hangup_tag;
  gint asleep;    /* atomic: a post must wake the thread */
  CmCall *posted; /* atomic: a stack */
  gint closed;    /* atomic: the thread is ending */

  /* Of the thread only. */
  GPtrArray *daemons; /* of CmDaemon */
  CmConn *conns;
  guint n_calls; /* whose head has begun and whose answer is not yet sent */
  gint64 sweep_us;
  gboolean pending; /* a daemon has something to do at once */
  gboolean closing;
  gint64 closing_us;
};

CmLoop *cm_loop_new (guint index);
CmLoop *cm_loop_ref (CmLoop *loop);
void cm_loop_unref (CmLoop *loop);

/* Takes @daemon into service; its listening socket is in @daemon->mhd. */
void cm_loop_add_daemon (CmLoop *loop, CmDaemon *daemon);

/* Whether this is the loop's thread. */
gboolean cm_loop_is_here (const CmLoop *loop);

/* From any thread: has the loop look at @call, for its answer or because its client is gone. */
void cm_loop_post (CmLoop *loop, CmCall *call);

/* From any thread. */
CmTimer *cm_loop_timer (CmLoop *loop, guint delay_ms, GSourceFunc func, gpointer data);

/* Begins to close: no more accepting, held calls are told. */
void cm_loop_close (CmLoop *loop, guint timeout_ms);
/* Waits for the end of the thread. */
void cm_loop_join (CmLoop *loop);

G_END_DECLS
