#include "server/rooms/follow-up.h"

#include "server/rooms/guests.h"
#include "server/rooms/newcomer.h"
#include "server/rooms/successor.h"

#include <string.h>

struct _CmFollowUps {
  CmNode *node;
  GMutex mutex;
  CmLanes *lanes;
};

/* @concerns (nullable) must be quick: it runs on the committer's thread. */
static const struct {
  const char *type;
  gboolean (*concerns) (CmNode *node, const CmEvent *event);
  gboolean (*done) (CmNode *node, const CmEvent *event, GError **error);
} follow_ups[] = {
  { "m.room.guest_access", NULL, cm_guests_review },
  { "m.room.member", cm_successor_concerns, cm_successor_entered },
  { "m.room.member", cm_newcomer_concerns, cm_newcomer_entered },
};

typedef struct {
  CmNode *node;
  CmEvent *event;
  guint which;
} Job;

static void
job_free (Job *job)
{
  cm_event_unref (job->event);
  g_free (job);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Job, job_free)

static void
work (gpointer data)
{
  g_autoptr (Job) job = data;
  g_autoptr (GError) error = NULL;

  if (!follow_ups[job->which].done (job->node, job->event, &error))
    g_warning ("What follows %s in %s was not done: %s", job->event->event_id, job->event->room_id,
               error->message);
}

static void
follow (CmFollowUps *ups, CmEvent *event, guint which)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ups->mutex);
  g_autoptr (Job) job = g_new0 (Job, 1);

  job->node = ups->node;
  job->event = cm_event_ref (event);
  job->which = which;
  if (ups->lanes == NULL)
    return;
  if (cm_lanes_push (ups->lanes, CM_LANE_BACKGROUND, work, job))
    g_steal_pointer (&job);
  else
    g_warning ("Too busy for what follows %s in %s", event->event_id, event->room_id);
}

static void
committed (const CmWrite *write, gint64 position, gpointer data)
{
  CmFollowUps *ups = data;
  const GPtrArray *events = cm_write_attached (write, "events");

  for (guint i = 0; events != NULL && i < events->len; i++) {
    CmEvent *event = events->pdata[i];
    for (guint f = 0; event->state_key != NULL && f < G_N_ELEMENTS (follow_ups); f++) {
      if (strcmp (event->type, follow_ups[f].type) == 0 &&
          (follow_ups[f].concerns == NULL || follow_ups[f].concerns (ups->node, event)))
        follow (ups, event, f);
    }
  }
}

CmFollowUps *
cm_follow_ups_new (CmNode *node)
{
  CmFollowUps *ups = g_new0 (CmFollowUps, 1);

  ups->node = node;
  g_mutex_init (&ups->mutex);
  cm_committer_listen (node->committer, committed, ups);
  return ups;
}

void
cm_follow_ups_free (CmFollowUps *ups)
{
  if (ups == NULL)
    return;
  g_mutex_clear (&ups->mutex);
  g_free (ups);
}

void
cm_follow_ups_set_lanes (CmFollowUps *ups, CmLanes *lanes)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ups->mutex);

  ups->lanes = lanes;
}
