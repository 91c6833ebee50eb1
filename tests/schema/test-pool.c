#include "tests/support/test-cluster.h"

#include <signal.h>

static TestCluster *cluster;

static const CmSql one = { "one", "SELECT 1" };
static const CmSql backend = { "backend", "SELECT pg_backend_pid()" };

static gint64
query (CmDb *db, const CmSql *sql)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRows) rows = cm_db_query (db, sql, CM_NO_ARGS, &error);
  g_assert_no_error (error);
  return cm_rows_integer (rows, 0, 0);
}

static CmDb *
get (CmPool *pool)
{
  g_autoptr (GError) error = NULL;
  CmDb *db = cm_pool_get (pool, &error);
  g_assert_no_error (error);
  return db;
}

static void
test_exhaustion (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, FALSE);
  g_autoptr (GError) error = NULL;
  cm_pool_set_wait (pool, 100);
  CmDb *first = get (pool);
  g_autoptr (CmDb) second = get (pool);
  g_assert_nonnull (second);
  gint64 start = g_get_monotonic_time ();
  g_assert_null (cm_pool_get (pool, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE);
  g_assert_cmpint (g_get_monotonic_time () - start, >=, 95 * G_TIME_SPAN_MILLISECOND);
  cm_db_release (first);
  g_autoptr (CmDb) third = get (pool);
  g_assert_nonnull (third);
}

static gpointer
get_and_release (gpointer data)
{
  g_autoptr (CmDb) db = get (data);
  g_assert_cmpint (query (db, &one), ==, 1);
  return NULL;
}

static void
test_waiter_is_served (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 1, FALSE);
  CmDb *db = get (pool);
  GThread *waiter = g_thread_new ("waiter", get_and_release, pool);
  g_usleep (50 * G_TIME_SPAN_MILLISECOND);
  cm_db_release (db);
  g_thread_join (waiter);
}

static void
test_last_in_first_out (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, FALSE);
  CmDb *first = get (pool);
  CmDb *second = get (pool);
  gint64 pid = query (second, &backend);
  g_assert_cmpint (query (first, &backend), !=, pid);
  cm_db_release (first);
  cm_db_release (second);
  g_autoptr (CmDb) again = get (pool);
  g_assert_cmpint (query (again, &backend), ==, pid);
}

static gpointer
hammer (gpointer data)
{
  for (int i = 0; i < 200; i++)
    get_and_release (data);
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 3, FALSE);
  GThread *threads[8];
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("hammer", hammer, pool);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

static void
wait_for_server (CmPool *pool)
{
  for (int i = 0; i < 100; i++) {
    g_autoptr (CmDb) db = cm_pool_get (pool, NULL);
    if (db != NULL)
      return;
    g_usleep (50 * G_TIME_SPAN_MILLISECOND);
  }
  g_assert_not_reached ();
}

/* Idle connections that a restart broke are replaced before anybody notices; one that is lent tells
 * its user. */
static void
test_restart (gconstpointer signal)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 4, FALSE);
  g_autoptr (CmPool) probe = test_cluster_pool (cluster, 1, FALSE);
  g_autoptr (GError) error = NULL;
  CmDb *lent = get (pool);
  CmDb *idle = get (pool);
  g_assert_cmpint (query (lent, &one) + query (idle, &one), ==, 2);
  cm_db_release (idle);

  test_cluster_signal (cluster, GPOINTER_TO_INT (signal));
  g_usleep (100 * G_TIME_SPAN_MILLISECOND);
  wait_for_server (probe);
  g_assert_null (cm_db_query (lent, &one, CM_NO_ARGS, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE);
  g_clear_error (&error);
  g_assert_null (cm_db_query (lent, &one, CM_NO_ARGS, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE);
  cm_db_release (lent);

  g_autoptr (CmDb) fresh = get (pool);
  g_autoptr (CmDb) another = get (pool);
  g_assert_cmpint (query (fresh, &one) + query (another, &one), ==, 2);
}

static void
test_nobody_there (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmPool) pool = cm_pool_new ("host=/nonexistent dbname=comity", 2, &error);
  g_assert_no_error (error);
  g_assert_null (cm_pool_get (pool, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE);
}

static void
test_bad_dsn (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (cm_pool_new ("password=secret nonsense", 2, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
  g_assert_null (strstr (error->message, "secret"));
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
  g_test_add_func ("/pool/exhaustion", test_exhaustion);
  g_test_add_func ("/pool/waiter-is-served", test_waiter_is_served);
  g_test_add_func ("/pool/last-in-first-out", test_last_in_first_out);
  g_test_add_func ("/pool/threads", test_threads);
  g_test_add_func ("/pool/nobody-there", test_nobody_there);
  g_test_add_func ("/pool/bad-dsn", test_bad_dsn);
  g_test_add_data_func ("/pool/restart", GINT_TO_POINTER (SIGINT), test_restart);
  g_test_add_data_func ("/pool/crash", GINT_TO_POINTER (SIGKILL), test_restart);
  int status = g_test_run ();
  test_cluster_free (cluster);
  return status;
}
