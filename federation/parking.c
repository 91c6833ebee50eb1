/* Events whose ancestors must be fetched first. They were acknowledged, so they stand in the
 * database; a few threads see to them, one to a room, so that a server that is slow to tell of its
 * past holds up nobody else. */
#include "federation/intake-private.h"

#include "schema/inbound.h"

#define MAX_THREADS 4
#define BATCH       50

/* How many servers of the room are asked for what an event lacks. */
#define MAX_SERVERS 3

struct _CmParking {
  CmIntake *intake;
  GThreadPool *threads;
  gint closing;      /* atomic */
  GMutex mutex;      /* guards what follows */
  GHashTable *rooms; /* room id -> whether it is to be looked at again: those being seen to */
};

static GPtrArray *
read_parked (CmIntake *intake, const char *room_id, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (cm_rooms_parts (intake->parts.rooms)->pool, error);

  return db != NULL ? cm_inbound_parked (db, room_id, BATCH, error) : NULL;
}

/* Whether another server may know better. */
static gboolean
is_worth_another (const GError *failure)
{
  return g_error_matches (failure, CM_ERROR, CM_ERROR_BAD_GATEWAY) ||
         g_error_matches (failure, CM_ERROR, CM_ERROR_GATEWAY_TIMEOUT) ||
         g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND) ||
         g_error_matches (failure, CM_ERROR, CM_ERROR_FORBIDDEN);
}

static gboolean
place (CmIntake *intake, CmRoom *room, const char *origin, const CmJson *pdu, GError **error)
{
  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_autoptr (GError) failure = NULL;
  guint asked = 0;

  for (guint i = 0; asked < MAX_SERVERS && (i == 0 || view->others->pdata[i - 1] != NULL); i++) {
    const char *server = i == 0 ? origin : view->others->pdata[i - 1];
    if (i > 0 && g_str_equal (server, origin))
      continue;
    g_autoptr (CmEvent) event = cm_intake_verify (intake, view->version, pdu, error);
    if (event == NULL)
      return FALSE;
    g_clear_error (&failure);
    if (cm_intake_place (intake, server, room, event, &failure))
      return TRUE;
    if (!is_worth_another (failure))
      break;
    asked++;
  }
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

/* FALSE when it must be tried again later: the database failed, or the node ends. */
static gboolean
see_to (CmParking *parking, const char *room_id, const CmParkedEvent *parked)
{
  CmIntake *intake = parking->intake;
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (parked->json, &error);
  g_autoptr (CmRoom) room =
      doc != NULL ? cm_rooms_get (intake->parts.rooms, room_id, &error) : NULL;

  if (room != NULL && place (intake, room, parked->origin, cm_json_doc_root (doc), &error))
    return TRUE;
  if (g_atomic_int_get (&parking->closing) ||
      g_error_matches (error, CM_ERROR, CM_ERROR_DATABASE) ||
      g_error_matches (error, CM_ERROR, CM_ERROR_UNAVAILABLE))
    return FALSE;
  g_message ("An event from %s is given up: %s", parked->origin, error->message);
  return TRUE;
}

/* FALSE when the room is to be left for now. @more: whether there was anything. */
static gboolean
see_to_batch (CmParking *parking, const char *room_id, gboolean *more, GError **error)
{
  g_autoptr (GPtrArray) parked = read_parked (parking->intake, room_id, error);
  g_autoptr (GArray) done = g_array_new (FALSE, FALSE, sizeof (gint64));
  gboolean goes_on = TRUE;

  if (parked == NULL)
    return FALSE;
  *more = parked->len > 0;
  for (guint i = 0; i < parked->len && goes_on; i++) {
    const CmParkedEvent *event = parked->pdata[i];
    goes_on = !g_atomic_int_get (&parking->closing) && see_to (parking, room_id, event);
    if (goes_on)
      g_array_append_val (done, event->id);
  }
  if (done->len == 0)
    return goes_on;
  g_autoptr (CmDb) db = cm_pool_get (cm_rooms_parts (parking->intake->parts.rooms)->pool, error);
  return db != NULL && cm_inbound_unpark (db, (const gint64 *) done->data, done->len, error) &&
         goes_on;
}

/* TRUE when the room was woken meanwhile; else it is done with. */
static gboolean
is_woken (CmParking *parking, const char *room_id, gboolean goes_on)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&parking->mutex);

  if (goes_on && g_hash_table_lookup (parking->rooms, room_id) != NULL) {
    g_hash_table_insert (parking->rooms, g_strdup (room_id), NULL);
    return TRUE;
  }
  g_hash_table_remove (parking->rooms, room_id);
  return FALSE;
}

static void
see_to_room (gpointer data, gpointer user_data)
{
  g_autofree char *room_id = data;
  CmParking *parking = user_data;
  gboolean goes_on = !g_atomic_int_get (&parking->closing);

  do {
    g_autoptr (GError) error = NULL;
    gboolean more = TRUE;
    /* While a room is being joined its events wait for that. */
    if (cm_intake_is_joining (parking->intake, room_id, NULL))
      more = FALSE;
    while (more && goes_on)
      goes_on = see_to_batch (parking, room_id, &more, &error);
    if (error != NULL)
      g_warning ("Events of %s must wait: %s", room_id, error->message);
  } while (is_woken (parking, room_id, goes_on));
}

void
cm_parking_wake (CmParking *parking, const char *room_id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&parking->mutex);
  gboolean busy = g_hash_table_contains (parking->rooms, room_id);

  if (g_atomic_int_get (&parking->closing))
    return;
  g_hash_table_insert (parking->rooms, g_strdup (room_id), GINT_TO_POINTER (busy));
  if (!busy)
    g_thread_pool_push (parking->threads, g_strdup (room_id), NULL);
}

gboolean
cm_parking_wake_all (CmParking *parking, GError **error)
{
  CmPool *pool = cm_rooms_parts (parking->intake->parts.rooms)->pool;
  g_autoptr (CmDb) db = cm_pool_get (pool, error);
  g_auto (GStrv) rooms = db != NULL ? cm_inbound_parked_rooms (db, error) : NULL;

  for (gsize i = 0; rooms != NULL && rooms[i] != NULL; i++)
    cm_parking_wake (parking, rooms[i]);
  return rooms != NULL;
}

CmParking *
cm_parking_new (CmIntake *intake, GError **error)
{
  g_autoptr (CmParking) parking = g_new0 (CmParking, 1);

  parking->intake = intake;
  parking->threads = g_thread_pool_new (see_to_room, parking, MAX_THREADS, FALSE, NULL);
  parking->rooms = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_mutex_init (&parking->mutex);
  return cm_parking_wake_all (parking, error) ? g_steal_pointer (&parking) : NULL;
}

void
cm_parking_free (CmParking *parking)
{
  g_atomic_int_set (&parking->closing, TRUE);
  g_thread_pool_free (parking->threads, FALSE, TRUE);
  g_hash_table_unref (parking->rooms);
  g_mutex_clear (&parking->mutex);
  g_free (parking);
}
