#include "schema/stream.h"

#include "crypto/hash.h"
#include "schema/db-private.h"

#define FIRST_DELAY   (50 * G_TIME_SPAN_MILLISECOND)
#define LONGEST_DELAY (2 * G_TIME_SPAN_SECOND)

static const CmSql sql_begin = { "begin", "BEGIN" };
static const CmSql sql_commit = { "commit", "COMMIT" };
/* The lock waits for a former connection's COMMIT that is still under way. */
static const CmSql sql_read = { "stream-read", "SELECT position, batch FROM stream FOR UPDATE" };
/* batch is NOT NULL: when the row is not what it was, the statement fails and the batch with it. */
static const CmSql sql_advance = { "stream-advance",
                                   "UPDATE stream SET position = $1,"
                                   " batch = CASE batch WHEN $2 THEN $3::bigint END" };

/* What is to be committed, the same over all attempts. */
typedef struct {
  CmBatchItem *const *items;
  gsize n;
  gint64 name;
  gint64 expected; /* the row's batch that the last attempt built on */
  gint64 last;     /* the stream's position afterwards */
  gboolean fenced;
  gboolean doubtful; /* an attempt ended without an answer */
} Batch;

typedef enum {
  ATTEMPT_COMMITTED,
  ATTEMPT_REFUSED,
  ATTEMPT_STALE, /* somebody else has moved the row */
  ATTEMPT_LOST,
  ATTEMPT_UNKNOWN, /* lost, and the row has been moved since: whether the batch is in cannot be told
                    */
} Attempt;

static gboolean
read_row (CmStream *stream, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (stream->db, &sql_read, CM_NO_ARGS, error);
  if (rows == NULL)
    return FALSE;
  if (cm_rows_count (rows) != 1) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_DATABASE, "The database has no stream");
    return FALSE;
  }
  /* Never backwards, even if a failover lost something: a position that was seen is not reused. */
  stream->position = MAX (stream->position, cm_rows_integer (rows, 0, 0));
  stream->batch = cm_rows_integer (rows, 0, 1);
  return TRUE;
}

static void
disconnect (CmStream *stream)
{
  g_clear_pointer (&stream->db, cm_db_release);
}

static gboolean
connect_and_read (CmStream *stream, GError **error)
{
  if (stream->db == NULL)
    stream->db = cm_pool_get (stream->pool, error);
  if (stream->db == NULL)
    return FALSE;
  if (read_row (stream, error))
    return TRUE;
  disconnect (stream);
  return FALSE;
}

void
cm_stream_close (CmStream *stream)
{
  disconnect (stream);
  g_clear_pointer (&stream->pool, cm_pool_free);
}

gboolean
cm_stream_open (CmStream *stream, CmPool *pool, GError **error)
{
  *stream = (CmStream){ .pool = cm_pool_new (cm_pool_dsn (pool), 1, error) };
  if (stream->pool != NULL && connect_and_read (stream, error))
    return TRUE;
  cm_stream_close (stream);
  return FALSE;
}

static gint64
random_name (void)
{
  guint64 name;
  cm_random_bytes (&name, sizeof name);
  return (gint64) (name & G_MAXINT64);
}

static void
number (Batch *batch, const CmStream *stream)
{
  batch->expected = stream->batch;
  batch->last = stream->position;
  for (gsize i = 0; i < batch->n; i++) {
    CmBatchItem *item = batch->items[i];
    item->position = item->write->positions > 0 ? batch->last + 1 : 0;
    batch->last += item->write->positions;
  }
}

/* Whether a write is fenced shows only when its result is in: COMMIT has to wait for that then. */
static gboolean
send_batch (CmDb *db, const Batch *batch)
{
  if (!cm_db_send_quietly (db, &sql_begin, NULL) ||
      !cm_db_send (db, &sql_advance,
                   CM_ARGS (CM_INT (batch->last), CM_INT (batch->expected), CM_INT (batch->name)),
                   NULL))
    return FALSE;
  for (gsize i = 0; i < batch->n; i++) {
    const CmWrite *write = batch->items[i]->write;
    for (guint s = 0; s < write->statements->len; s++) {
      const CmStatement *statement = &g_array_index (write->statements, CmStatement, s);
      cm_args_set_positions (statement->args, batch->items[i]->position);
      if (!cm_db_send_args (db, statement->sql, statement->args, NULL))
        return FALSE;
    }
  }
  return batch->fenced || cm_db_send (db, &sql_commit, CM_NO_ARGS, NULL);
}

static gboolean
receive_write (CmDb *db, const CmWrite *write, GError **error)
{
  for (guint s = 0; s < write->statements->len; s++) {
    const CmStatement *statement = &g_array_index (write->statements, CmStatement, s);
    g_autoptr (CmRows) rows = cm_db_receive (db, error);
    if (rows == NULL)
      return FALSE;
    if (statement->fenced && cm_rows_affected (rows) == 0) {
      g_set_error_literal (error, CM_ERROR, CM_ERROR_CONFLICT,
                           "This conflicts with what was stored meanwhile");
      return FALSE;
    }
  }
  return TRUE;
}

static gboolean
receive_commit (CmDb *db, const Batch *batch, GError **error)
{
  g_autoptr (CmRows) rows =
      batch->fenced ? cm_db_query (db, &sql_commit, CM_NO_ARGS, error) : cm_db_receive (db, error);
  if (rows == NULL)
    return FALSE;
  if (g_strcmp0 (cm_rows_tag (rows), "COMMIT") == 0)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_DATABASE, "The database failed");
  return FALSE;
}

static gboolean
is_lost (const GError *error)
{
  return g_error_matches (error, CM_ERROR, CM_ERROR_UNAVAILABLE);
}

static Attempt
attempt (CmDb *db, const Batch *batch, gsize *culprit, GError **error)
{
  g_autoptr (GError) failure = NULL;
  if (!send_batch (db, batch))
    return ATTEMPT_LOST;
  g_autoptr (CmRows) advanced = cm_db_receive (db, &failure);
  if (advanced == NULL)
    return is_lost (failure) ? ATTEMPT_LOST : ATTEMPT_STALE;
  for (*culprit = 0; *culprit < batch->n; (*culprit)++) {
    if (!receive_write (db, batch->items[*culprit]->write, &failure))
      break;
  }
  if (failure == NULL && receive_commit (db, batch, &failure))
    return ATTEMPT_COMMITTED;
  if (is_lost (failure))
    return ATTEMPT_LOST;
  g_propagate_error (error, g_steal_pointer (&failure));
  return ATTEMPT_REFUSED;
}

/* One round: connects when needed, finds out what became of the last attempt, makes the next. */
static Attempt
next_attempt (CmStream *stream, Batch *batch, gsize *culprit, GError **error)
{
  if (stream->db == NULL && !connect_and_read (stream, NULL))
    return ATTEMPT_LOST;
  if (stream->batch == batch->name)
    return ATTEMPT_COMMITTED;
  if (batch->doubtful && stream->batch != batch->expected)
    return ATTEMPT_UNKNOWN;

  number (batch, stream);
  Attempt result = attempt (stream->db, batch, culprit, error);
  if (result == ATTEMPT_COMMITTED) {
    stream->position = batch->last;
    stream->batch = batch->name;
    return result;
  }
  batch->doubtful |= result == ATTEMPT_LOST;
  if (result == ATTEMPT_LOST || !cm_db_reset (stream->db) ||
      (result == ATTEMPT_STALE && !read_row (stream, NULL)))
    disconnect (stream);
  return result;
}

CmBatchOutcome
cm_stream_commit (CmStream *stream, CmBatchItem *const *items, gsize n, gint64 deadline,
                  gsize *culprit, GError **error)
{
  Batch batch = { .items = items, .n = n, .name = random_name () };
  for (gsize i = 0; i < n; i++)
    batch.fenced |= items[i]->write->fenced;

  gint64 delay = FIRST_DELAY;
  for (;;) {
    Attempt result = next_attempt (stream, &batch, culprit, error);
    if (result == ATTEMPT_COMMITTED)
      return CM_BATCH_COMMITTED;
    if (result == ATTEMPT_REFUSED)
      return CM_BATCH_REFUSED;
    if (result == ATTEMPT_STALE && stream->batch != batch.expected)
      continue;
    if (result == ATTEMPT_UNKNOWN || g_get_monotonic_time () + delay > deadline)
      break;
    g_usleep (delay);
    delay = MIN (2 * delay, LONGEST_DELAY);
  }
  g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The database is not available");
  return CM_BATCH_LOST;
}
