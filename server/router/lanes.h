/* Bounded pools of worker threads. A full queue refuses (CM_ERROR_UNAVAILABLE for calls) rather
 * than grow without end. */
#pragma once

#include "server/router/route.h"

G_BEGIN_DECLS

typedef struct _CmLanes CmLanes;
typedef void (*CmWork) (gpointer data);

CmLanes *cm_lanes_new (const guint threads[CM_LANE_LAST]);
/* Waits for what runs and is queued, at most a few seconds, then ends. FALSE when a thread is still
 * at work: what that stands on must stay. */
gboolean cm_lanes_free (CmLanes *lanes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmLanes, cm_lanes_free)

/* The same, but of the work that is done for one @key no more than a share of the lane's threads is
 * at it at a time; the rest waits, so that nobody takes the lane from everybody else by having this
 * server ask others that do not answer. Of one key only so much may wait. */
gboolean
cm_lanes_push_fair (CmLanes *lanes, CmLane lane, const char *key, CmWork work, gpointer data);
/* FALSE when the lane is full; then @work is not run and @data is the caller's still. */
gboolean cm_lanes_push (CmLanes *lanes, CmLane lane, CmWork work, gpointer data);

G_END_DECLS
