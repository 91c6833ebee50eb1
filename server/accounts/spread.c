#include "server/accounts/spread.h"

#include "federation/handshake.h"
#include "schema/ids.h"
#include "schema/membership.h"
#include "server/rooms/enter.h"
#include "server/rooms/member-content.h"
#include "server/router/lanes.h"

struct _CmSpread {
  CmNode *node;
  GMutex mutex;
  GHashTable *running; /* user id -> whether the profile changed since the run began */
};

typedef struct {
  CmSpread *spread;
  char *user_id;
} Job;

static void
job_free (Job *job)
{
  g_free (job->user_id);
  g_free (job);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Job, job_free)

CmSpread *
cm_spread_new (CmNode *node)
{
  CmSpread *spread = g_new0 (CmSpread, 1);
  spread->node = node;
  g_mutex_init (&spread->mutex);
  spread->running = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return spread;
}

void
cm_spread_free (CmSpread *spread)
{
  if (!spread)
    return;
  g_hash_table_unref (spread->running);
  g_mutex_clear (&spread->mutex);
  g_free (spread);
}

/* (transfer full) the rooms in which the user has this membership; NULL: those of other servers
 * that he is invited to or knocks at. */
static char **
rooms_of (CmNode *node, const char *user_id, const char *membership, GError **error)
{
  gint64 user = cm_sym (node->ids, user_id, error);
  g_autoptr (CmDb) db = user != 0 ? cm_pool_get (node->pool, error) : NULL;
  if (!db)
    return NULL;
  return membership ? cm_membership_rooms (db, user, membership, error)
                    : cm_membership_outside_rooms (db, user, error);
}

/* --- Names and pictures --- */

static gboolean
tell_room (CmNode *node, const char *room_id, const char *user_id, GError **error)
{
  g_autoptr (CmRoom) room = cm_rooms_get (node->rooms, room_id, error);
  if (!room)
    return FALSE;
  g_autoptr (CmRoomView) view = cm_room_view (room);
  return cm_room_membership (view, user_id) != CM_MEMBERSHIP_JOIN ||
         cm_member_append_own (node, room, user_id, "join", error);
}

static void
tell_rooms (CmNode *node, const char *user_id)
{
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) room_ids = rooms_of (node, user_id, "join", &error);
  if (!room_ids)
    g_warning ("Cannot tell the rooms of %s of a new profile: %s", user_id, error->message);
  for (gsize i = 0; room_ids && room_ids[i]; i++) {
    g_autoptr (GError) failure = NULL;
    if (!tell_room (node, room_ids[i], user_id, &failure))
      g_info ("Cannot tell %s of %s's new profile: %s", room_ids[i], user_id, failure->message);
  }
}

/* FALSE: the profile changed meanwhile. */
static gboolean
end_run (CmSpread *spread, const char *user_id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&spread->mutex);
  if (GPOINTER_TO_INT (g_hash_table_lookup (spread->running, user_id))) {
    g_hash_table_insert (spread->running, g_strdup (user_id), GINT_TO_POINTER (FALSE));
    return FALSE;
  }
  g_hash_table_remove (spread->running, user_id);
  return TRUE;
}

static void
run (gpointer data)
{
  g_autoptr (Job) job = data;
  do
    tell_rooms (job->spread->node, job->user_id);
  while (!end_run (job->spread, job->user_id));
}

void
cm_spread_profile (CmSpread *spread, const char *user_id)
{
  g_mutex_lock (&spread->mutex);
  gboolean runs = g_hash_table_contains (spread->running, user_id);
  g_hash_table_insert (spread->running, g_strdup (user_id), GINT_TO_POINTER (runs));
  g_mutex_unlock (&spread->mutex);
  if (runs)
    return;
  Job *job = g_new0 (Job, 1);
  job->spread = spread;
  job->user_id = g_strdup (user_id);
  if (!cm_lanes_push (spread->node->lanes, CM_LANE_BACKGROUND, run, job))
    run (job);
}

/* --- Leaving --- */

static gboolean
leave_room (CmNode *node, const char *room_id, const char *user_id, GError **error)
{
  g_autoptr (CmRoom) room = cm_rooms_get (node->rooms, room_id, NULL);
  g_autoptr (CmRoomView) view = room ? cm_room_view (room) : NULL;
  if (view && cm_room_is_live (view))
    return cm_member_append_own (node, room, user_id, "leave", error);
  return cm_handshake_leave (node->intake, room_id, user_id, NULL, error);
}

gboolean
cm_spread_leave_all (CmSpread *spread, const char *user_id, GError **error)
{
  static const char *const inside[] = { "join", "invite", "knock", NULL };
  gboolean all = TRUE;
  for (gsize m = 0; m < G_N_ELEMENTS (inside); m++) {
    g_auto (GStrv) room_ids = rooms_of (spread->node, user_id, inside[m], error);
    if (!room_ids)
      return FALSE;
    for (gsize i = 0; room_ids[i]; i++) {
      g_autoptr (GError) failure = NULL;
      if (leave_room (spread->node, room_ids[i], user_id, &failure))
        continue;
      g_info ("%s cannot leave %s: %s", user_id, room_ids[i], failure->message);
      all = FALSE;
    }
  }
  if (!all)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "Some rooms could not be left");
  return all;
}
