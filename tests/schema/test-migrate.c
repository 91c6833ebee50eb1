#include "schema/migrate.h"
#include "tests/support/test-cluster.h"

static TestCluster *cluster;

/* Up to three files; @last stands in for the content of the last. */
static gboolean
migrate (CmPool *pool, gsize n, const char *last, GError **error)
{
  const char *texts[] = { "CREATE TABLE a (x int); CREATE TABLE b (x int);",
                          "INSERT INTO a VALUES (1)", "INSERT INTO a VALUES (2)" };
  CmMigration files[] = { { "0001-a.sql", NULL }, { "0002-b.sql", NULL }, { "0003-c.sql", NULL } };
  if (last != NULL)
    texts[n - 1] = last;
  for (gsize i = 0; i < n; i++)
    files[i].sql = g_bytes_new_static (texts[i], strlen (texts[i]));
  gboolean ok = cm_migrate_files (pool, files, n, error);
  for (gsize i = 0; i < n; i++)
    g_bytes_unref (files[i].sql);
  return ok;
}

static gint64
query (CmPool *pool, const char *text)
{
  g_autoptr (GError) error = NULL;
  const CmSql sql = { text, text };
  g_autoptr (CmDb) db = cm_pool_get (pool, &error);
  g_assert_no_error (error);
  g_autoptr (CmRows) rows = cm_db_query (db, &sql, CM_NO_ARGS, &error);
  g_assert_no_error (error);
  return cm_rows_integer (rows, 0, 0);
}

static void
run (CmPool *pool, const char *script)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmDb) db = cm_pool_get (pool, &error);
  cm_db_script (db, script, &error);
  g_assert_no_error (error);
}

static void
test_fresh_and_again (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, FALSE);
  g_autoptr (GError) error = NULL;
  for (int i = 0; i < 2; i++) {
    g_assert_true (cm_migrate (pool, &error));
    g_assert_no_error (error);
  }
  g_assert_cmpint (query (pool, "SELECT min(number) FROM schema_migration"), ==, 1);
  g_assert_cmpint (query (pool, "SELECT max(number) - count(*) FROM schema_migration"), ==, 0);
  g_assert_cmpint (query (pool, "SELECT count(*) FROM stream WHERE position = 0"), ==, 1);
}

static void
test_one_more (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, FALSE);
  g_autoptr (GError) error = NULL;
  g_assert_true (migrate (pool, 2, NULL, &error));
  g_assert_cmpint (query (pool, "SELECT count(*) FROM a"), ==, 1);
  g_assert_true (migrate (pool, 3, NULL, &error));
  g_assert_cmpint (query (pool, "SELECT count(*) FROM a"), ==, 2);
}

static void
test_checksum (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, FALSE);
  g_autoptr (GError) error = NULL;
  g_assert_true (migrate (pool, 2, NULL, &error));
  g_assert_false (migrate (pool, 2, "INSERT INTO a VALUES (3)", &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
  g_assert_nonnull (strstr (error->message, "0002-b.sql"));
  g_assert_cmpint (query (pool, "SELECT count(*) FROM a"), ==, 1);
}

static void
test_unknown_number (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, FALSE);
  g_autoptr (GError) error = NULL;
  g_assert_true (migrate (pool, 3, NULL, &error));
  g_assert_false (migrate (pool, 2, NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
  g_clear_error (&error);
  run (pool, "DELETE FROM schema_migration WHERE number = 2");
  g_assert_false (migrate (pool, 3, NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
}

static void
test_gap (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, FALSE);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) sql = g_bytes_new_static ("SELECT 1", 8);
  const CmMigration gap[] = { { "0001-a.sql", sql }, { "0003-c.sql", sql } };
  g_assert_false (cm_migrate_files (pool, gap, 2, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
  g_assert_cmpint (
      query (pool, "SELECT count(*) FROM pg_tables WHERE tablename = 'schema_migration'"), ==, 0);
}

static void
test_failure_leaves_nothing (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, FALSE);
  g_autoptr (GError) error = NULL;
  g_assert_false (migrate (pool, 2, "INSERT INTO a VALUES (7); SELECT 1 / 0", &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_DATABASE);
  g_clear_error (&error);
  g_assert_cmpint (query (pool, "SELECT count(*) FROM a"), ==, 0);
  g_assert_cmpint (query (pool, "SELECT count(*) FROM schema_migration"), ==, 1);
  g_assert_true (migrate (pool, 2, NULL, &error));
  g_assert_cmpint (query (pool, "SELECT count(*) FROM a"), ==, 1);
}

static gpointer
migrate_in_thread (gpointer pool)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (migrate (pool, 3, NULL, &error));
  g_assert_no_error (error);
  return NULL;
}

static void
test_many_nodes_at_once (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 4, FALSE);
  GThread *threads[4];
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("node", migrate_in_thread, pool);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  g_assert_cmpint (query (pool, "SELECT count(*) FROM a"), ==, 2);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
  g_test_add_func ("/migrate/fresh-and-again", test_fresh_and_again);
  g_test_add_func ("/migrate/one-more", test_one_more);
  g_test_add_func ("/migrate/checksum", test_checksum);
  g_test_add_func ("/migrate/unknown-number", test_unknown_number);
  g_test_add_func ("/migrate/gap", test_gap);
  g_test_add_func ("/migrate/failure-leaves-nothing", test_failure_leaves_nothing);
  g_test_add_func ("/migrate/many-nodes-at-once", test_many_nodes_at_once);
  int status = g_test_run ();
  test_cluster_free (cluster);
  return status;
}
