#include "server/rooms/guests.h"

#include "federation/append.h"
#include "schema/membership.h"

#include <string.h>

struct _CmGuestWatch {
  CmNode *node;
  GMutex mutex;
  CmLanes *lanes;
};

gboolean
cm_guests_may_join (const CmRoomView *view)
{
  g_autoptr (CmEvent) access = cm_room_state_event (view, "m.room.guest_access", "", NULL);

  return access != NULL &&
         g_strcmp0 (cm_json_get_text (access->content, "guest_access"), "can_join") == 0;
}

static char **
find_guests (CmNode *node, const CmRoomView *view, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  return db != NULL ? cm_membership_guests (db, view->room, error) : NULL;
}

static gboolean
have_guests_leave (CmNode *node, CmRoom *room, GError **error)
{
  static const char leave[] = "{\"membership\":\"leave\"}";
  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_auto (GStrv) guests = NULL;

  if (cm_guests_may_join (view))
    return TRUE;
  guests = find_guests (node, view, error);
  g_autoptr (CmJsonDoc) content = cm_json_parse (leave, strlen (leave), NULL);
  for (gsize i = 0; guests != NULL && guests[i] != NULL; i++) {
    CmDraft draft = { .type = "m.room.member",
                      .state_key = guests[i],
                      .sender = guests[i],
                      .content = cm_json_doc_root (content) };
    g_autoptr (CmEvent) event = cm_room_append_one (room, &draft, error);
    if (event == NULL)
      return FALSE;
  }
  return guests != NULL;
}

typedef struct {
  CmNode *node;
  char *room_id;
} Review;

static void
review (gpointer data)
{
  Review *work = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRoom) room = cm_rooms_get (work->node->rooms, work->room_id, &error);

  if (room == NULL || !have_guests_leave (work->node, room, &error))
    g_warning ("Could not have the guests leave %s: %s", work->room_id, error->message);
  g_free (work->room_id);
  g_free (work);
}

static void
look_through (CmGuestWatch *watch, const char *room_id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&watch->mutex);

  if (watch->lanes == NULL)
    return;
  Review *work = g_new0 (Review, 1);
  work->node = watch->node;
  work->room_id = g_strdup (room_id);
  if (cm_lanes_push (watch->lanes, CM_LANE_BACKGROUND, review, work))
    return;
  g_warning ("Too busy to look through the guests of %s", room_id);
  g_free (work->room_id);
  g_free (work);
}

static void
committed (const CmWrite *write, gint64 position, gpointer data)
{
  const GPtrArray *events = cm_write_attached (write, "events");

  /* A new room has no guests yet. */
  if (events == NULL || events->len == 0 || cm_event_is (events->pdata[0], "m.room.create", ""))
    return;
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = events->pdata[i];
    if (cm_event_is (event, "m.room.guest_access", ""))
      look_through (data, event->room_id);
  }
}

CmGuestWatch *
cm_guest_watch_new (CmNode *node)
{
  CmGuestWatch *watch = g_new0 (CmGuestWatch, 1);

  watch->node = node;
  g_mutex_init (&watch->mutex);
  cm_committer_listen (node->committer, committed, watch);
  return watch;
}

void
cm_guest_watch_free (CmGuestWatch *watch)
{
  if (watch == NULL)
    return;
  g_mutex_clear (&watch->mutex);
  g_free (watch);
}

void
cm_guest_watch_set_lanes (CmGuestWatch *watch, CmLanes *lanes)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&watch->mutex);

  watch->lanes = lanes;
}
