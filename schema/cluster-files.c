#include "schema/cluster-files.h"

#include "crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define VERSIONS_DIR  "/usr/lib/postgresql"
#define SETTINGS_FILE "comity.conf"
#define SOCKET_NAME   "/.s.PGSQL.5432"

/* Errors of the log stay terse: details and statements hold values of users. */
static const char settings[] = "listen_addresses = ''\n"
                               "port = 5432\n"
                               "unix_socket_permissions = 0700\n"
                               "cluster_name = 'comity'\n"
                               "max_connections = 60\n"
                               "shared_buffers = 128MB\n"
                               "jit = off\n"
                               "fsync = on\n"
                               "full_page_writes = on\n"
                               "synchronous_commit = on\n"
                               "wal_compression = on\n"
                               "max_wal_size = 1GB\n"
                               "checkpoint_timeout = 15min\n"
                               "random_page_cost = 1.1\n"
                               "timezone = 'UTC'\n"
                               "log_timezone = 'UTC'\n"
                               "lc_messages = 'C'\n"
                               "logging_collector = off\n"
                               "log_destination = 'stderr'\n"
                               "log_line_prefix = '%m [%p] '\n"
                               "log_error_verbosity = terse\n"
                               "log_min_error_statement = panic\n";

static gboolean
config_error (GError **error, const char *what, const char *path)
{
  int saved = errno;
  g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "%s %s: %s", what, path, g_strerror (saved));
  return FALSE;
}

char **
cm_cluster_environment (void)
{
  const char *path = g_getenv ("PATH");
  char **environment = g_environ_setenv (NULL, "PATH", path != NULL ? path : "/usr/bin:/bin", TRUE);
  environment = g_environ_setenv (environment, "LC_ALL", "C.UTF-8", TRUE);
  return g_environ_setenv (environment, "TZ", "UTC", TRUE);
}

static gboolean
has_programs (const char *folder)
{
  g_autofree char *initdb = g_build_filename (folder, "initdb", NULL);
  g_autofree char *postgres = g_build_filename (folder, "postgres", NULL);
  return g_file_test (initdb, G_FILE_TEST_IS_EXECUTABLE) &&
         g_file_test (postgres, G_FILE_TEST_IS_EXECUTABLE);
}

/* The highest version among the folders that have the programs; 0 when there is none. */
static guint64
newest_version (void)
{
  guint64 newest = 0;
  g_autoptr (GDir) versions = g_dir_open (VERSIONS_DIR, 0, NULL);
  const char *name;
  while (versions != NULL && (name = g_dir_read_name (versions)) != NULL) {
    guint64 version;
    g_autofree char *folder = g_build_filename (VERSIONS_DIR, name, "bin", NULL);
    if (g_ascii_string_to_unsigned (name, 10, 1, G_MAXUINT16, &version, NULL) && version > newest &&
        has_programs (folder))
      newest = version;
  }
  return newest;
}

/* A cluster is bound to the major version that made it. */
static guint64
version_of (const char *data_dir)
{
  g_autofree char *path = g_build_filename (data_dir, "PG_VERSION", NULL);
  g_autofree char *text = NULL;
  return g_file_get_contents (path, &text, NULL, NULL) ? g_ascii_strtoull (text, NULL, 10) : 0;
}

char *
cm_cluster_find_programs (const char *data_dir, GError **error)
{
  guint64 version = version_of (data_dir);
  if (version == 0)
    version = newest_version ();
  g_autofree char *number = g_strdup_printf ("%" G_GUINT64_FORMAT, version);
  g_autofree char *folder = g_build_filename (VERSIONS_DIR, number, "bin", NULL);
  if (has_programs (folder))
    return g_steal_pointer (&folder);

  g_autofree char *on_path = g_find_program_in_path ("postgres");
  g_autofree char *path_folder = on_path != NULL ? g_path_get_dirname (on_path) : NULL;
  if (path_folder != NULL && has_programs (path_folder))
    return g_steal_pointer (&path_folder);
  g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "PostgreSQL %s is not installed",
               version != 0 ? number : "");
  return NULL;
}

typedef struct {
  gboolean done;
  gboolean ok;
  char *complaint;
  GError *error;
} Run;

static void
on_ended (GObject *process, GAsyncResult *result, gpointer data)
{
  Run *run = data;
  run->ok = g_subprocess_communicate_utf8_finish (G_SUBPROCESS (process), result, NULL,
                                                  &run->complaint, &run->error) &&
            g_subprocess_get_successful (G_SUBPROCESS (process));
  run->done = TRUE;
}

static gboolean
run_initdb (const char *programs, const char *data_dir, GCancellable *stop, GError **error)
{
  g_autofree char *initdb = g_build_filename (programs, "initdb", NULL);
  const char *argv[] = { initdb,
                         "-D",
                         data_dir,
                         "-U",
                         "comity",
                         "--auth=trust",
                         "--encoding=UTF8",
                         "--locale=C.UTF-8",
                         "--data-checksums",
                         "--no-instructions",
                         NULL };
  g_auto (GStrv) environment = cm_cluster_environment ();
  g_autoptr (GSubprocessLauncher) launcher = g_subprocess_launcher_new (
      G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_subprocess_launcher_set_environ (launcher, environment);
  g_autoptr (GSubprocess) process = g_subprocess_launcher_spawnv (launcher, argv, NULL);
  Run run = { .done = process == NULL };
  if (process != NULL)
    g_subprocess_communicate_utf8_async (process, NULL, stop, on_ended, &run);
  while (!run.done)
    g_main_context_iteration (g_main_context_get_thread_default (), TRUE);
  g_autofree char *complaint = run.complaint;
  g_autoptr (GError) failure = run.error;
  if (run.ok)
    return TRUE;
  if (g_cancellable_set_error_if_cancelled (stop, error)) {
    /* What it has made so far is thrown away by the next start. */
    g_subprocess_send_signal (process, SIGTERM);
    g_subprocess_wait (process, NULL, NULL);
    return FALSE;
  }
  g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "initdb failed: %s",
               complaint != NULL ? g_strstrip (complaint) : "it could not be started");
  return FALSE;
}

static gboolean
include_settings (const char *data_dir, GError **error)
{
  g_autofree char *path = g_build_filename (data_dir, "postgresql.conf", NULL);
  FILE *file = fopen (path, "ae");
  if (file == NULL)
    return config_error (error, "Cannot write", path);
  gboolean ok = fputs ("\ninclude_if_exists = '" SETTINGS_FILE "'\n", file) >= 0;
  ok = fclose (file) == 0 && ok;
  return ok || config_error (error, "Cannot write", path);
}

static int
remove_one (const char *path, const struct stat *info, int type, struct FTW *where)
{
  return remove (path);
}

gboolean
cm_cluster_make_data (const char *programs, const char *data_dir, GCancellable *stop,
                      GError **error)
{
  if (version_of (data_dir) != 0)
    return TRUE;
  if (g_file_test (data_dir, G_FILE_TEST_EXISTS)) {
    g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "%s is no database cluster", data_dir);
    return FALSE;
  }
  g_autofree char *partial = g_strconcat (data_dir, ".partial", NULL);
  nftw (partial, remove_one, 16, FTW_DEPTH | FTW_PHYS);
  if (!run_initdb (programs, partial, stop, error) || !include_settings (partial, error))
    return FALSE;
  if (g_rename (partial, data_dir) != 0)
    return config_error (error, "Cannot make", data_dir);
  return TRUE;
}

/* Others may write to the folder above: what stands there must be a folder, ours alone. */
static gboolean
make_private (const char *path, GError **error)
{
  if (g_mkdir (path, 0700) != 0 && errno != EEXIST)
    return config_error (error, "Cannot make", path);
  struct stat info;
  if (lstat (path, &info) != 0)
    return config_error (error, "Cannot read", path);
  if (S_ISDIR (info.st_mode) && info.st_uid == geteuid () && (info.st_mode & 0077) == 0)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "%s is not a private folder of this user", path);
  return FALSE;
}

char *
cm_cluster_make_socket_dir (const char *dir, GError **error)
{
  g_autofree char *path = g_build_filename (dir, "run", NULL);
  /* libpq takes a comma in a host for the end of it. */
  if (strchr (path, ',') != NULL ||
      strlen (path) + sizeof SOCKET_NAME > sizeof ((struct sockaddr_un *) 0)->sun_path) {
    guint8 digest[CM_SHA256_SIZE];
    cm_sha256 (dir, strlen (dir), digest);
    g_autofree char *hash = cm_hex (digest, 10);
    const char *runtime = g_getenv ("XDG_RUNTIME_DIR");
    g_free (path);
    path = g_strdup_printf ("%s/comity-%s", runtime != NULL ? runtime : "/tmp", hash);
  }
  return make_private (path, error) ? g_steal_pointer (&path) : NULL;
}

/* A list of one folder name inside a quoted setting: first the list's quotes, then the setting's.
 */
static char *
quote_folder (const char *path)
{
  g_autoptr (GString) quoted = g_string_new (path);
  g_string_replace (quoted, "\"", "\"\"", 0);
  g_string_replace (quoted, "\\", "\\\\", 0);
  g_string_replace (quoted, "'", "''", 0);
  return g_strdup_printf ("'\"%s\"'", quoted->str);
}

gboolean
cm_cluster_write_settings (const char *data_dir, const char *socket_dir, GError **error)
{
  g_autofree char *path = g_build_filename (data_dir, SETTINGS_FILE, NULL);
  g_autofree char *folder = quote_folder (socket_dir);
  g_autofree char *text =
      g_strdup_printf ("# Written at each start; own settings belong into postgresql.conf.\n"
                       "unix_socket_directories = %s\n%s",
                       folder, settings);
  return g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}
