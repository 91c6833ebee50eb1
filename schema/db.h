/* PostgreSQL through libpq: a pool of connections, prepared statements that prepare themselves,
 * typed parameters and binary results. Blocking: for worker threads only, never for the loop that
 * serves connections. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

/* A statement with its name, one static const per statement: it is prepared once on each connection
 * that meets it. */
typedef struct {
  const char *name;
  const char *sql;
} CmSql;

typedef enum {
  CM_PARAM_NULL,
  CM_PARAM_TEXT,
  CM_PARAM_STRING, /* text with its length */
  CM_PARAM_INTEGER,
  CM_PARAM_BOOLEAN,
  CM_PARAM_BYTES,
  CM_PARAM_INTEGERS, /* a bigint[] */
  CM_PARAM_TEXTS,    /* a text[], NULL-terminated strv */
  CM_PARAM_POSITION, /* the stream position that the committer allots, plus an offset; in a CmWrite
                        only */
} CmParamType;

/* One parameter. Borrows what it points at until the call it stands in returns (CmWrite copies). */
typedef struct {
  CmParamType type;
  gint64 integer;
  const void *data;
  gsize length;
} CmParam;

/* The parameters of one call: CM_ARGS (CM_TEXT (user), CM_INT (limit)). CM_NO_ARGS for none. NULL
 * text is SQL NULL. */
#define CM_TEXT(text) ((CmParam){ .type = CM_PARAM_TEXT, .data = (text) })
/* Text that may hold U+0000, which PostgreSQL cannot store: such a call fails with
 * CM_ERROR_INVALID_PARAM. */
#define CM_STRING(text, size)                                                                      \
  ((CmParam){ .type = CM_PARAM_STRING, .data = (text), .length = (size) })
#define CM_INT(value)   ((CmParam){ .type = CM_PARAM_INTEGER, .integer = (value) })
#define CM_BOOL(value)  ((CmParam){ .type = CM_PARAM_BOOLEAN, .integer = (value) })
#define CM_BYTES(bytes) (cm_param_bytes (bytes))
#define CM_DATA(pointer, size)                                                                     \
  ((CmParam){ .type = CM_PARAM_BYTES, .data = (pointer), .length = (size) })
#define CM_INTS(values, count)                                                                     \
  ((CmParam){ .type = CM_PARAM_INTEGERS, .data = (values), .length = (count) })
#define CM_TEXTS(strv)      ((CmParam){ .type = CM_PARAM_TEXTS, .data = (strv) })
#define CM_SQL_NULL         ((CmParam){ .type = CM_PARAM_NULL })
#define CM_POSITION(offset) ((CmParam){ .type = CM_PARAM_POSITION, .integer = (offset) })
#define CM_ARGS(...)                                                                               \
  ((const CmParam[]){ __VA_ARGS__ }), G_N_ELEMENTS (((const CmParam[]){ __VA_ARGS__ }))
#define CM_NO_ARGS NULL, 0

CmParam cm_param_bytes (GBytes *bytes);             /* NULL is SQL NULL */
CmParam cm_param_integers (const GArray *integers); /* of gint64; NULL is SQL NULL */
/* Of char*; puts a NULL behind the last of them unless one stands there. */
CmParam cm_param_texts (GPtrArray *texts);

typedef struct _CmPool CmPool;
typedef struct _CmDb CmDb;     /* one connection, borrowed from the pool by one thread */
typedef struct _CmRows CmRows; /* one immutable result */

/**
 * cm_pool_new: connections to @dsn (a libpq connection string), opened when needed, at most @max.
 * A broken connection is replaced; a caller waits for a free one at most 10 seconds
 * (CM_ERROR_UNAVAILABLE).
 */
CmPool *cm_pool_new (const char *dsn, guint max, GError **error);
void cm_pool_free (CmPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmPool, cm_pool_free)

/* How long a caller waits for a free connection. */
void cm_pool_set_wait (CmPool *pool, guint milliseconds);

CmDb *cm_pool_get (CmPool *pool, GError **error);
/* Hands the connection back; an open transaction is rolled back. */
void cm_db_release (CmDb *db);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmDb, cm_db_release)

/* Runs @sql and returns its rows (transfer full), NULL with CM_ERROR_DATABASE, CM_ERROR_CONFLICT
 * (unique violation, serialization failure, deadlock) or CM_ERROR_UNAVAILABLE (connection lost).
 * SQL and server messages go to the log only. */
CmRows *
cm_db_query (CmDb *db, const CmSql *sql, const CmParam *params, gsize n_params, GError **error);
/* As cm_db_query for statements whose rows do not matter; @affected (nullable) gets their number.
 */
gboolean cm_db_run (CmDb *db, const CmSql *sql, const CmParam *params, gsize n_params,
                    gint64 *affected, GError **error);
/* Several statements without parameters, as in a migration file. */
gboolean cm_db_script (CmDb *db, const char *script, GError **error);

/* Pipelining: cm_db_send any number, then cm_db_receive as many results in order. One round trip
 * for all. What stands between two round trips is one transaction: after a failure the rest fails
 * too, with the same code, and only the success of the last says that it was committed. Results
 * that nobody received are dropped by the next cm_db_query, the end of the transaction or the
 * release. */
gboolean
cm_db_send (CmDb *db, const CmSql *sql, const CmParam *params, gsize n_params, GError **error);
CmRows *cm_db_receive (CmDb *db, GError **error);

/* A transaction is a scope: g_autoptr (CmTransaction) tx = cm_transaction_begin (db, error); rolled
 * back unless committed. */
typedef struct _CmTransaction CmTransaction;
CmTransaction *cm_transaction_begin (CmDb *db, GError **error);
/* After CM_ERROR_UNAVAILABLE it is unknown whether the transaction was committed. */
gboolean cm_transaction_commit (CmTransaction *transaction, GError **error);
void cm_transaction_end (CmTransaction *transaction);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmTransaction, cm_transaction_end)

void cm_rows_free (CmRows *rows);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmRows, cm_rows_free)
gsize cm_rows_count (const CmRows *rows);
gboolean cm_rows_is_null (const CmRows *rows, gsize row, int column);
/* Borrowed from @rows. NULL for SQL NULL. */
const char *cm_rows_text (const CmRows *rows, gsize row, int column);
const void *cm_rows_data (const CmRows *rows, gsize row, int column, gsize *length);
/* int2, int4 or int8; 0 for SQL NULL. */
gint64 cm_rows_integer (const CmRows *rows, gsize row, int column);
gboolean cm_rows_boolean (const CmRows *rows, gsize row, int column);
/* (transfer full) copies. */
GBytes *cm_rows_bytes (const CmRows *rows, gsize row, int column);
GArray *cm_rows_integers (const CmRows *rows, gsize row,
                          int column); /* of gint64, from a bigint[]; empty for NULL */

G_END_DECLS
