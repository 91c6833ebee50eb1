#include "schema/db-private.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* libpq keeps what it could not write: hand it to the socket before that becomes much. */
#define FLUSH_SIZE (256 * 1024)

typedef enum {
  PENDING_PREPARE,
  PENDING_QUIET, /* a statement nobody receives */
  PENDING_QUERY,
  PENDING_SYNC,
} PendingKind;

typedef struct {
  PendingKind kind;
  const CmSql *sql;
} CmPending;

/* The session is what the SQL of this program was written for, whatever the server's or the role's
 * defaults are. A public search_path also keeps a temporary or private schema from shadowing a
 * table. */
static const char session_setup[] = "SET client_encoding = 'UTF8';"
                                    "SET timezone = 'UTC';"
                                    "SET search_path = public;"
                                    "SET standard_conforming_strings = on;"
                                    "SET synchronous_commit = on;"
                                    "SET default_transaction_isolation = 'read committed';"
                                    "SET statement_timeout = '60s';"
                                    "SET lock_timeout = '15s';"
                                    "SET idle_in_transaction_session_timeout = '60s';"
                                    "SET bytea_output = 'hex';"
                                    "SET client_min_messages = warning";

static void
on_notice (void *data, const PGresult *result)
{
  g_debug ("PostgreSQL: %s", PQresultErrorField (result, PG_DIAG_MESSAGE_PRIMARY));
}

static gboolean
setup_session (PGconn *conn)
{
  PGresult *result = PQexec (conn, session_setup);
  gboolean ok = PQresultStatus (result) == PGRES_COMMAND_OK;
  PQclear (result);
  return ok && PQsetnonblocking (conn, 1) == 0 && PQenterPipelineMode (conn);
}

CmDb *
cm_db_open (const char *dsn, CmPool *pool, GError **error)
{
  /* What stands before dbname are defaults which the connection string may override. */
  const char *keywords[] = {
    "fallback_application_name", "connect_timeout",  "keepalives_idle", "keepalives_interval",
    "keepalives_count",          "tcp_user_timeout", "dbname",          NULL
  };
  const char *values[] = { "comity", "5", "30", "10", "3", "60000", dsn, NULL };
  PGconn *conn = PQconnectdbParams (keywords, values, 1);
  PQsetNoticeReceiver (conn, on_notice, NULL);
  if (PQstatus (conn) != CONNECTION_OK || !setup_session (conn)) {
    cm_db_fail_to_connect (conn, error);
    PQfinish (conn);
    return NULL;
  }
  CmDb *db = g_new0 (CmDb, 1);
  db->pool = pool;
  db->conn = conn;
  db->prepared = g_hash_table_new (g_str_hash, g_str_equal);
  g_queue_init (&db->pending);
  return db;
}

void
cm_db_close (CmDb *db)
{
  PQfinish (db->conn);
  g_hash_table_unref (db->prepared);
  g_queue_clear_full (&db->pending, g_free);
  g_free (db);
}

gboolean
cm_db_is_alive (CmDb *db)
{
  if (PQstatus (db->conn) != CONNECTION_OK)
    return FALSE;
  /* What comes unasked is a notice, or the end: a server that shuts down says so first and then
   * closes. */
  struct pollfd fd = { .fd = PQsocket (db->conn), .events = POLLIN };
  while (poll (&fd, 1, 0) > 0) {
    if (!PQconsumeInput (db->conn) || PQisBusy (db->conn))
      return FALSE;
  }
  return TRUE;
}

/* Writes all that libpq holds, and reads meanwhile: a server whose answers nobody takes stops
 * reading. */
static gboolean
flush (CmDb *db)
{
  int left;
  while ((left = PQflush (db->conn)) > 0) {
    struct pollfd fd = { .fd = PQsocket (db->conn), .events = POLLIN | POLLOUT };
    if (poll (&fd, 1, -1) < 0 && errno != EINTR)
      return FALSE;
    if ((fd.revents & (POLLIN | POLLERR | POLLHUP)) != 0 && !PQconsumeInput (db->conn))
      return FALSE;
  }
  db->unflushed = 0;
  return left == 0;
}

static void
push (CmDb *db, PendingKind kind, const CmSql *sql)
{
  CmPending *pending = g_new (CmPending, 1);
  *pending = (CmPending){ kind, sql };
  g_queue_push_tail (&db->pending, pending);
  db->unsynced = kind != PENDING_SYNC;
  db->waiting += kind == PENDING_QUERY;
}

static gboolean
prepare (CmDb *db, const CmSql *sql)
{
  const char *known = g_hash_table_lookup (db->prepared, sql->name);
  if (known != NULL) {
    if (G_UNLIKELY (known != sql->sql && strcmp (known, sql->sql) != 0))
      g_error ("Two statements are called %s", sql->name);
    return TRUE;
  }
  if (!PQsendPrepare (db->conn, sql->name, sql->sql, 0, NULL))
    return FALSE;
  push (db, PENDING_PREPARE, sql);
  g_hash_table_insert (db->prepared, (char *) sql->name, (char *) sql->sql);
  return TRUE;
}

static gboolean
send_prepared (CmDb *db, const CmSql *sql, const CmArgs *args, PendingKind kind, GError **error)
{
  if (!prepare (db, sql) || !PQsendQueryPrepared (db->conn, sql->name, args->n, args->values,
                                                  args->lengths, args->formats, 1))
    return cm_db_fail (db, CM_ERROR_UNKNOWN, error);
  push (db, kind, sql);
  db->unflushed += args->size + 64;
  if (db->unflushed > FLUSH_SIZE && !flush (db))
    return cm_db_fail (db, CM_ERROR_UNKNOWN, error);
  return TRUE;
}

gboolean
cm_db_send_args (CmDb *db, const CmSql *sql, const CmArgs *args, GError **error)
{
  return send_prepared (db, sql, args, PENDING_QUERY, error);
}

gboolean
cm_db_send_quietly (CmDb *db, const CmSql *sql, GError **error)
{
  static const CmArgs none;
  return send_prepared (db, sql, &none, PENDING_QUIET, error);
}

gboolean
cm_db_send (CmDb *db, const CmSql *sql, const CmParam *params, gsize n_params, GError **error)
{
  g_autofree CmArgs *args = cm_args_new (params, n_params, FALSE, error);
  if (args == NULL)
    return FALSE;
  g_return_val_if_fail (args->n_positions == 0, FALSE);
  return cm_db_send_args (db, sql, args, error);
}

/* The next result; in a pipeline each but that of a sync is followed by a NULL. */
static PGresult *
next_result (CmDb *db)
{
  PGresult *result = PQgetResult (db->conn);
  if (result != NULL && PQresultStatus (result) != PGRES_PIPELINE_SYNC)
    PQclear (PQgetResult (db->conn));
  return result;
}

static gboolean
is_success (const PGresult *result)
{
  ExecStatusType status = PQresultStatus (result);
  return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
}

/* Reads up to the answer to a sync. What stands before it can only be an error: a statement outside
 * of a transaction is committed by the sync, after its own result. */
static gboolean
take_sync (CmDb *db)
{
  gboolean ok = TRUE;
  for (int nothing = 0;;) {
    PGresult *result = PQgetResult (db->conn);
    gboolean is_sync = PQresultStatus (result) == PGRES_PIPELINE_SYNC;
    if (result != NULL && !is_sync) {
      cm_db_note_failure (db, result, NULL);
      ok = FALSE;
    }
    nothing += result == NULL;
    PQclear (result);
    if (is_sync)
      return ok;
    if (PQstatus (db->conn) != CONNECTION_OK || nothing > 2) {
      db->failure = CM_ERROR_UNAVAILABLE;
      return FALSE;
    }
  }
}

/* Takes the answers to syncs that come next. Returns how the last failed, 0 when none did. */
static CmError
take_syncs (CmDb *db)
{
  CmError failure = CM_ERROR_UNKNOWN;
  CmPending *head;
  while ((head = g_queue_peek_head (&db->pending)) != NULL && head->kind == PENDING_SYNC) {
    if (!take_sync (db))
      failure = db->failure;
    db->failure = CM_ERROR_UNKNOWN;
    g_free (g_queue_pop_head (&db->pending));
  }
  return failure;
}

static gboolean
sync_all (CmDb *db)
{
  if (!db->unsynced)
    return TRUE;
  if (!PQpipelineSync (db->conn))
    return FALSE;
  push (db, PENDING_SYNC, NULL);
  return flush (db);
}

/* Takes the result of @pending, notes a failure. NULL unless it succeeded. */
static PGresult *
take_result (CmDb *db, const CmPending *pending)
{
  PGresult *result = next_result (db);
  if (result != NULL && is_success (result))
    return result;
  if (result == NULL)
    db->failure = CM_ERROR_UNAVAILABLE;
  else
    cm_db_note_failure (db, result, pending->sql);
  PQclear (result);
  if (pending->kind == PENDING_PREPARE)
    g_hash_table_remove (db->prepared, pending->sql->name);
  return NULL;
}

/* Takes results up to the next that a caller waits for, or all when there is none. NULL: it failed,
 * or there is none. */
static CmRows *
receive (CmDb *db, GError **error)
{
  if (!sync_all (db))
    db->failure = CM_ERROR_UNAVAILABLE;
  for (;;) {
    take_syncs (db);
    g_autofree CmPending *pending = g_queue_pop_head (&db->pending);
    if (pending == NULL)
      return NULL;
    PGresult *result = take_result (db, pending);
    if (pending->kind != PENDING_QUERY) {
      PQclear (result);
      continue;
    }
    db->waiting--;
    CmError failure = db->failure;
    CmError sync_failure = take_syncs (db);
    if (result != NULL && sync_failure == CM_ERROR_UNKNOWN)
      return cm_rows_new (result);
    cm_db_fail (db, result != NULL ? sync_failure : failure, error);
    PQclear (result);
    return NULL;
  }
}

CmRows *
cm_db_receive (CmDb *db, GError **error)
{
  g_return_val_if_fail (db->waiting > 0, NULL);
  return receive (db, error);
}

void
cm_db_drain (CmDb *db)
{
  while (!g_queue_is_empty (&db->pending))
    cm_rows_free (receive (db, NULL));
}

gboolean
cm_db_reset (CmDb *db)
{
  static const CmSql rollback = { "rollback", "ROLLBACK" };
  cm_db_drain (db);
  if (PQtransactionStatus (db->conn) == PQTRANS_IDLE)
    return TRUE;
  g_autoptr (CmRows) rows = cm_db_query (db, &rollback, CM_NO_ARGS, NULL);
  return PQtransactionStatus (db->conn) == PQTRANS_IDLE;
}

CmRows *
cm_db_query (CmDb *db, const CmSql *sql, const CmParam *params, gsize n_params, GError **error)
{
  if (db->waiting > 0)
    cm_db_drain (db);
  if (!cm_db_send (db, sql, params, n_params, error))
    return NULL;
  return receive (db, error);
}

gboolean
cm_db_run (CmDb *db, const CmSql *sql, const CmParam *params, gsize n_params, gint64 *affected,
           GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (db, sql, params, n_params, error);
  if (rows == NULL)
    return FALSE;
  if (affected != NULL)
    *affected = cm_rows_affected (rows);
  return TRUE;
}

gboolean
cm_db_script (CmDb *db, const char *script, GError **error)
{
  cm_db_drain (db);
  if (!PQexitPipelineMode (db->conn))
    return cm_db_fail (db, CM_ERROR_UNKNOWN, error);
  PGresult *result = PQexec (db->conn, script);
  gboolean ok = is_success (result) || PQresultStatus (result) == PGRES_EMPTY_QUERY;
  if (!ok) {
    cm_db_note_failure (db, result, NULL);
    cm_db_fail (db, db->failure, error);
  }
  db->failure = CM_ERROR_UNKNOWN;
  PQclear (result);
  return PQenterPipelineMode (db->conn) && ok;
}
