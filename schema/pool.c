#include "schema/db-private.h"

#define DEFAULT_WAIT_MS 10000
/* A server that restarts is away for about this long. */
#define RETRY_USEC (250 * G_TIME_SPAN_MILLISECOND)

struct _CmPool {
  char *dsn;
  guint max;
  gint64 wait; /* microseconds */
  GMutex mutex;
  GCond returned;
  GPtrArray *idle; /* the last returned, and warmest, stands last */
  guint open;      /* idle, lent and being opened */
};

CmPool *
cm_pool_new (const char *dsn, guint max, GError **error)
{
  g_return_val_if_fail (max > 0, NULL);
  char *complaint = NULL;
  PQconninfoOption *options = PQconninfoParse (dsn, &complaint);
  if (options == NULL) {
    /* libpq's complaint may quote the password. */
    g_set_error_literal (error, CM_ERROR, CM_ERROR_CONFIG,
                         "[database] dsn is no connection string of libpq");
    PQfreemem (complaint);
    return NULL;
  }
  PQconninfoFree (options);

  CmPool *pool = g_new0 (CmPool, 1);
  pool->dsn = g_strdup (dsn);
  pool->max = max;
  pool->wait = DEFAULT_WAIT_MS * G_TIME_SPAN_MILLISECOND;
  g_mutex_init (&pool->mutex);
  g_cond_init (&pool->returned);
  pool->idle = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_db_close);
  return pool;
}

void
cm_pool_free (CmPool *pool)
{
  if (pool == NULL)
    return;
  if (pool->open != pool->idle->len)
    g_error ("The database pool is freed while %u connections are lent",
             pool->open - pool->idle->len);
  g_ptr_array_unref (pool->idle);
  g_cond_clear (&pool->returned);
  g_mutex_clear (&pool->mutex);
  g_free (pool->dsn);
  g_free (pool);
}

void
cm_pool_set_wait (CmPool *pool, guint milliseconds)
{
  pool->wait = milliseconds * G_TIME_SPAN_MILLISECOND;
}

const char *
cm_pool_dsn (const CmPool *pool)
{
  return pool->dsn;
}

/* An idle connection, or NULL with the right to open one (@may_open), or neither after the wait. */
static CmDb *
take_idle (CmPool *pool, gboolean *may_open)
{
  gint64 deadline = g_get_monotonic_time () + pool->wait;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&pool->mutex);
  *may_open = FALSE;
  while (pool->idle->len == 0 && pool->open >= pool->max) {
    if (!g_cond_wait_until (&pool->returned, &pool->mutex, deadline))
      return NULL;
  }
  if (pool->idle->len > 0)
    return g_ptr_array_steal_index_fast (pool->idle, pool->idle->len - 1);
  pool->open++;
  *may_open = TRUE;
  return NULL;
}

static void
give_back (CmPool *pool, CmDb *idle)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&pool->mutex);
  if (idle != NULL)
    g_ptr_array_add (pool->idle, idle);
  else
    pool->open--;
  g_cond_signal (&pool->returned);
}

/* Opens a connection in the place of one that the pool has counted already. */
static CmDb *
open_counted (CmPool *pool, GError **error)
{
  CmDb *db = cm_db_open (pool->dsn, pool, NULL);
  if (db == NULL) {
    g_usleep (RETRY_USEC);
    db = cm_db_open (pool->dsn, pool, error);
  }
  if (db == NULL)
    give_back (pool, NULL);
  return db;
}

CmDb *
cm_pool_get (CmPool *pool, GError **error)
{
  gboolean may_open;
  CmDb *db = take_idle (pool, &may_open);
  if (db != NULL && cm_db_is_alive (db))
    return db;
  if (db == NULL && !may_open) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "The database is busy");
    return NULL;
  }
  if (db != NULL)
    cm_db_close (db);
  return open_counted (pool, error);
}

void
cm_db_release (CmDb *db)
{
  if (db == NULL)
    return;
  CmPool *pool = db->pool;
  if (!cm_db_reset (db)) {
    cm_db_close (db);
    db = NULL;
  }
  give_back (pool, db);
}
