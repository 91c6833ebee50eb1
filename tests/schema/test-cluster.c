#include "schema/cluster.h"
#include "tests/support/test-cluster.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const CmSql one = { "one", "SELECT 1" };

static CmCluster *
start (const char *dir)
{
  g_autoptr (GError) error = NULL;
  CmCluster *cluster = cm_cluster_start (dir, NULL, &error);
  g_assert_no_error (error);
  return cluster;
}

static pid_t
read_pid (const char *dir)
{
  g_autofree char *path = g_build_filename (dir, "data", "postmaster.pid", NULL);
  g_autofree char *text = NULL;
  return g_file_get_contents (path, &text, NULL, NULL) ? g_ascii_strtoll (text, NULL, 10) : 0;
}

static void
run (const char *dsn, const char *script)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmPool) pool = cm_pool_new (dsn, 1, &error);
  g_autoptr (CmDb) db = cm_pool_get (pool, &error);
  g_assert_no_error (error);
  g_assert_true (cm_db_script (db, script, &error));
}

static gboolean
answers (const char *dsn)
{
  g_autoptr (CmPool) pool = cm_pool_new (dsn, 1, NULL);
  g_autoptr (CmDb) db = cm_pool_get (pool, NULL);
  g_autoptr (CmRows) rows = db != NULL ? cm_db_query (db, &one, CM_NO_ARGS, NULL) : NULL;
  return rows != NULL;
}

static void
test_start_stop_start (const char *dir)
{
  g_autoptr (CmCluster) cluster = start (dir);
  run (cm_cluster_dsn (cluster), "CREATE TABLE kept (x int)");
  pid_t pid = read_pid (dir);
  g_clear_pointer (&cluster, cm_cluster_stop);
  g_assert_cmpint (kill (pid, 0), ==, -1);
  cluster = start (dir);
  run (cm_cluster_dsn (cluster), "INSERT INTO kept VALUES (1)");
}

static void
test_private (const char *dir)
{
  g_autoptr (CmCluster) cluster = start (dir);
  static const char *const names[] = { "run", "data" };
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    struct stat info;
    g_autofree char *path = g_build_filename (dir, names[i], NULL);
    g_assert_cmpint (stat (path, &info), ==, 0);
    g_assert_cmpint (info.st_mode & 0777, ==, 0700);
  }
  run (cm_cluster_dsn (cluster), "DO $$ BEGIN ASSERT current_setting('listen_addresses') = ''"
                                 " AND current_setting('data_checksums') = 'on'"
                                 " AND current_setting('server_encoding') = 'UTF8'; END $$");
}

/* Whatever kills the server, it comes back, with what was committed. */
static void
test_crash (const char *dir)
{
  g_autoptr (CmCluster) cluster = start (dir);
  run (cm_cluster_dsn (cluster), "CREATE TABLE kept (x int)");
  pid_t pid = read_pid (dir);
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  g_usleep (50 * G_TIME_SPAN_MILLISECOND);
  for (int i = 0; i < 100 && !answers (cm_cluster_dsn (cluster)); i++)
    g_usleep (50 * G_TIME_SPAN_MILLISECOND);
  g_assert_cmpint (read_pid (dir), !=, pid);
  run (cm_cluster_dsn (cluster), "INSERT INTO kept VALUES (1)");
}

/* A node that is killed leaves its server behind; the next one takes the data over. */
static void
test_left_over (const char *dir)
{
  pid_t node = fork ();
  if (node == 0) {
    g_autoptr (CmCluster) cluster = cm_cluster_start (dir, NULL, NULL);
    raise (SIGKILL);
  }
  g_assert_cmpint (waitpid (node, NULL, 0), ==, node);
  pid_t pid = read_pid (dir);
  g_assert_cmpint (pid, >, 0);
  g_assert_cmpint (kill (pid, 0), ==, 0);
  g_autoptr (CmCluster) cluster = start (dir);
  g_assert_cmpint (read_pid (dir), !=, pid);
  g_assert_true (answers (cm_cluster_dsn (cluster)));
}

static void
test_stale_pid_file (const char *dir)
{
  g_autoptr (CmCluster) cluster = start (dir);
  g_autofree char *path = g_build_filename (dir, "data", "postmaster.pid", NULL);
  g_clear_pointer (&cluster, cm_cluster_stop);
  g_autofree char *text = g_strdup_printf ("%d\n", getpid ());
  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  g_autoptr (GError) error = NULL;
  cluster = cm_cluster_start (dir, NULL, &error);
  g_assert_no_error (error);
}

static void
test_two_nodes (const char *dir)
{
  g_autoptr (CmCluster) cluster = start (dir);
  g_autoptr (GError) error = NULL;
  g_assert_null (cm_cluster_start (dir, NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
  g_assert_true (answers (cm_cluster_dsn (cluster)));
}

static void
move_data (const char *from, const char *to)
{
  g_autofree char *source = g_build_filename (from, "data", NULL);
  g_autofree char *target = g_build_filename (to, "data", NULL);
  g_assert_cmpint (g_mkdir_with_parents (to, 0700), ==, 0);
  g_assert_cmpint (g_rename (source, target), ==, 0);
}

/* A socket address holds 107 bytes. */
static void
test_long_name (const char *dir)
{
  g_autofree char *name = g_strnfill (120, 'x');
  g_autofree char *path = g_build_filename (dir, name, NULL);
  move_data (dir, path);
  g_autoptr (CmCluster) cluster = start (path);
  g_assert_true (answers (cm_cluster_dsn (cluster)));
}

static void
test_odd_name (const char *dir)
{
  static const char *const names[] = { "it's \"odd\" \\", "this, too" };
  for (gsize i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *path = g_build_filename (dir, names[i], NULL);
    move_data (dir, path);
    g_autoptr (CmCluster) cluster = start (path);
    g_assert_true (answers (cm_cluster_dsn (cluster)));
    g_clear_pointer (&cluster, cm_cluster_stop);
    move_data (path, dir);
  }
}

static void
test_interrupted_initdb (const char *dir)
{
  g_autofree char *partial = g_build_filename (dir, "data.partial", "base", NULL);
  g_assert_cmpint (g_mkdir_with_parents (partial, 0700), ==, 0);
  g_autoptr (CmCluster) cluster = start (dir);
  g_assert_true (answers (cm_cluster_dsn (cluster)));
}

static void
test_unusable_data (const char *dir)
{
  g_autofree char *data = g_build_filename (dir, "data", NULL);
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (g_mkdir (data, 0700), ==, 0);
  g_assert_null (cm_cluster_start (dir, NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
}

static void
test_wrong_setting (const char *dir)
{
  g_autoptr (CmCluster) cluster = start (dir);
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_build_filename (dir, "data", "postgresql.conf", NULL);
  g_clear_pointer (&cluster, cm_cluster_stop);
  g_assert_true (g_file_set_contents (path, "nonsense = on\n", -1, NULL));
  g_assert_null (cm_cluster_start (dir, NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE);
}

static void
in_new_dir (gconstpointer test)
{
  g_autofree char *dir = test_make_dir ();
  ((void (*) (const char *)) test) (dir);
  test_remove_dir (dir);
}

/* initdb syncs a thousand files: one cluster is made and copied for the tests that want one. */
static const char *
template_data (void)
{
  static char *data;
  if (data != NULL)
    return data;
  g_autofree char *dir = test_make_dir ();
  data = g_build_filename (dir, "data", NULL);
  cm_cluster_stop (start (dir));
  g_autofree char *path = g_build_filename (data, "postgresql.conf", NULL);
  g_assert_true (g_file_set_contents (path, "include 'comity.conf'\nfsync = off\n", -1, NULL));
  return data;
}

static void
in_made_dir (gconstpointer test)
{
  g_autofree char *dir = test_make_dir ();
  const char *argv[] = { "cp", "-r", template_data (), dir, NULL };
  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                               NULL, NULL, NULL));
  ((void (*) (const char *)) test) (dir);
  test_remove_dir (dir);
}

/* A command beside a node uses the node's server and leaves it running. */
static void
test_join (const char *dir)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmCluster) cluster = start (dir);
  g_autoptr (CmCluster) joined = cm_cluster_join (dir, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (cm_cluster_dsn (joined), ==, cm_cluster_dsn (cluster));
  run (cm_cluster_dsn (joined), "CREATE TABLE kept (x int)");
  g_clear_pointer (&joined, cm_cluster_stop);
  run (cm_cluster_dsn (cluster), "INSERT INTO kept VALUES (1)");
}

/* Without a node it starts one and stops it. */
static void
test_join_alone (const char *dir)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmCluster) joined = cm_cluster_join (dir, NULL, &error);
  g_assert_no_error (error);
  pid_t pid = read_pid (dir);
  g_assert_true (answers (cm_cluster_dsn (joined)));
  g_clear_pointer (&joined, cm_cluster_stop);
  g_assert_cmpint (kill (pid, 0), ==, -1);
}

static void
refuse_root (void)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (cm_cluster_start ("/nonexistent", NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
}

int
main (int argc, char **argv)
{
  /* Before the program stops being root. */
  if (geteuid () == 0)
    refuse_root ();
  test_cluster_init (&argc, &argv);
  g_test_add_data_func ("/cluster/start-stop-start", test_start_stop_start, in_made_dir);
  g_test_add_data_func ("/cluster/private", test_private, in_new_dir);
  g_test_add_data_func ("/cluster/crash", test_crash, in_made_dir);
  g_test_add_data_func ("/cluster/left-over", test_left_over, in_made_dir);
  g_test_add_data_func ("/cluster/stale-pid-file", test_stale_pid_file, in_made_dir);
  g_test_add_data_func ("/cluster/two-nodes", test_two_nodes, in_made_dir);
  g_test_add_data_func ("/cluster/join", test_join, in_made_dir);
  g_test_add_data_func ("/cluster/join-alone", test_join_alone, in_made_dir);
  g_test_add_data_func ("/cluster/long-name", test_long_name, in_made_dir);
  g_test_add_data_func ("/cluster/odd-name", test_odd_name, in_made_dir);
  g_test_add_data_func ("/cluster/interrupted-initdb", test_interrupted_initdb, in_new_dir);
  g_test_add_data_func ("/cluster/unusable-data", test_unusable_data, in_new_dir);
  if (g_test_slow ())
    g_test_add_data_func ("/cluster/wrong-setting", test_wrong_setting, in_made_dir);
  return g_test_run ();
}
