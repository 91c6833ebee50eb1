#include "federation/outbound-pool.h"

#define IDLE_SECONDS   45 /* less than the 60 that common servers keep an idle connection */
#define MAX_PER_POOL   8
#define POOL_IDLE_USEC (3 * 60 * G_USEC_PER_SEC)

struct _CmOutboundPool {
  SoupSession *session;
  guint running;
  gint64 used; /* monotonic */
};

struct _CmOutboundPools {
  GTlsDatabase *database; /* nullable */
  GHashTable *all;        /* name -> CmOutboundPool */
};

static void
pool_free (gpointer data)
{
  CmOutboundPool *pool = data;

  soup_session_abort (pool->session);
  g_object_unref (pool->session);
  g_free (pool);
}

static CmOutboundPool *
pool_new (GTlsDatabase *database)
{
  CmOutboundPool *pool = g_new0 (CmOutboundPool, 1);

  /* No proxy: it would resolve names itself. */
  pool->session = soup_session_new_with_options (
      "max-conns", MAX_PER_POOL, "max-conns-per-host", MAX_PER_POOL, "idle-timeout", IDLE_SECONDS,
      "timeout", 0, "proxy-resolver", NULL, "user-agent", "Comity/" CM_VERSION, NULL);
  /* Answers of 401 go to the caller; nothing of one request may stick to the next. */
  soup_session_remove_feature_by_type (pool->session, SOUP_TYPE_AUTH_MANAGER);
  if (database != NULL)
    soup_session_set_tls_database (pool->session, database);
  return pool;
}

static gboolean
pool_is_idle (gpointer name, gpointer data, gpointer now)
{
  const CmOutboundPool *pool = data;

  return pool->running == 0 && pool->used + POOL_IDLE_USEC < *(gint64 *) now;
}

CmOutboundPools *
cm_outbound_pools_new (GTlsDatabase *database)
{
  CmOutboundPools *pools = g_new0 (CmOutboundPools, 1);

  pools->database = database != NULL ? g_object_ref (database) : NULL;
  pools->all = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, pool_free);
  return pools;
}

void
cm_outbound_pools_free (CmOutboundPools *pools)
{
  g_hash_table_unref (pools->all);
  g_clear_object (&pools->database);
  g_free (pools);
}

CmOutboundPool *
cm_outbound_pools_enter (CmOutboundPools *pools, const char *name)
{
  CmOutboundPool *pool = g_hash_table_lookup (pools->all, name);

  if (pool == NULL) {
    pool = pool_new (pools->database);
    g_hash_table_insert (pools->all, g_strdup (name), pool);
  }
  pool->running++;
  return pool;
}

void
cm_outbound_pool_leave (CmOutboundPool *pool)
{
  pool->running--;
  pool->used = g_get_monotonic_time ();
}

SoupSession *
cm_outbound_pool_session (CmOutboundPool *pool)
{
  return pool->session;
}

void
cm_outbound_pools_sweep (CmOutboundPools *pools)
{
  gint64 now = g_get_monotonic_time ();

  g_hash_table_foreach_remove (pools->all, pool_is_idle, &now);
}
