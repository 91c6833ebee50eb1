/* Events whose ancestors must be fetched first. They were acknowledged, so they stand in the
 * database. A few threads see to them, a while for each server that sent some and then for the
 * next: a server that is slow to tell of its past has one thread at a time, and holds up nobody
 * else (class parking-starvation). A room is seen to by one thread at a time, so that what several
 * servers say on top of one gap is not fetched several times. */
#include "federation/intake-private.h"

#include "schema/inbound.h"

#define MAX_THREADS 4
#define BATCH       50
#define TURN_US     (10 * G_USEC_PER_SEC)

/* How many servers of the room are asked for what an event lacks. */
#define MAX_SERVERS 3

/* A server some of whose events wait. While it runs it is its thread's. */
typedef struct {
  char *origin;
  gint64 after;    /* the last event that was looked at */
  guint to_others; /* so many of its events others of the room are asked about, not itself */
  gboolean again;  /* something came while it ran, or before */
  gboolean held;   /* it waits for a room, and is in no thread's hands */
  char *room_id;   /* one that another has, and of which something was left */
} Turn;

struct _CmParking {
  CmIntake *intake;
  GThreadPool *threads;
  gint closing;      /* atomic */
  GMutex mutex;      /* guards what follows */
  GHashTable *turns; /* server -> Turn */
  GHashTable *rooms; /* room id -> the Turn that has it (borrowed) */
  GQueue held;       /* of Turn, borrowed */
};

static void
turn_free (gpointer data)
{
  Turn *turn = data;

  g_free (turn->origin);
  g_free (turn->room_id);
  g_free (turn);
}

/* From here to release_all() the mutex is held. */

/* The turn begins at its oldest event. */
static void
start (CmParking *parking, Turn *turn)
{
  turn->after = 0;
  turn->again = turn->held = FALSE;
  g_clear_pointer (&turn->room_id, g_free);
  g_thread_pool_push (parking->threads, turn, NULL);
}

static void
release (CmParking *parking, const char *room_id)
{
  g_hash_table_remove (parking->rooms, room_id);
  for (GList *link = parking->held.head; link != NULL; link = link->next) {
    Turn *turn = link->data;
    if (!g_str_equal (turn->room_id, room_id))
      continue;
    g_queue_delete_link (&parking->held, link);
    g_hash_table_insert (parking->rooms, g_strdup (room_id), turn);
    start (parking, turn);
    return;
  }
}

static void
release_all (CmParking *parking, const Turn *turn)
{
  g_autoptr (GPtrArray) own = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer room_id, owner;

  g_hash_table_iter_init (&iter, parking->rooms);
  while (g_hash_table_iter_next (&iter, &room_id, &owner))
    if (owner == turn)
      g_ptr_array_add (own, g_strdup (room_id));
  for (guint i = 0; i < own->len; i++)
    release (parking, own->pdata[i]);
}

/* @rest: there are events that were not looked at. */
static void
end_turn (CmParking *parking, Turn *turn, gboolean goes_on, gboolean rest)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&parking->mutex);

  /* The threads take nothing more then. */
  if (g_atomic_int_get (&parking->closing))
    return;
  release_all (parking, turn);
  if (!goes_on) {
    g_hash_table_remove (parking->turns, turn->origin);
  } else if (rest) {
    g_thread_pool_push (parking->threads, turn, NULL);
  } else if (turn->room_id != NULL && g_hash_table_contains (parking->rooms, turn->room_id)) {
    turn->held = TRUE;
    g_queue_push_tail (&parking->held, turn);
  } else if (turn->room_id != NULL || turn->again) {
    start (parking, turn);
  } else {
    g_hash_table_remove (parking->turns, turn->origin);
  }
}

/* FALSE when another has the room. */
static gboolean
take_room (CmParking *parking, Turn *turn, const char *room_id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&parking->mutex);
  const Turn *owner = g_hash_table_lookup (parking->rooms, room_id);

  if (owner == NULL)
    g_hash_table_insert (parking->rooms, g_strdup (room_id), turn);
  else if (owner != turn && turn->room_id == NULL)
    turn->room_id = g_strdup (room_id);
  return owner == NULL || owner == turn;
}

static GPtrArray *
read_parked (CmIntake *intake, const Turn *turn, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (cm_rooms_parts (intake->parts.rooms)->pool, error);

  return db != NULL ? cm_inbound_parked (db, turn->origin, turn->after, BATCH, error) : NULL;
}

/* Whether another server may know better. */
static gboolean
is_worth_another (const GError *failure)
{
  return g_error_matches (failure, CM_ERROR, CM_ERROR_BAD_GATEWAY) ||
         g_error_matches (failure, CM_ERROR, CM_ERROR_GATEWAY_TIMEOUT) ||
         g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND) ||
         g_error_matches (failure, CM_ERROR, CM_ERROR_LIMIT_EXCEEDED) ||
         g_error_matches (failure, CM_ERROR, CM_ERROR_FORBIDDEN);
}

/* (transfer container) the names of those who are asked, in this order. */
static GPtrArray *
whom_to_ask (const CmRoomView *view, Turn *turn)
{
  GPtrArray *servers = g_ptr_array_new ();

  for (guint i = 0; view->others->pdata[i] != NULL && servers->len < MAX_SERVERS; i++)
    if (!g_str_equal (view->others->pdata[i], turn->origin))
      g_ptr_array_add (servers, view->others->pdata[i]);
  if (turn->to_others > 0)
    turn->to_others--;
  else
    g_ptr_array_insert (servers, 0, turn->origin);
  if (servers->len == 0)
    g_ptr_array_add (servers, turn->origin);
  g_ptr_array_set_size (servers, (int) MIN (servers->len, MAX_SERVERS));
  return servers;
}

static gboolean
place_by (CmIntake *intake, CmRoom *room, Turn *turn, const char *server, CmEvent *event,
          GError **error)
{
  gint64 end = g_get_monotonic_time () + TURN_US;

  if (cm_intake_place (intake, server, room, event, error))
    return TRUE;
  if (g_str_equal (server, turn->origin) && g_get_monotonic_time () > end)
    turn->to_others = BATCH;
  return FALSE;
}

static gboolean
place (CmIntake *intake, CmRoom *room, Turn *turn, const CmJson *pdu, GError **error)
{
  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_autoptr (GPtrArray) servers = whom_to_ask (view, turn);
  g_autoptr (GError) failure = NULL;

  for (guint i = 0; i < servers->len; i++) {
    g_autoptr (CmEvent) event = cm_intake_verify (intake, view->version, pdu, error);
    if (event == NULL)
      return FALSE;
    g_clear_error (&failure);
    if (place_by (intake, room, turn, servers->pdata[i], event, &failure))
      return TRUE;
    if (!is_worth_another (failure))
      break;
  }
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

/* FALSE when it must be tried again later: the database failed, or the node ends. What follows need
 * not wait for that: an event that spoils its write would hold up its server's other rooms. */
static gboolean
see_to (CmParking *parking, Turn *turn, const CmParkedEvent *parked)
{
  CmIntake *intake = parking->intake;
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (parked->json, &error);
  g_autoptr (CmRoom) room =
      doc != NULL ? cm_rooms_get (intake->parts.rooms, parked->room_id, &error) : NULL;

  if (room != NULL && place (intake, room, turn, cm_json_doc_root (doc), &error))
    return TRUE;
  if (g_atomic_int_get (&parking->closing) ||
      g_error_matches (error, CM_ERROR, CM_ERROR_DATABASE) ||
      g_error_matches (error, CM_ERROR, CM_ERROR_UNAVAILABLE))
    return FALSE;
  g_message ("An event from %s is given up: %s", turn->origin, error->message);
  return TRUE;
}

/* Whether the event's time has come. While a room is being joined its events wait for that. */
static gboolean
is_due (CmParking *parking, Turn *turn, const CmParkedEvent *event)
{
  return !cm_intake_is_joining (parking->intake, event->room_id, NULL) &&
         take_room (parking, turn, event->room_id);
}

/* FALSE when the server's events are to be left for now. @rest: see end_turn(). */
static gboolean
see_to_batch (CmParking *parking, Turn *turn, gboolean *rest, GError **error)
{
  g_autoptr (GPtrArray) parked = read_parked (parking->intake, turn, error);
  gint64 end = g_get_monotonic_time () + TURN_US;
  g_autoptr (GArray) done = g_array_new (FALSE, FALSE, sizeof (gint64));
  gboolean goes_on = parked != NULL;
  guint seen = 0;

  for (; goes_on && seen < parked->len && g_get_monotonic_time () < end; seen++) {
    const CmParkedEvent *event = parked->pdata[seen];
    turn->after = event->id;
    if (is_due (parking, turn, event) && see_to (parking, turn, event))
      g_array_append_val (done, event->id);
    goes_on = !g_atomic_int_get (&parking->closing);
  }
  *rest = goes_on && (seen < parked->len || seen == BATCH);
  if (done->len == 0)
    return goes_on;
  g_autoptr (CmDb) db = cm_pool_get (cm_rooms_parts (parking->intake->parts.rooms)->pool, error);
  return db != NULL && cm_inbound_unpark (db, (const gint64 *) done->data, done->len, error) &&
         goes_on;
}

static void
take_turn (gpointer data, gpointer user_data)
{
  Turn *turn = data;
  CmParking *parking = user_data;
  g_autoptr (GError) error = NULL;
  gboolean rest = FALSE;
  gboolean goes_on =
      !g_atomic_int_get (&parking->closing) && see_to_batch (parking, turn, &rest, &error);

  if (error != NULL)
    g_warning ("Events from %s must wait: %s", turn->origin, error->message);
  end_turn (parking, turn, goes_on, rest);
}

void
cm_parking_wake (CmParking *parking, const char *origin)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&parking->mutex);
  Turn *turn = g_hash_table_lookup (parking->turns, origin);

  if (g_atomic_int_get (&parking->closing))
    return;
  if (turn == NULL) {
    turn = g_new0 (Turn, 1);
    turn->origin = g_strdup (origin);
    g_hash_table_insert (parking->turns, turn->origin, turn);
    start (parking, turn);
  } else if (turn->held) {
    g_queue_remove (&parking->held, turn);
    start (parking, turn);
  } else {
    turn->again = TRUE;
  }
}

gboolean
cm_parking_wake_all (CmParking *parking, GError **error)
{
  CmPool *pool = cm_rooms_parts (parking->intake->parts.rooms)->pool;
  g_autoptr (CmDb) db = cm_pool_get (pool, error);
  g_auto (GStrv) origins = db != NULL ? cm_inbound_parked_origins (db, error) : NULL;

  for (gsize i = 0; origins != NULL && origins[i] != NULL; i++)
    cm_parking_wake (parking, origins[i]);
  return origins != NULL;
}

CmParking *
cm_parking_new (CmIntake *intake, GError **error)
{
  g_autoptr (CmParking) parking = g_new0 (CmParking, 1);

  parking->intake = intake;
  parking->threads = g_thread_pool_new (take_turn, parking, MAX_THREADS, FALSE, NULL);
  parking->turns = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, turn_free);
  parking->rooms = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_queue_init (&parking->held);
  g_mutex_init (&parking->mutex);
  return cm_parking_wake_all (parking, error) ? g_steal_pointer (&parking) : NULL;
}

void
cm_parking_free (CmParking *parking)
{
  g_mutex_lock (&parking->mutex);
  g_atomic_int_set (&parking->closing, TRUE);
  g_mutex_unlock (&parking->mutex);
  g_thread_pool_free (parking->threads, FALSE, TRUE);
  g_queue_clear (&parking->held);
  g_hash_table_unref (parking->turns);
  g_hash_table_unref (parking->rooms);
  g_mutex_clear (&parking->mutex);
  g_free (parking);
}
