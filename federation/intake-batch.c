/* The events of a transaction, room by room: each on its own, all of a room in one write. */
#include "federation/intake-private.h"

#include "crypto/id.h"
#include "schema/inbound.h"

/* How often a write is made anew that lost a race. */
#define MAX_TRIES 5

/* So many events of a room may wait for their ancestors; a room that has more will be brought up to
 * date by later ones. */
#define MAX_PARKED 1000

void
cm_inbound_clear (CmInbound *inbound)
{
  g_clear_pointer (&inbound->event_id, g_free);
  g_clear_error (&inbound->error);
}

/* The events of one room in a transaction. */
typedef struct {
  CmIntake *intake;
  const char *origin;
  const char *room_id;
  const CmRoomVersion *version;
  GPtrArray *items;  /* of CmInbound (borrowed) that are still to be written */
  GPtrArray *events; /* of CmEvent: theirs */
  gboolean joining;  /* the room is not there yet */
  CmInboundFinish finish;
  gpointer data;
} Batch;

static void
batch_clear (Batch *batch)
{
  g_clear_pointer (&batch->items, g_ptr_array_unref);
  g_clear_pointer (&batch->events, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Batch, batch_clear)

static void
drop_item (Batch *batch, guint index)
{
  g_ptr_array_remove_index (batch->items, index);
  g_ptr_array_remove_index (batch->events, index);
}

/* Leaves those items in the batch that have an event. */
static void
drop_failed (Batch *batch)
{
  for (guint i = batch->items->len; i > 0; i--) {
    if (batch->events->pdata[i - 1] == NULL)
      drop_item (batch, i - 1);
  }
}

static void
fail_all (Batch *batch, const GError *error)
{
  for (guint i = 0; i < batch->items->len; i++) {
    CmInbound *item = batch->items->pdata[i];
    if (item->error == NULL)
      item->error = g_error_copy (error);
  }
  g_ptr_array_set_size (batch->items, 0);
  g_ptr_array_set_size (batch->events, 0);
}

static void
parse_items (Batch *batch)
{
  for (guint i = 0; i < batch->items->len; i++) {
    CmInbound *item = batch->items->pdata[i];
    CmEvent *event =
        cm_event_parse_of_room (batch->version, batch->room_id, item->json, &item->error);
    item->event_id = event != NULL ? g_strdup (event->event_id) : NULL;
    g_ptr_array_add (batch->events, event);
  }
  drop_failed (batch);
}

/* Takes those out of the batch that are in the graph already. */
static gboolean
drop_known (Batch *batch, GError **error)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new ();

  for (guint i = 0; i < batch->events->len; i++)
    g_ptr_array_add (ids, ((CmEvent *) batch->events->pdata[i])->event_id);
  g_autoptr (GPtrArray) known =
      cm_event_store_find_many (cm_rooms_events (batch->intake->parts.rooms),
                                (const char *const *) ids->pdata, ids->len, error);
  if (known == NULL)
    return FALSE;
  for (guint i = known->len; i > 0; i--) {
    const CmEvent *event = known->pdata[i - 1];
    if (event != NULL && (event->flags & CM_EVENT_OUTLIER) == 0)
      drop_item (batch, i - 1);
  }
  return TRUE;
}

/* The ACL holds for whoever brings an event and for whoever made it. */
static void
drop_shut_out (Batch *batch, const CmRoomView *view)
{
  for (guint i = batch->items->len; i > 0; i--) {
    CmInbound *item = batch->items->pdata[i - 1];
    const CmEvent *event = batch->events->pdata[i - 1];
    if (!cm_room_check_acl (view, cm_id_domain (event->sender), &item->error))
      drop_item (batch, i - 1);
  }
}

static void
verify_items (Batch *batch)
{
  g_autofree GError **errors = g_new0 (GError *, batch->items->len + 1);

  cm_intake_prove_all (batch->intake, batch->events, errors);
  for (guint i = 0; i < batch->items->len; i++)
    ((CmInbound *) batch->items->pdata[i])->error = errors[i];
  drop_failed (batch);
}

static void
park (Batch *batch, CmWrite *write, const CmEvent *event)
{
  cm_inbound_park (write, batch->origin, batch->room_id, event->event_id, event->bytes, MAX_PARKED);
}

static gboolean
is_outage (const GError *error)
{
  return g_error_matches (error, CM_ERROR, CM_ERROR_DATABASE) ||
         g_error_matches (error, CM_ERROR, CM_ERROR_UNAVAILABLE) ||
         g_error_matches (error, CM_ERROR, CM_ERROR_CONFLICT);
}

/* Judges and adds the batch's events, or parks them. An event that cannot be dealt with is taken
 * out with its error, and FALSE returned without @error: the write is spoiled, the others try anew.
 */
static gboolean
fill_write (Batch *batch, CmRoomWrite *write, gboolean *parked, GError **error)
{
  CmRooms *rooms = batch->intake->parts.rooms;

  for (guint i = 0; i < batch->events->len; i++) {
    g_autoptr (GPtrArray) missing_prev = NULL, missing_auth = NULL;
    g_autoptr (CmEvent) event = cm_event_renew (batch->events->pdata[i], error);
    g_autoptr (GError) failure = NULL;
    CmVerdict verdict;
    if (event == NULL || !cm_rooms_link (rooms, event, &missing_prev, &missing_auth, error))
      return FALSE;
    if (missing_prev->len > 0 || missing_auth->len > 0) {
      park (batch, cm_room_write_statements (write), event);
      *parked = TRUE;
      continue;
    }
    if (cm_room_write_live (write, event, NULL, 0, &verdict, &failure))
      continue;
    if (is_outage (failure)) {
      g_propagate_error (error, g_steal_pointer (&failure));
    } else {
      ((CmInbound *) batch->items->pdata[i])->error = g_steal_pointer (&failure);
      drop_item (batch, i);
    }
    return FALSE;
  }
  return TRUE;
}

/* TRUE when it is committed. Without @error: to be tried again. */
static gboolean
try_write (Batch *batch, gboolean *parked, GError **error)
{
  CmRooms *rooms = batch->intake->parts.rooms;
  g_autoptr (CmRoom) room = cm_rooms_get (rooms, batch->room_id, error);
  g_autoptr (CmRoomWrite) write = room != NULL ? cm_room_write_begin (room, NULL, error) : NULL;

  *parked = FALSE;
  if (write == NULL || !fill_write (batch, write, parked, error))
    return FALSE;
  if (batch->finish != NULL)
    batch->finish (cm_room_write_statements (write), batch->data);
  return cm_room_write_commit (g_steal_pointer (&write), error);
}

static gboolean
write_batch (Batch *batch, GError **error)
{
  for (guint tries = 1;;) {
    g_autoptr (GError) failure = NULL;
    gboolean parked;
    if (try_write (batch, &parked, &failure)) {
      if (parked)
        cm_parking_wake (batch->intake->parking, batch->origin);
      return TRUE;
    }
    if (failure == NULL)
      continue; /* with one event less */
    if (g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT) && tries++ < MAX_TRIES)
      continue;
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
}

/* Statements that have no room's write to go with. */
static gboolean
commit_alone (CmIntake *intake, CmWrite *write, GError **error)
{
  return cm_committer_commit (cm_rooms_parts (intake->parts.rooms)->committer, write, error) >= 0;
}

static gboolean
finish_alone (const Batch *batch, GError **error)
{
  if (batch->finish == NULL)
    return TRUE;
  CmWrite *write = cm_write_new ();
  batch->finish (write, batch->data);
  return commit_alone (batch->intake, write, error);
}

/* The room is being joined: what comes meanwhile waits, unproven. */
static gboolean
park_all (Batch *batch, GError **error)
{
  CmWrite *write = cm_write_new ();

  for (guint i = 0; i < batch->events->len; i++)
    park (batch, write, batch->events->pdata[i]);
  if (batch->finish != NULL)
    batch->finish (write, batch->data);
  if (!commit_alone (batch->intake, write, error))
    return FALSE;
  cm_parking_wake (batch->intake->parking, batch->origin);
  return TRUE;
}

/* One event that spoils the write must not take the others with it (class fed-poison-event). */
static gboolean
write_one_by_one (Batch *batch, GError **error)
{
  CmInboundFinish finish = batch->finish;
  g_autoptr (GPtrArray) items = g_steal_pointer (&batch->items);
  g_autoptr (GPtrArray) events = g_steal_pointer (&batch->events);

  batch->finish = NULL;
  for (guint i = 0; i < items->len; i++) {
    CmInbound *item = items->pdata[i];
    g_autoptr (GError) failure = NULL;
    g_clear_pointer (&batch->items, g_ptr_array_unref);
    g_clear_pointer (&batch->events, g_ptr_array_unref);
    batch->items = g_ptr_array_new ();
    batch->events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
    g_ptr_array_add (batch->items, item);
    g_ptr_array_add (batch->events, cm_event_ref (events->pdata[i]));
    if (write_batch (batch, &failure))
      continue;
    if (!g_error_matches (failure, CM_ERROR, CM_ERROR_DATABASE)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
    item->error = g_error_new_literal (CM_ERROR, CM_ERROR_UNKNOWN, "The event cannot be stored");
  }
  batch->finish = finish;
  return finish_alone (batch, error);
}

static gboolean
store_items (Batch *batch, GError **error)
{
  g_autoptr (GError) failure = NULL;

  if (batch->items->len == 0)
    return finish_alone (batch, error);
  if (batch->joining)
    return park_all (batch, error);
  if (write_batch (batch, &failure))
    return TRUE;
  if (g_error_matches (failure, CM_ERROR, CM_ERROR_DATABASE) && batch->items->len > 1)
    return write_one_by_one (batch, error);
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

/* Events of a room that this node is not in can only say that an invite or a knock is over. */
static void
receive_outside (Batch *batch)
{
  for (guint i = 0; i < batch->items->len; i++) {
    CmInbound *item = batch->items->pdata[i];
    cm_intake_receive_outside (batch->intake, item->json, &item->error);
  }
  g_ptr_array_set_size (batch->items, 0);
}

static gboolean
prepare (Batch *batch, const CmRoomView *view, GError **error)
{
  g_autoptr (GError) refused = NULL;

  batch->version = view->version;
  parse_items (batch);
  if (!cm_room_check_acl (view, batch->origin, &refused)) {
    fail_all (batch, refused);
    return TRUE;
  }
  drop_shut_out (batch, view);
  if (!drop_known (batch, error))
    return FALSE;
  verify_items (batch);
  return TRUE;
}

static gboolean
receive_room (Batch *batch, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmRoomView) view =
      cm_rooms_view (batch->intake->parts.rooms, batch->room_id, &failure);

  batch->joining = cm_intake_is_joining (batch->intake, batch->room_id, &batch->version);
  if (batch->joining) {
    parse_items (batch);
  } else if (view != NULL && view->local_joined > 0) {
    if (!prepare (batch, view, error))
      return FALSE;
  } else if (view != NULL || g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND)) {
    receive_outside (batch);
  } else {
    fail_all (batch, failure);
    if (is_outage (failure)) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
  }
  return store_items (batch, error);
}

static void
free_items (gpointer items)
{
  g_ptr_array_unref (items);
}

gboolean
cm_intake_receive_all (CmIntake *intake, const char *origin, CmInbound *items, gsize count,
                       CmInboundFinish finish, gpointer data, GError **error)
{
  g_autoptr (GHashTable) by_room =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, free_items);
  g_autoptr (GPtrArray) rooms = g_ptr_array_new ();

  for (gsize i = 0; i < count; i++) {
    const char *room_id = cm_json_get_text (items[i].json, "room_id");
    if (!cm_id_is_room (room_id)) {
      items[i].error = g_error_new_literal (CM_ERROR, CM_ERROR_BAD_JSON, "The event is of no room");
      continue;
    }
    if (!g_hash_table_contains (by_room, room_id)) {
      g_hash_table_insert (by_room, (char *) room_id, g_ptr_array_new ());
      g_ptr_array_add (rooms, (char *) room_id);
    }
    g_ptr_array_add (g_hash_table_lookup (by_room, room_id), &items[i]);
  }
  for (guint i = 0; i < rooms->len; i++) {
    gboolean last = i + 1 == rooms->len;
    g_auto (Batch) batch = {
      .intake = intake,
      .origin = origin,
      .room_id = rooms->pdata[i],
      .items = g_ptr_array_ref (g_hash_table_lookup (by_room, rooms->pdata[i])),
      .events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref),
      .finish = last ? finish : NULL,
      .data = data,
    };
    if (!receive_room (&batch, error))
      return FALSE;
  }
  const Batch nothing = { .intake = intake, .finish = finish, .data = data };
  return rooms->len > 0 || finish_alone (&nothing, error);
}
