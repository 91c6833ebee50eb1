/* Branches of a room's graph: its forward extremities, which are kept few (class
 * fed-dos-extremities). With every event the states after all of them are resolved, and a server
 * that builds on an old event again and again makes as many as it likes. None may be left out: a
 * ban that stands on it would be undone. So before there are too many, an event of this node's own
 * is put on top of them all, as the next message of its users would be, and the state remains what
 * the graph says.
 *
 * It goes to nobody by itself: where every server answered many branches so, each of these events
 * would be one more branch for all the others. Whoever gets a later event that stands on it asks
 * for it. */
#include "federation/auth-rules.h"
#include "federation/draft.h"
#include "federation/room-private.h"

#include "crypto/id.h"

#include <string.h>

/* Servers that talk at the same time make a few; state resolution is quick with so many. */
#define MAX_BRANCHES 10

GArray *
cm_branches_after (const CmRoomView *view, const CmEvent *event)
{
  GArray *next = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; i < view->extremities->len; i++) {
    gint64 old = g_array_index (view->extremities, gint64, i);
    gboolean covered = FALSE;
    for (guint j = 0; j < event->prev->len && !covered; j++)
      covered = g_array_index (event->prev, gint64, j) == old;
    if (!covered)
      g_array_append_val (next, old);
  }
  g_array_append_val (next, event->number);
  return next;
}

/* @joined: FALSE when nobody here may. */
static gboolean
join (CmRoomWrite *write, gboolean *joined, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) dummy = NULL;
  g_autoptr (CmEvent) power =
      cm_room_state_event (write->view, "m.room.power_levels", "", &failure);
  gint64 level = cm_power_to_send (power, CM_DUMMY_EVENT, FALSE);
  g_autofree char *deputy =
      failure == NULL ? cm_room_find_deputy (write->view, level, &failure) : NULL;
  g_autoptr (CmJsonDoc) nothing = deputy != NULL ? cm_json_parse ("{}", 2, &failure) : NULL;
  if (nothing != NULL) {
    const CmDraft draft = { .type = CM_DUMMY_EVENT,
                            .sender = deputy,
                            .content = cm_json_doc_root (nothing) };
    dummy = cm_draft_add (write, &draft, CM_STORE_QUIET, &failure);
  }
  *joined = dummy != NULL;
  if (failure == NULL || g_error_matches (failure, CM_ERROR, CM_ERROR_FORBIDDEN))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

/* How many of @branches, but the last, which is @event itself, are of its sender's server. */
static gboolean
count_share (const CmRoomWrite *write, const CmEvent *event, const GArray *branches, guint *count,
             GError **error)
{
  const char *server = cm_id_domain (event->sender);
  g_autoptr (GPtrArray) tips = cm_event_store_get_many (
      write->room->rooms->events, (const gint64 *) branches->data, branches->len - 1, error);
  *count = 0;
  if (tips == NULL)
    return FALSE;
  for (guint i = 0; i < tips->len; i++) {
    const CmEvent *tip = tips->pdata[i];
    if (tip != NULL && g_strcmp0 (cm_id_domain (tip->sender), server) == 0)
      ++*count;
  }
  return TRUE;
}

gboolean
cm_room_write_make_way (CmRoomWrite *write, const CmEvent *event, CmVerdict *verdict,
                        GError **error)
{
  g_autoptr (GArray) branches = cm_branches_after (write->view, event);
  gboolean joined, more = branches->len > write->view->extremities->len;
  guint share;
  if (branches->len <= MAX_BRANCHES)
    return TRUE;
  if (!join (write, &joined, error))
    return FALSE;
  if (joined || !more || cm_room_write_is_local (write, event->sender))
    return TRUE;
  if (!count_share (write, event, branches, &share, error))
    return FALSE;
  if (share >= MAX_BRANCHES)
    *verdict = CM_VERDICT_SOFT_FAILED;
  return TRUE;
}
