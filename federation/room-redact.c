/* rooms/v3 and later, "Handling redactions": a redaction takes effect once it and its target are
 * both known, in the same room, and its sender has the level or comes from the target's server.
 * Until then clients do not see it. What is stored stays as it was signed; redacted_by has it
 * served in its pruned form from then on. A redaction that is itself redacted keeps its effect. */
#include "federation/room-private.h"

#include "crypto/id.h"

#include <string.h>

static const CmSql sql_apply = {
  "redaction-apply",
  "UPDATE event SET redacted_by = $2, flags = flags | 8 WHERE id = $1 AND redacted_by IS NULL",
};

static const CmSql sql_pend = {
  "redaction-pend",
  "INSERT INTO pending_redaction (target_event_id, redaction) VALUES ($1, $2) "
  "ON CONFLICT DO NOTHING",
};

static const CmSql sql_pending = {
  "redaction-pending",
  "SELECT target_event_id, redaction FROM pending_redaction WHERE target_event_id = ANY ($1) "
  "ORDER BY redaction",
};

static const CmSql sql_reveal = {
  "redaction-reveal",
  "UPDATE event SET position = $2 WHERE id = $1 AND position IS NULL",
};

static const CmSql sql_settled = {
  "redaction-settled",
  "DELETE FROM pending_redaction WHERE target_event_id = $1",
};

/* How many pending redactions are remembered until table pending_redaction has them; more are
 * forgotten all at once, by when the oldest of them were committed long ago. */
#define MAX_QUEUED 4096

/* FALSE only when it could not be found out. */
static gboolean
has_level (CmRooms *rooms, const char *user_id, const CmStateMap *state, gboolean *has,
           GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) power = cm_rooms_event_in (rooms, state, "m.room.power_levels", "", &failure);
  g_autoptr (CmEvent) create =
      failure == NULL ? cm_rooms_event_in (rooms, state, "m.room.create", "", &failure) : NULL;
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  *has = cm_power_of_user (power, create, user_id) >= cm_power_level (power, "redact");
  return TRUE;
}

/* The first redaction stays the reason. */
static void
apply (CmRoomWrite *write, const CmEvent *redaction, CmEvent *target)
{
  for (guint i = 0; i < write->targets->len; i++) {
    if (((CmEvent *) write->targets->pdata[i])->number == target->number)
      return;
  }
  cm_write_add (write->write, &sql_apply,
                CM_ARGS (CM_INT (target->number), CM_INT (redaction->number)));
  g_ptr_array_add (write->targets, cm_event_ref (target));
  g_ptr_array_add (write->reasons, g_strdup (redaction->event_id));
}

/* CVE-2024-6302. @state: before @redaction. */
static gboolean
apply_if_allowed (CmRoomWrite *write, const CmEvent *redaction, CmEvent *target,
                  const CmStateMap *state, gboolean *allowed, GError **error)
{
  *allowed = FALSE;
  if (strcmp (redaction->room_id, target->room_id) != 0)
    return TRUE;
  *allowed = g_strcmp0 (cm_id_domain (redaction->sender), cm_id_domain (target->sender)) == 0;
  if (!*allowed && !has_level (write->room->rooms, redaction->sender, state, allowed, error))
    return FALSE;
  if (*allowed && (target->flags & CM_EVENT_REDACTED) == 0)
    apply (write, redaction, target);
  return TRUE;
}

static void
pend (CmRoomWrite *write, const CmEvent *redaction)
{
  GHashTable *queued = write->room->pending;

  cm_write_add (write->write, &sql_pend,
                CM_ARGS (CM_TEXT (redaction->redacts), CM_INT (redaction->number)));
  if (g_hash_table_size (queued) >= MAX_QUEUED)
    g_hash_table_remove_all (queued);
  g_hash_table_insert (queued, g_strdup (redaction->redacts),
                       g_memdup2 (&redaction->number, sizeof redaction->number));
}

gboolean
cm_room_write_redactions (CmRoomWrite *write, const CmEvent *event, const CmStateMap *state,
                          CmRedacts *does, GError **error)
{
  *does = CM_REDACTS_NOTHING;
  if (event->redacts == NULL || event->state_key != NULL)
    return TRUE;
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) target =
      cm_event_store_find (write->room->rooms->events, event->redacts, &failure);
  if (target == NULL && !g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND)) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  gboolean allowed = FALSE;
  if (target == NULL)
    pend (write, event);
  else if (!apply_if_allowed (write, event, target, state, &allowed, error))
    return FALSE;
  *does = target == NULL ? CM_REDACTS_LATER : allowed ? CM_REDACTS_NOW : CM_REDACTS_IN_VAIN;
  return TRUE;
}

/* Clients hear of a redaction that had to wait when it takes effect. Where the state has moved on
 * they do not: a timeline says by its events what the state was, and its target reaches them pruned
 * anyway. */
static void
reveal (CmRoomWrite *write, CmEvent *redaction)
{
  if (redaction->position != 0 || write->view == NULL ||
      redaction->state_after != write->view->state_id)
    return;
  gint64 offset = cm_write_take_positions (write->write, 1);
  cm_write_add (write->write, &sql_reveal,
                CM_ARGS (CM_INT (redaction->number), CM_POSITION (offset)));
  g_ptr_array_add (write->events, cm_event_ref (redaction));
  g_array_append_val (write->offsets, offset);
}

static CmRows *
read_pending (CmRooms *rooms, const GPtrArray *events, GError **error)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new ();
  for (guint i = 0; i < events->len; i++)
    g_ptr_array_add (ids, ((CmEvent *) events->pdata[i])->event_id);
  g_ptr_array_add (ids, NULL);
  g_autoptr (CmDb) db = cm_pool_get (rooms->parts.pool, error);
  if (db == NULL)
    return NULL;
  return cm_db_query (db, &sql_pending, CM_ARGS (CM_TEXTS ((const char *const *) ids->pdata)),
                      error);
}

static gboolean
apply_pending (CmRoomWrite *write, gint64 number, const char *target_id, GError **error)
{
  CmRooms *rooms = write->room->rooms;
  g_autoptr (GPtrArray) redactions = cm_event_store_get_many (rooms->events, &number, 1, error);
  if (redactions == NULL)
    return FALSE;
  CmEvent *redaction = redactions->pdata[0];
  if (redaction == NULL) /* it was queued and its write failed */
    return TRUE;
  g_autoptr (CmEvent) target = cm_event_store_find (rooms->events, target_id, error);
  g_autoptr (CmStateMap) state =
      target != NULL ? cm_state_store_get (rooms->states, redaction->state_before, error) : NULL;
  gboolean allowed;
  if (state == NULL || !apply_if_allowed (write, redaction, target, state, &allowed, error))
    return FALSE;
  if (allowed)
    reveal (write, redaction);
  return TRUE;
}

static gboolean
apply_queued (CmRoomWrite *write, GError **error)
{
  GHashTable *queued = write->room->pending;
  for (guint i = 0; i < write->arrived->len; i++) {
    const char *event_id = ((CmEvent *) write->arrived->pdata[i])->event_id;
    const gint64 *number = g_hash_table_lookup (queued, event_id);
    if (number == NULL)
      continue;
    if (!apply_pending (write, *number, event_id, error))
      return FALSE;
    g_hash_table_remove (queued, event_id);
    cm_write_add (write->write, &sql_settled, CM_ARGS (CM_TEXT (event_id)));
  }
  return TRUE;
}

gboolean
cm_room_write_pending_redactions (CmRoomWrite *write, GError **error)
{
  if (write->arrived->len == 0)
    return TRUE;
  g_autoptr (CmRows) rows = read_pending (write->room->rooms, write->arrived, error);
  if (rows == NULL || !apply_queued (write, error))
    return FALSE;
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    const char *target_id = cm_rows_text (rows, i, 0);
    if (!apply_pending (write, cm_rows_integer (rows, i, 1), target_id, error))
      return FALSE;
    cm_write_add (write->write, &sql_settled, CM_ARGS (CM_TEXT (target_id)));
  }
  return TRUE;
}

gboolean
cm_room_check_own_redaction (CmRooms *rooms, const CmEvent *redaction, const CmStateMap *state,
                             GError **error)
{
  if (redaction->redacts == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, "A redaction must name its target");
    return FALSE;
  }
  g_autoptr (CmEvent) target = cm_event_store_find (rooms->events, redaction->redacts, error);
  if (target == NULL)
    return FALSE;
  if (strcmp (target->room_id, redaction->room_id) != 0 ||
      (target->flags & (CM_EVENT_OUTLIER | CM_EVENT_REJECTED)) != 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Event not found");
    return FALSE;
  }
  /* Pruned, these would leave a room without its version's creator or open to every server. */
  if (cm_event_is (target, "m.room.create", "") || cm_event_is (target, "m.room.server_acl", "")) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "This event cannot be redacted");
    return FALSE;
  }
  /* Other servers trust this one to say which of its users may: only the sender himself, or one
   * with the level. */
  gboolean allowed = strcmp (redaction->sender, target->sender) == 0;
  if (!allowed && !has_level (rooms, redaction->sender, state, &allowed, error))
    return FALSE;
  if (!allowed)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "You may not redact this event");
  return allowed;
}
