#include "tests/support/test-cluster.h"

#include "schema/cluster.h"
#include "schema/migrate.h"

#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

struct _TestCluster {
  CmCluster *cluster;
  char *dir;
  guint databases;
  gboolean migrated; /* database comity is, and serves as the template */
};

static char *base_dir; /* of this program */

static void
become_nobody (char **argv)
{
  if (geteuid () != 0)
    return;
  /* A test that starts itself once more must find itself where nobody else may look, below /root
   * for one. */
  static char self[] = "/proc/self/exe";
  argv[0] = self;
  g_assert_cmpint (chdir ("/"), ==, 0);
  const struct passwd *nobody = getpwnam ("nobody");
  g_assert_nonnull (nobody);
  g_assert_cmpint (setgroups (0, NULL), ==, 0);
  g_assert_cmpint (setgid (nobody->pw_gid), ==, 0);
  g_assert_cmpint (setuid (nobody->pw_uid), ==, 0);
  g_setenv ("HOME", "/nonexistent", TRUE);
  g_unsetenv ("XDG_RUNTIME_DIR");
}

static int
remove_one (const char *path, const struct stat *info, int type, struct FTW *where)
{
  return remove (path);
}

static int
stop_server (const char *path, const struct stat *info, int type, struct FTW *where)
{
  g_autofree char *text = NULL;
  if (g_str_has_suffix (path, "/postmaster.pid") && g_file_get_contents (path, &text, NULL, NULL) &&
      g_ascii_strtoll (text, NULL, 10) > 1)
    kill ((pid_t) g_ascii_strtoll (text, NULL, 10), SIGQUIT);
  return 0;
}

/* A test that crashes or is killed must not leave servers and directories behind: this process
 * outlives it, and sees to that. */
static void
fork_guard (const char *dir)
{
  int ends[2];
  g_assert_cmpint (pipe2 (ends, O_CLOEXEC), ==, 0);
  pid_t pid = fork ();
  g_assert_cmpint (pid, >=, 0);
  if (pid > 0) {
    close (ends[0]);
    return;
  }
  setsid ();
  for (int fd = 0; fd < 3; fd++)
    close (fd);
  close (ends[1]);
  char byte;
  while (read (ends[0], &byte, 1) > 0)
    ;
  /* A server that is going may still make and remove files. */
  for (int i = 0; i < 200 && g_file_test (dir, G_FILE_TEST_EXISTS); i++) {
    nftw (dir, stop_server, 16, FTW_PHYS);
    nftw (dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    g_usleep (50 * G_TIME_SPAN_MILLISECOND);
  }
  _exit (0);
}

void
test_cluster_init (int *argc, char ***argv)
{
  g_autoptr (GError) error = NULL;
  become_nobody (*argv);
  g_test_init (argc, argv, NULL);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
  base_dir = g_dir_make_tmp ("comity-test-XXXXXX", &error);
  g_assert_no_error (error);
  fork_guard (base_dir);
}

char *
test_make_dir (void)
{
  char *dir = g_build_filename (base_dir, "XXXXXX", NULL);
  g_assert_nonnull (g_mkdtemp (dir));
  return dir;
}

void
test_remove_dir (const char *path)
{
  g_assert_cmpint (nftw (path, remove_one, 16, FTW_DEPTH | FTW_PHYS), ==, 0);
}

void
test_cluster_free (TestCluster *cluster)
{
  if (cluster == NULL)
    return;
  cm_cluster_stop (cluster->cluster);
  test_remove_dir (cluster->dir);
  g_free (cluster->dir);
  g_free (cluster);
}

static CmPool *
pool_on (const char *dsn, guint max)
{
  g_autoptr (GError) error = NULL;
  CmPool *pool = cm_pool_new (dsn, max, &error);
  g_assert_no_error (error);
  return pool;
}

/* Migrates the cluster's own database once: copying it is much faster than migrating each. */
static void
migrate_template (TestCluster *cluster)
{
  g_autoptr (GError) error = NULL;
  if (cluster->migrated)
    return;
  g_autoptr (CmPool) pool = pool_on (cm_cluster_dsn (cluster->cluster), 1);
  cm_migrate (pool, &error);
  g_assert_no_error (error);
  cluster->migrated = TRUE;
}

static char *
dsn_of (TestCluster *cluster, const char *database)
{
  return g_strdup_printf ("%s dbname=%s", cm_cluster_dsn (cluster->cluster), database);
}

char *
test_cluster_database (TestCluster *cluster, gboolean migrated)
{
  g_autoptr (GError) error = NULL;
  if (migrated)
    migrate_template (cluster);
  g_autofree char *name = g_strdup_printf ("test%u", ++cluster->databases);
  g_autofree char *script =
      g_strdup_printf ("CREATE DATABASE %s TEMPLATE %s", name, migrated ? "comity" : "template0");
  g_autofree char *dsn = dsn_of (cluster, "postgres");
  g_autoptr (CmPool) pool = pool_on (dsn, 1);
  g_autoptr (CmDb) db = cm_pool_get (pool, &error);
  g_assert_no_error (error);
  cm_db_script (db, script, &error);
  g_assert_no_error (error);
  return dsn_of (cluster, name);
}

CmPool *
test_cluster_pool (TestCluster *cluster, guint max, gboolean migrated)
{
  g_autofree char *dsn = test_cluster_database (cluster, migrated);
  return pool_on (dsn, max);
}

/* The number of the running server; waits for one that is on its way. */
static pid_t
server_of (TestCluster *cluster)
{
  g_autofree char *path = g_build_filename (cluster->dir, "data", "postmaster.pid", NULL);
  for (int i = 0; i < 1000; i++) {
    g_autofree char *text = NULL;
    g_file_get_contents (path, &text, NULL, NULL);
    pid_t pid = text != NULL ? (pid_t) g_ascii_strtoll (text, NULL, 10) : 0;
    if (pid > 1 && kill (pid, 0) == 0)
      return pid;
    g_usleep (30 * G_TIME_SPAN_MILLISECOND);
  }
  g_assert_not_reached ();
}

void
test_cluster_signal (TestCluster *cluster, int signal)
{
  g_assert_cmpint (kill (server_of (cluster), signal), ==, 0);
}

/* Syncing to disk guards against the machine's crash, which no test brings about: that of the
 * server loses nothing. */
static void
forgo_fsync (TestCluster *cluster)
{
  g_autofree char *path = g_build_filename (cluster->dir, "data", "postgresql.conf", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  g_autofree char *more = g_strconcat (text, "fsync = off\n", NULL);
  g_file_set_contents (path, more, -1, &error);
  g_assert_no_error (error);
  test_cluster_signal (cluster, SIGHUP);
}

TestCluster *
test_cluster_new (void)
{
  g_autoptr (GError) error = NULL;
  TestCluster *cluster = g_new0 (TestCluster, 1);
  cluster->dir = test_make_dir ();
  cluster->cluster = cm_cluster_start (cluster->dir, NULL, &error);
  g_assert_no_error (error);
  if (!g_test_perf ())
    forgo_fsync (cluster);
  return cluster;
}
