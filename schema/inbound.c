#include "schema/inbound.h"

/* Answers are kept for as long as a server may repeat its transaction. */
#define KEEP_ANSWERS_MS (48 * 3600 * G_GINT64_CONSTANT (1000))

/* So many of a user's invites and knocks that are over stay, for clients that have not heard so:
 * else whoever invites and takes it back makes a row each time. */
#define KEEP_LEFT 500

static const CmSql find_answer = {
  "inbound_answer",
  "SELECT answer FROM inbound_transaction WHERE origin = $1 AND txn_id = $2",
};

/* Each new answer takes a few with it that are too old, so that there is never much to forget at
 * once. */
static const CmSql add_answer = {
  "inbound_answered",
  "WITH old AS (DELETE FROM inbound_transaction WHERE ctid = ANY (ARRAY ("
  "SELECT ctid FROM inbound_transaction WHERE ts < $5 ORDER BY ts LIMIT 10))) "
  "INSERT INTO inbound_transaction (origin, txn_id, answer, ts) VALUES ($1, $2, $3, $4) "
  "ON CONFLICT DO NOTHING",
};

static const CmSql park_event = {
  "inbound_park",
  "INSERT INTO inbound_event (origin, room_id, event_id, json) SELECT $1, $2, $3, $4::bytea "
  "WHERE (SELECT count(*) FROM inbound_event WHERE room_id = $2) < $5::bigint ON CONFLICT DO "
  "NOTHING",
};

static const CmSql parked_events = {
  "inbound_parked",
  "SELECT id, room_id, json FROM inbound_event WHERE origin = $1 AND id > $2 ORDER BY id LIMIT $3",
};

static const CmSql unpark_events = {
  "inbound_unpark",
  "DELETE FROM inbound_event WHERE id = ANY ($1)",
};

static const CmSql parked_origins = {
  "inbound_parked_origins",
  "SELECT DISTINCT origin FROM inbound_event",
};

static const CmSql put_outside = {
  "outside_put",
  "INSERT INTO outside_membership "
  "(user_id, room, membership, event_id, event, stripped, version, position) "
  "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (user_id, room) DO UPDATE SET "
  "membership = excluded.membership, event_id = excluded.event_id, event = excluded.event, "
  "stripped = excluded.stripped, version = excluded.version, position = excluded.position",
};

static const CmSql leave_outside = {
  "outside_leave",
  "UPDATE outside_membership SET membership = 'leave', event_id = coalesce ($3, event_id), "
  "event = coalesce ($4, event), stripped = '[]', position = $5 WHERE user_id = $1 AND room = $2",
};

static const CmSql forget_left = {
  "outside_forget_left",
  "DELETE FROM outside_membership WHERE user_id = $1 AND membership = 'leave' AND room IN ("
  "SELECT room FROM outside_membership WHERE user_id = $1 AND membership = 'leave' "
  "ORDER BY position DESC OFFSET $2)",
};

static const CmSql size_of_waiting = {
  "outside_waiting",
  "SELECT count (*), coalesce (sum (octet_length (event) + octet_length (stripped)), 0)::bigint "
  "FROM outside_membership WHERE user_id = (SELECT id FROM sym WHERE text = $1) "
  "AND room IS DISTINCT FROM (SELECT id FROM sym WHERE text = $2) AND membership <> 'leave'",
};

static const CmSql find_outside = {
  "outside_find",
  "SELECT membership, event_id, event, stripped, version FROM outside_membership "
  "WHERE user_id = $1 AND room = $2",
};

GBytes *
cm_inbound_answer (CmDb *db, const char *origin, const char *txn_id, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &find_answer, CM_ARGS (CM_TEXT (origin), CM_TEXT (txn_id)), error);

  return rows != NULL && cm_rows_count (rows) > 0 ? cm_rows_bytes (rows, 0, 0) : NULL;
}

void
cm_inbound_answered (CmWrite *write, const char *origin, const char *txn_id, GBytes *answer)
{
  gint64 now = g_get_real_time () / 1000;

  cm_write_add (write, &add_answer,
                CM_ARGS (CM_TEXT (origin), CM_TEXT (txn_id), CM_BYTES (answer), CM_INT (now),
                         CM_INT (now - KEEP_ANSWERS_MS)));
}

void
cm_parked_event_free (CmParkedEvent *event)
{
  g_free (event->room_id);
  g_bytes_unref (event->json);
  g_free (event);
}

void
cm_inbound_park (CmWrite *write, const char *origin, const char *room_id, const char *event_id,
                 GBytes *json, gint64 limit)
{
  cm_write_add (write, &park_event,
                CM_ARGS (CM_TEXT (origin), CM_TEXT (room_id), CM_TEXT (event_id), CM_BYTES (json),
                         CM_INT (limit)));
}

GPtrArray *
cm_inbound_parked (CmDb *db, const char *origin, gint64 after, gint64 limit, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (
      db, &parked_events, CM_ARGS (CM_TEXT (origin), CM_INT (after), CM_INT (limit)), error);

  if (rows == NULL)
    return NULL;
  GPtrArray *events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_parked_event_free);
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmParkedEvent *event = g_new0 (CmParkedEvent, 1);
    event->id = cm_rows_integer (rows, i, 0);
    event->room_id = g_strdup (cm_rows_text (rows, i, 1));
    event->json = cm_rows_bytes (rows, i, 2);
    g_ptr_array_add (events, event);
  }
  return events;
}

gboolean
cm_inbound_unpark (CmDb *db, const gint64 *ids, gsize count, GError **error)
{
  return cm_db_run (db, &unpark_events, CM_ARGS (CM_INTS (ids, count)), NULL, error);
}

char **
cm_inbound_parked_origins (CmDb *db, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, &parked_origins, CM_NO_ARGS, error);
  g_autoptr (GStrvBuilder) origins = g_strv_builder_new ();

  if (rows == NULL)
    return NULL;
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_strv_builder_add (origins, cm_rows_text (rows, i, 0));
  return g_strv_builder_end (origins);
}

void
cm_outside_put (CmWrite *write, const CmOutside *outside, gint64 offset)
{
  cm_write_add (write, &put_outside,
                CM_ARGS (CM_INT (outside->user), CM_INT (outside->room),
                         CM_TEXT (outside->membership), CM_TEXT (outside->event_id),
                         CM_BYTES (outside->event), CM_BYTES (outside->stripped),
                         CM_TEXT (outside->room_version), CM_POSITION (offset)));
}

void
cm_outside_leave (CmWrite *write, gint64 user, gint64 room, const char *event_id, GBytes *event,
                  gint64 offset)
{
  cm_write_add (write, &leave_outside,
                CM_ARGS (CM_INT (user), CM_INT (room), CM_TEXT (event_id), CM_BYTES (event),
                         CM_POSITION (offset)));
  cm_write_add (write, &forget_left, CM_ARGS (CM_INT (user), CM_INT (KEEP_LEFT)));
}

gboolean
cm_outside_waiting (CmDb *db, const char *user_id, const char *room_id, gint64 *count,
                    gint64 *bytes, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, &size_of_waiting, CM_ARGS (CM_TEXT (user_id), CM_TEXT (room_id)), error);

  if (rows == NULL)
    return FALSE;
  *count = cm_rows_integer (rows, 0, 0);
  *bytes = cm_rows_integer (rows, 0, 1);
  return TRUE;
}

void
cm_outside_clear (CmOutside *outside)
{
  g_free (outside->membership);
  g_free (outside->event_id);
  g_clear_pointer (&outside->event, g_bytes_unref);
  g_clear_pointer (&outside->stripped, g_bytes_unref);
  g_free (outside->room_version);
}

gboolean
cm_outside_find (CmDb *db, CmOutside *outside, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (
      db, &find_outside, CM_ARGS (CM_INT (outside->user), CM_INT (outside->room)), error);

  if (rows == NULL || cm_rows_count (rows) == 0)
    return FALSE;
  outside->membership = g_strdup (cm_rows_text (rows, 0, 0));
  outside->event_id = g_strdup (cm_rows_text (rows, 0, 1));
  outside->event = cm_rows_bytes (rows, 0, 2);
  outside->stripped = cm_rows_bytes (rows, 0, 3);
  outside->room_version = g_strdup (cm_rows_text (rows, 0, 4));
  return TRUE;
}
