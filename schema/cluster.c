#include "schema/cluster.h"

#include "schema/cluster-files.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define STOP_TIME      (2 * G_TIME_SPAN_SECOND)
#define TAKE_OVER_TIME (15 * G_TIME_SPAN_SECOND)
#define START_TIME     (5 * G_TIME_SPAN_MINUTE) /* recovery after a crash may be long */
#define START_FAILURES 40 /* until the last backend of a killed server has gone */
#define RESTART_DELAY  (200 * G_TIME_SPAN_MILLISECOND)
#define POLL_USEC      (20 * G_TIME_SPAN_MILLISECOND)
#define LOG_MAX        (16 * 1024 * 1024)

struct _CmCluster {
  char *programs;
  char *data_dir;
  char *socket_dir;
  char *log;
  char *dsn;
  int lock;
  GThread *watcher;
  GMutex mutex;
  GCond changed;
  pid_t pid;      /* 0 while it does not run */
  guint failures; /* how often it ended unasked */
  gboolean stopping;
};

/* One node a directory. The lock ends with this process, however that ends; PostgreSQL does not
 * inherit it. */
static int
lock_dir (const char *dir, GError **error)
{
  g_autofree char *path = g_build_filename (dir, "lock", NULL);
  int fd = -1;
  if (g_mkdir_with_parents (dir, 0700) == 0)
    fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) == 0)
    return fd;
  g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "Cannot lock %s: %s", path,
               errno == EWOULDBLOCK ? "another node runs on it" : g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}

/* The server of a node that was killed: the process that postmaster.pid names, if it still works in
 * our data directory (the number may be another's by now). 0 when there is none. */
static pid_t
find_left_over (const char *data_dir)
{
  g_autofree char *path = g_build_filename (data_dir, "postmaster.pid", NULL);
  g_autofree char *text = NULL;
  if (!g_file_get_contents (path, &text, NULL, NULL))
    return 0;
  pid_t pid = (pid_t) g_ascii_strtoll (text, NULL, 10);
  struct stat ours, theirs;
  g_autofree char *cwd = g_strdup_printf ("/proc/%d/cwd", pid);
  if (pid <= 1 || stat (cwd, &theirs) != 0 || stat (data_dir, &ours) != 0)
    return 0;
  return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino ? pid : 0;
}

static gboolean
stop_left_over (const char *data_dir, GError **error)
{
  gint64 start = g_get_monotonic_time ();
  pid_t pid;
  while ((pid = find_left_over (data_dir)) != 0) {
    gint64 waited = g_get_monotonic_time () - start;
    if (waited > TAKE_OVER_TIME) {
      g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAVAILABLE,
                           "The PostgreSQL of a former node does not stop");
      return FALSE;
    }
    kill (pid, waited < STOP_TIME ? SIGINT : SIGQUIT);
    g_usleep (POLL_USEC);
  }
  return TRUE;
}

/* Out of our process group: Ctrl-C is meant for the node, which stops PostgreSQL last. */
static void
leave_group (gpointer data)
{
  setsid ();
}

static int
open_log (const char *path)
{
  struct stat info;
  if (stat (path, &info) == 0 && info.st_size > LOG_MAX) {
    g_autofree char *old = g_strconcat (path, ".1", NULL);
    g_rename (path, old);
  }
  return open (path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static pid_t
launch (CmCluster *cluster)
{
  g_autofree char *postgres = g_build_filename (cluster->programs, "postgres", NULL);
  const char *argv[] = { postgres, "-D", cluster->data_dir, NULL };
  g_auto (GStrv) environment = cm_cluster_environment ();
  g_autoptr (GError) error = NULL;
  int log = open_log (cluster->log);
  GPid pid = 0;
  if (!g_spawn_async_with_fds (NULL, (char **) argv, environment, G_SPAWN_DO_NOT_REAP_CHILD,
                               leave_group, NULL, &pid, -1, log, log, &error))
    g_warning ("Cannot start PostgreSQL: %s", error->message);
  if (log >= 0)
    close (log);
  return pid;
}

/* Sleeps until @pid has ended. It is reaped under the mutex, so that nobody signals a number that
 * is free again. */
static void
wait_for_end (CmCluster *cluster, pid_t pid)
{
  siginfo_t info;
  while (pid != 0 && waitid (P_PID, pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR)
    ;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&cluster->mutex);
  if (pid != 0)
    waitpid (pid, NULL, 0);
  cluster->pid = 0;
  cluster->failures += !cluster->stopping;
  g_cond_broadcast (&cluster->changed);
}

/* The thread that keeps the server running. After a crash a new one must wait until the last old
 * backend has gone. */
static gpointer
watch (gpointer data)
{
  CmCluster *cluster = data;
  for (;;) {
    g_mutex_lock (&cluster->mutex);
    if (!cluster->stopping)
      cluster->pid = launch (cluster);
    pid_t pid = cluster->pid;
    gboolean stopping = cluster->stopping;
    g_mutex_unlock (&cluster->mutex);
    if (stopping)
      return NULL;

    wait_for_end (cluster, pid);
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&cluster->mutex);
    if (cluster->stopping)
      return NULL;
    g_message ("PostgreSQL ended; starting it again");
    g_cond_wait_until (&cluster->changed, &cluster->mutex, g_get_monotonic_time () + RESTART_DELAY);
  }
}

static char *
make_dsn (const char *socket_dir, const char *database)
{
  g_autoptr (GString) host = g_string_new (socket_dir);
  g_string_replace (host, "\\", "\\\\", 0);
  g_string_replace (host, "'", "\\'", 0);
  return g_strdup_printf ("host='%s' port=5432 user=comity dbname=%s", host->str, database);
}

static gboolean
wait_until_ready (CmCluster *cluster, const char *dsn, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + START_TIME;
  while (PQping (dsn) != PQPING_OK) {
    g_mutex_lock (&cluster->mutex);
    gboolean hopeless = cluster->failures >= START_FAILURES;
    g_mutex_unlock (&cluster->mutex);
    if (hopeless || g_get_monotonic_time () > deadline) {
      g_set_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "PostgreSQL does not start, see %s",
                   cluster->log);
      return FALSE;
    }
    g_usleep (POLL_USEC);
  }
  return TRUE;
}

static gboolean
make_database (const char *dsn, GError **error)
{
  static const CmSql find = { "cluster-find-database",
                              "SELECT FROM pg_database WHERE datname = 'comity'" };
  static const CmSql make = { "cluster-make-database", "CREATE DATABASE comity" };
  g_autoptr (CmPool) pool = cm_pool_new (dsn, 1, error);
  if (pool == NULL)
    return FALSE;
  g_autoptr (CmDb) db = cm_pool_get (pool, error);
  if (db == NULL)
    return FALSE;
  g_autoptr (CmRows) rows = cm_db_query (db, &find, CM_NO_ARGS, error);
  if (rows == NULL)
    return FALSE;
  return cm_rows_count (rows) > 0 || cm_db_run (db, &make, CM_NO_ARGS, NULL, error);
}

static gboolean
prepare (CmCluster *cluster, const char *dir, GCancellable *stop, GError **error)
{
  cluster->lock = lock_dir (dir, error);
  if (cluster->lock < 0)
    return FALSE;
  cluster->programs = cm_cluster_find_programs (cluster->data_dir, error);
  if (cluster->programs == NULL)
    return FALSE;
  cluster->socket_dir = cm_cluster_make_socket_dir (dir, error);
  return cluster->socket_dir != NULL &&
         cm_cluster_make_data (cluster->programs, cluster->data_dir, stop, error) &&
         stop_left_over (cluster->data_dir, error) &&
         cm_cluster_write_settings (cluster->data_dir, cluster->socket_dir, error);
}

static CmCluster *
new_cluster (const char *path)
{
  CmCluster *cluster = g_new0 (CmCluster, 1);
  g_mutex_init (&cluster->mutex);
  g_cond_init (&cluster->changed);
  cluster->lock = -1;
  cluster->data_dir = g_build_filename (path, "data", NULL);
  cluster->log = g_build_filename (path, "postgresql.log", NULL);
  return cluster;
}

CmCluster *
cm_cluster_start (const char *dir, GCancellable *stop, GError **error)
{
  if (geteuid () == 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_CONFIG,
                         "PostgreSQL does not run as root: start the node as another user");
    return NULL;
  }
  g_autofree char *path = g_canonicalize_filename (dir, NULL);
  g_autoptr (CmCluster) cluster = new_cluster (path);
  if (!prepare (cluster, path, stop, error))
    return NULL;
  cluster->dsn = make_dsn (cluster->socket_dir, "comity");
  cluster->watcher = g_thread_new ("postgresql", watch, cluster);

  g_autofree char *dsn = make_dsn (cluster->socket_dir, "postgres");
  if (!wait_until_ready (cluster, dsn, error) || !make_database (dsn, error))
    return NULL;
  return g_steal_pointer (&cluster);
}

CmCluster *
cm_cluster_join (const char *dir, GCancellable *stop, GError **error)
{
  g_autofree char *path = g_canonicalize_filename (dir, NULL);
  g_autoptr (CmCluster) cluster = new_cluster (path);
  cluster->socket_dir = cm_cluster_make_socket_dir (path, NULL);
  if (cluster->socket_dir != NULL) {
    cluster->dsn = make_dsn (cluster->socket_dir, "comity");
    if (PQping (cluster->dsn) == PQPING_OK)
      return g_steal_pointer (&cluster);
  }
  return cm_cluster_start (dir, stop, error);
}

static void
stop_server (CmCluster *cluster)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&cluster->mutex);
  gint64 deadline = g_get_monotonic_time () + STOP_TIME;
  cluster->stopping = TRUE;
  g_cond_broadcast (&cluster->changed);
  if (cluster->pid != 0)
    kill (cluster->pid, SIGINT);
  while (cluster->pid != 0) {
    if (!g_cond_wait_until (&cluster->changed, &cluster->mutex, deadline) && cluster->pid != 0) {
      kill (cluster->pid, SIGQUIT);
      deadline += STOP_TIME;
    }
  }
}

void
cm_cluster_stop (CmCluster *cluster)
{
  if (cluster == NULL)
    return;
  if (cluster->watcher != NULL) {
    stop_server (cluster);
    g_thread_join (cluster->watcher);
    g_rmdir (cluster->socket_dir); /* it may stand in a place of its own */
  }
  if (cluster->lock >= 0)
    close (cluster->lock);
  g_cond_clear (&cluster->changed);
  g_mutex_clear (&cluster->mutex);
  g_free (cluster->programs);
  g_free (cluster->data_dir);
  g_free (cluster->socket_dir);
  g_free (cluster->log);
  g_free (cluster->dsn);
  g_free (cluster);
}

const char *
cm_cluster_dsn (const CmCluster *cluster)
{
  return cluster->dsn;
}
