#include "federation/room-private.h"

#include "crypto/id.h"
#include "schema/waiter.h"

#include <string.h>

/* How many resolutions a room remembers. A fork is asked about for as long as it stands, others
 * never again; more are forgotten all at once. */
#define MAX_RESOLVED 64

static void
free_write (CmRoomWrite *write)
{
  g_clear_pointer (&write->write, cm_write_free);
  g_clear_pointer (&write->view, cm_room_view_unref);
  g_ptr_array_unref (write->events);
  g_array_unref (write->offsets);
  g_ptr_array_unref (write->stored);
  g_ptr_array_unref (write->arrived);
  g_array_unref (write->states);
  g_ptr_array_unref (write->targets);
  g_ptr_array_unref (write->reasons);
  cm_room_unref (write->room);
  g_free (write);
}

static void
set_conflict (GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_CONFLICT, "An earlier write to the room failed");
}

CmRoomWrite *
cm_room_write_begin (CmRoom *room, CmWrite *extra, GError **error)
{
  g_mutex_lock (&room->lock);
  if (g_atomic_int_get (&room->broken)) {
    g_mutex_unlock (&room->lock);
    g_clear_pointer (&extra, cm_write_free);
    set_conflict (error);
    return NULL;
  }
  CmRoomWrite *write = g_new0 (CmRoomWrite, 1);
  write->room = cm_room_ref (room);
  write->write = extra != NULL ? extra : cm_write_new ();
  write->view = cm_room_view_copy (room->tip);
  write->events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  write->offsets = g_array_new (FALSE, FALSE, sizeof (gint64));
  write->stored = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  write->arrived = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  write->states = g_array_new (FALSE, FALSE, sizeof (gint64));
  write->targets = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  write->reasons = g_ptr_array_new_with_free_func (g_free);
  return write;
}

/* Takes back what the caches were told. */
static void
unremember (const CmRoomWrite *write)
{
  CmRooms *rooms = write->room->rooms;
  for (guint i = 0; i < write->stored->len; i++)
    cm_event_store_forget (rooms->events, ((CmEvent *) write->stored->pdata[i])->number);
  for (guint i = 0; i < write->states->len; i++)
    cm_state_store_forget (rooms->states, g_array_index (write->states, gint64, i));
}

void
cm_room_write_abandon (CmRoomWrite *write)
{
  CmRoom *room = write->room;
  unremember (write);
  if (write->states->len > 0)
    g_hash_table_remove_all (room->resolved);
  if (write->introduced)
    room->stored = FALSE;
  cm_room_ref (room);
  free_write (write);
  g_mutex_unlock (&room->lock);
  cm_room_unref (room);
}

void
cm_room_write_doubt (const CmRoomWrite *write, GError **error)
{
  if (error == NULL || !g_atomic_int_get (&write->room->broken))
    return;
  g_clear_error (error);
  set_conflict (error);
}

const CmRoomView *
cm_room_write_view (const CmRoomWrite *write)
{
  return write->view;
}

CmWrite *
cm_room_write_statements (CmRoomWrite *write)
{
  return write->write;
}

gboolean
cm_room_write_is_local (const CmRoomWrite *write, const char *user_id)
{
  return cm_id_domain_is (user_id, write->room->rooms->parts.server_name);
}

gboolean
cm_room_write_number (CmRoomWrite *write, CmEvent *event, GError **error)
{
  CmIds *ids = write->room->rooms->parts.ids;
  const char *texts[] = { event->type, event->sender, event->state_key };
  gint64 syms[3] = { 0 };
  event->number = cm_ids_next (ids, CM_SEQUENCE_EVENT, error);
  if (event->number == 0)
    return FALSE;
  if (!cm_sym_many (ids, texts, event->state_key != NULL ? 3 : 2, syms, error))
    return FALSE;
  event->type_sym = (guint32) syms[0];
  event->sender_sym = (guint32) syms[1];
  event->state_key_sym = (guint32) syms[2];
  event->room_sym = (guint32) write->room->sym;
  const CmJson *relation = cm_json_get_object (event->content, "m.relates_to");
  if (cm_json_get_text (relation, "rel_type") != NULL &&
      cm_json_get_text (relation, "event_id") != NULL)
    event->flags |= CM_EVENT_HAS_RELATION;
  return TRUE;
}

gboolean
cm_room_write_state (CmRoomWrite *write, const CmState *parent, CmStateMap *map, CmState *state,
                     GError **error)
{
  gint64 id = cm_state_store_add (write->room->rooms->states, write->write, parent->id, parent->map,
                                  map, error);
  if (id < 0)
    return FALSE;
  if (id != 0 && id != parent->id)
    g_array_append_val (write->states, id);
  *state = (CmState){ cm_state_map_ref (map), id };
  return TRUE;
}

static int
compare_numbers (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  return x < y ? -1 : x > y;
}

/* The numbers of the states after @events, ascending, each once. */
static GArray *
states_after (CmRooms *rooms, const gint64 *events, gsize count, GError **error)
{
  g_autoptr (GPtrArray) known = cm_event_store_get_many (rooms->events, events, count, error);
  if (known == NULL)
    return NULL;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; i < known->len; i++) {
    const CmEvent *event = known->pdata[i];
    if (event == NULL) {
      g_set_error_literal (error, CM_ERROR, CM_ERROR_DATABASE, "An event of the graph is missing");
      return NULL;
    }
    g_array_append_val (ids, event->state_after);
  }
  g_array_sort (ids, compare_numbers);
  guint kept = 0;
  gint64 *values = (gint64 *) ids->data;
  for (guint i = 0; i < ids->len; i++) {
    if (kept == 0 || values[kept - 1] != values[i])
      values[kept++] = values[i];
  }
  g_array_set_size (ids, kept);
  return g_steal_pointer (&ids);
}

/* Resolves several different states. A fork is asked about again with every event on top of it, so
 * the answer is kept. */
static gboolean
resolve (CmRoomWrite *write, const GArray *ids, CmState *state, GError **error)
{
  CmRoom *room = write->room;
  g_autoptr (GString) key = g_string_new (NULL);
  for (guint i = 0; i < ids->len; i++)
    g_string_append_printf (key, "%" G_GINT64_FORMAT " ", g_array_index (ids, gint64, i));
  const gint64 *known = g_hash_table_lookup (room->resolved, key->str);
  if (known != NULL) {
    *state = (CmState){ cm_state_store_get (room->rooms->states, *known, error), *known };
    return state->map != NULL;
  }
  g_autoptr (GPtrArray) maps =
      cm_state_store_get_many (room->rooms->states, (gint64 *) ids->data, ids->len, error);
  if (maps == NULL)
    return FALSE;
  g_autoptr (CmStateMap) resolved = cm_event_store_resolve (
      room->rooms->events, room->version, (CmStateMap *const *) maps->pdata, maps->len, error);
  if (resolved == NULL)
    return FALSE;
  CmState parent = { maps->pdata[0], g_array_index (ids, gint64, 0) };
  if (!cm_room_write_state (write, &parent, resolved, state, error))
    return FALSE;
  if (g_hash_table_size (room->resolved) >= MAX_RESOLVED)
    g_hash_table_remove_all (room->resolved);
  g_hash_table_insert (room->resolved, g_string_free (g_steal_pointer (&key), FALSE),
                       g_memdup2 (&state->id, sizeof state->id));
  return TRUE;
}

gboolean
cm_room_write_merge (CmRoomWrite *write, const gint64 *events, gsize count, CmState *state,
                     GError **error)
{
  CmStateStore *states = write->room->rooms->states;
  g_autoptr (GArray) ids = states_after (write->room->rooms, events, count, error);
  if (ids == NULL)
    return FALSE;
  if (ids->len > 1)
    return resolve (write, ids, state, error);
  gint64 id = ids->len == 1 ? g_array_index (ids, gint64, 0) : 0;
  *state = (CmState){ cm_state_store_get (states, id, error), id };
  return state->map != NULL;
}

/* What is said once for the whole write. */
static void
conclude (CmRoomWrite *write)
{
  CmRoom *room = write->room;
  if (write->moved)
    cm_room_write_add_room (write);
  if (write->events->len > 0)
    cm_write_topic (write->write, CM_TOPIC_ROOM, room->room_id);
  cm_write_attach (write->write, "events", g_ptr_array_ref (write->events),
                   (GDestroyNotify) g_ptr_array_unref);
  if (write->view != NULL) {
    g_clear_pointer (&room->tip, cm_room_view_unref);
    room->tip = cm_room_view_ref (write->view);
  }
}

static void
prune_targets (const CmRoomWrite *write)
{
  CmEventStore *events = write->room->rooms->events;
  for (guint i = 0; i < write->targets->len; i++) {
    CmEvent *target = write->targets->pdata[i];
    g_autoptr (GError) error = NULL;
    g_autoptr (CmEvent) pruned = cm_event_redact (target, write->reasons->pdata[i], &error);
    if (pruned != NULL)
      cm_event_store_put (events, pruned);
    else
      cm_event_store_forget (events, target->number);
  }
}

void
cm_room_write_committed (CmRoomWrite *write, gint64 position)
{
  for (guint i = 0; i < write->events->len; i++)
    cm_event_set_position (write->events->pdata[i],
                           position + g_array_index (write->offsets, gint64, i));
  for (guint i = 0; i < write->states->len; i++)
    cm_state_store_settle (write->room->rooms->states, g_array_index (write->states, gint64, i));
  prune_targets (write);
  if (write->view != NULL)
    cm_room_publish (write->room, write->view);
}

/* Whether they are redacted, only the database knows now (CVE-2024-6300). */
static void
forget_targets (const CmRoomWrite *write)
{
  for (guint i = 0; i < write->targets->len; i++)
    cm_event_store_forget (write->room->rooms->events,
                           ((CmEvent *) write->targets->pdata[i])->number);
}

static gboolean
is_sound (gpointer data)
{
  CmRoomWrite *write = data;
  return !g_atomic_int_get (&write->room->broken);
}

static void
on_done (const CmWrite *statements, gint64 position, const GError *error, gpointer data)
{
  CmRoomWrite *write = data;
  CmRooms *rooms = write->room->rooms;
  if (error != NULL) {
    /* First the room: whoever misses what is forgotten next must be able to see why. */
    cm_rooms_forget (write->room);
    unremember (write);
    forget_targets (write);
  }
  if (write->callback != NULL)
    write->callback (error, write->data);
  cm_rooms_end_work (rooms);
}

void
cm_room_write_submit (CmRoomWrite *write, CmRoomWritten callback, gpointer data)
{
  CmRoom *room = write->room;
  g_autoptr (GError) error = NULL;
  if (!cm_room_write_pending_redactions (write, &error)) {
    cm_room_write_abandon (write);
    if (callback != NULL)
      callback (error, data);
    return;
  }
  conclude (write);
  CmWrite *statements = g_steal_pointer (&write->write);
  write->callback = callback;
  write->data = data;
  cm_rooms_begin_work (room->rooms);
  cm_write_attach (statements, "room", write, (GDestroyNotify) free_write);
  /* The write belongs to the committer from here on and may be gone before the next line. */
  cm_room_ref (room);
  cm_committer_submit (room->rooms->parts.committer, statements, is_sound, on_done, write);
  g_mutex_unlock (&room->lock);
  cm_room_unref (room);
}

static void
on_waited (const GError *error, gpointer data)
{
  cm_waiter_end (data, error);
}

gboolean
cm_room_write_commit (CmRoomWrite *write, GError **error)
{
  CmWaiter waiter;
  cm_waiter_init (&waiter);
  cm_room_write_submit (write, on_waited, &waiter);
  return cm_waiter_wait (&waiter, error);
}

GArray *
cm_rooms_history_positions (CmRooms *rooms, gsize count, GError **error)
{
  g_autoptr (GArray) positions = g_array_sized_new (FALSE, FALSE, sizeof (gint64), (guint) count);
  g_array_set_size (positions, (guint) count);
  for (gsize i = count; i > 0; i--) {
    gint64 number = cm_ids_next (rooms->parts.ids, CM_SEQUENCE_BACKFILL, error);
    if (number == 0)
      return NULL;
    g_array_index (positions, gint64, i - 1) = -number;
  }
  return g_steal_pointer (&positions);
}
