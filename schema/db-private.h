/* What the files of a connection share: opening and resetting, for the pool; encoded arguments, for
 * the committer. */
#pragma once

#include "schema/args.h"

#include <libpq-fe.h>

G_BEGIN_DECLS

struct _CmDb {
  CmPool *pool;         /* where it goes back to */
  PGconn *conn;         /* always in pipeline mode and non-blocking */
  GHashTable *prepared; /* statement name -> its SQL, ready or on the way */
  GQueue pending;       /* of CmPending: results to come, in order */
  guint waiting;        /* how many of them a caller will receive */
  gboolean unsynced;    /* something was sent after the last sync */
  gsize unflushed;      /* bytes that libpq may still hold */
  CmError
      failure; /* what broke what stands between two syncs; 0 (CM_ERROR_UNKNOWN) when nothing did */
};

/* Opens a connection of its own; NULL with CM_ERROR_UNAVAILABLE. */
CmDb *cm_db_open (const char *dsn, CmPool *pool, GError **error);
void cm_db_close (CmDb *db);
/* FALSE when the server has hung up on the idle @db. */
gboolean cm_db_is_alive (CmDb *db);
/* Drops results that nobody received and rolls back; FALSE when @db is of no further use. */
gboolean cm_db_reset (CmDb *db);
/* Drops results that nobody received. */
void cm_db_drain (CmDb *db);

gboolean cm_db_send_args (CmDb *db, const CmSql *sql, const CmArgs *args, GError **error);
/* Sends a statement whose success is of no interest: its failure becomes that of the next received.
 */
gboolean cm_db_send_quietly (CmDb *db, const CmSql *sql, GError **error);

/* db-failure.c */
/* Always FALSE: sets what @code is to a caller, or CM_ERROR_UNAVAILABLE when the connection is
 * lost. */
gboolean cm_db_fail (CmDb *db, CmError code, GError **error);
/* Notes what @result, of @sql (nullable), says went wrong. Of what follows in an aborted pipeline
 * only the first failure counts. */
void cm_db_note_failure (CmDb *db, const PGresult *result, const CmSql *sql);
/* Logs why @conn did not come about. */
void cm_db_fail_to_connect (const PGconn *conn, GError **error);

/* (transfer full) of @result. */
CmRows *cm_rows_new (PGresult *result);
gint64 cm_rows_affected (const CmRows *rows);
/* The command tag, e.g. "COMMIT". */
const char *cm_rows_tag (const CmRows *rows);

const char *cm_pool_dsn (const CmPool *pool);

G_END_DECLS
