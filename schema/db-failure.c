/* What the failures of PostgreSQL are to callers, and what the log learns of them. */
#include "schema/db-private.h"

#include <string.h>

/* libpq's messages go on with guesses on further lines. */
static void
warn (const char *what, const char *message)
{
  g_warning ("%s: %.*s", what, (int) strcspn (message, "\n"), message);
}

static void
set_unavailable (GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The database is not available");
}

/* SQLSTATE by class or whole; the first row that is a prefix decides. */
static const struct {
  const char *prefix;
  CmError code;
} sqlstates[] = {
  { "23505", CM_ERROR_CONFLICT },    /* unique_violation */
  { "40001", CM_ERROR_CONFLICT },    /* serialization_failure */
  { "40P01", CM_ERROR_CONFLICT },    /* deadlock_detected */
  { "57P0", CM_ERROR_UNAVAILABLE },  /* shutting down, starting up, dropped */
  { "08", CM_ERROR_UNAVAILABLE },    /* connection exceptions */
  { "53300", CM_ERROR_UNAVAILABLE }, /* too_many_connections */
  { "25006",
    CM_ERROR_UNAVAILABLE }, /* read_only_sql_transaction: a standby, in the middle of a failover */
  { "25P03", CM_ERROR_UNAVAILABLE }, /* idle_in_transaction_session_timeout */
};

static CmError
code_of_sqlstate (const char *sqlstate)
{
  for (gsize i = 0; i < G_N_ELEMENTS (sqlstates); i++) {
    if (g_str_has_prefix (sqlstate, sqlstates[i].prefix))
      return sqlstates[i].code;
  }
  return CM_ERROR_DATABASE;
}

/* Tells the log what failed without the values: messages of class 22 (data exception) and P0
 * (raised) quote them, and so do all details. */
static void
log_failure (const PGresult *result, const CmSql *sql, const char *sqlstate, CmError code)
{
  gboolean quotes = g_str_has_prefix (sqlstate, "22") || g_str_has_prefix (sqlstate, "P0");
  const char *message = quotes ? NULL : PQresultErrorField (result, PG_DIAG_MESSAGE_PRIMARY);
  g_log (G_LOG_DOMAIN, code == CM_ERROR_CONFLICT ? G_LOG_LEVEL_DEBUG : G_LOG_LEVEL_WARNING,
         "SQL statement %s failed: SQLSTATE %s %s", sql != NULL ? sql->name : "(script)", sqlstate,
         message != NULL ? message : "");
}

void
cm_db_fail_to_connect (const PGconn *conn, GError **error)
{
  warn ("Cannot connect to PostgreSQL", PQerrorMessage (conn));
  set_unavailable (error);
}

void
cm_db_note_failure (CmDb *db, const PGresult *result, const CmSql *sql)
{
  if (PQresultStatus (result) == PGRES_PIPELINE_ABORTED)
    return;
  const char *sqlstate = PQresultErrorField (result, PG_DIAG_SQLSTATE);
  if (sqlstate == NULL) { /* libpq's own: the connection broke */
    warn ("Connection to PostgreSQL lost", PQresultErrorMessage (result));
    db->failure = CM_ERROR_UNAVAILABLE;
    return;
  }
  db->failure = code_of_sqlstate (sqlstate);
  log_failure (result, sql, sqlstate, db->failure);
}

gboolean
cm_db_fail (CmDb *db, CmError code, GError **error)
{
  if (code == CM_ERROR_UNAVAILABLE || PQstatus (db->conn) != CONNECTION_OK)
    set_unavailable (error);
  else if (code == CM_ERROR_CONFLICT)
    g_set_error_literal (error, CM_ERROR, code, "This conflicts with what was stored meanwhile");
  else
    g_set_error_literal (error, CM_ERROR, CM_ERROR_DATABASE, "The database failed");
  return FALSE;
}
