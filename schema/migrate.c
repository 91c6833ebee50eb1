#include "schema/migrate.h"

#include "crypto/hash.h"
#include "migrations.h"

#include <string.h>

#define FOLDER "/comity/migrations/"

/* Several nodes may start at once: each step stands under the same lock, and looks again at what is
 * there. */
static const char prologue[] = "SET LOCAL statement_timeout = 0;"
                               "SET LOCAL lock_timeout = 0;"
                               "SELECT pg_advisory_xact_lock (4847391284);"
                               "CREATE TABLE IF NOT EXISTS schema_migration ("
                               " number integer PRIMARY KEY,"
                               " name text NOT NULL,"
                               " checksum text NOT NULL,"
                               " applied_at timestamptz NOT NULL DEFAULT now ())";

static gboolean
config_error (GError **error, const char *what, const char *name)
{
  g_set_error (error, CM_ERROR, CM_ERROR_CONFIG, "%s: %s", what, name);
  return FALSE;
}

static char *
checksum_of (GBytes *sql)
{
  guint8 digest[CM_SHA256_SIZE];
  gsize length;
  const void *data = g_bytes_get_data (sql, &length);
  cm_sha256 (data, length, digest);
  return cm_hex (digest, sizeof digest);
}

/* 0001-core.sql is the first, and so on without a gap. */
static gboolean
check_numbers (const CmMigration *files, gsize n, GError **error)
{
  for (gsize i = 0; i < n; i++) {
    g_autofree char *prefix = g_strdup_printf ("%04" G_GSIZE_FORMAT "-", i + 1);
    if (!g_str_has_prefix (files[i].name, prefix) || !g_str_has_suffix (files[i].name, ".sql"))
      return config_error (error, "This migration is out of order", files[i].name);
  }
  return TRUE;
}

/* Compares what was applied with what this program knows. @applied gets how many. */
static gboolean
check_applied (CmDb *db, const CmMigration *files, gsize n, gsize *applied, GError **error)
{
  static const CmSql list = {
    "migrate-list", "SELECT number, name, checksum FROM schema_migration ORDER BY number"
  };
  g_autoptr (CmRows) rows = cm_db_query (db, &list, CM_NO_ARGS, error);
  if (rows == NULL)
    return FALSE;
  *applied = cm_rows_count (rows);
  for (gsize i = 0; i < *applied; i++) {
    if (i >= n || cm_rows_integer (rows, i, 0) != (gint64) i + 1)
      return config_error (error, "The database has a migration that this program does not know",
                           cm_rows_text (rows, i, 1));
    g_autofree char *checksum = checksum_of (files[i].sql);
    if (strcmp (checksum, cm_rows_text (rows, i, 2)) != 0)
      return config_error (error, "This migration was applied in another form", files[i].name);
  }
  return TRUE;
}

static gboolean
apply (CmDb *db, gsize number, const CmMigration *file, GError **error)
{
  static const CmSql record = {
    "migrate-record", "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3)"
  };
  g_autofree char *checksum = checksum_of (file->sql);
  g_autofree char *script =
      g_strndup (g_bytes_get_data (file->sql, NULL), g_bytes_get_size (file->sql));
  g_message ("Migrating the database: %s", file->name);
  if (!cm_db_script (db, script, error)) {
    g_prefix_error (error, "%s: ", file->name);
    return FALSE;
  }
  return cm_db_run (db, &record,
                    CM_ARGS (CM_INT (number), CM_TEXT (file->name), CM_TEXT (checksum)), NULL,
                    error);
}

/* One step in its own transaction. */
static gboolean
step (CmDb *db, const CmMigration *files, gsize n, gboolean *done, GError **error)
{
  g_autoptr (CmTransaction) transaction = cm_transaction_begin (db, error);
  gsize applied;
  if (transaction == NULL || !cm_db_script (db, prologue, error) ||
      !check_applied (db, files, n, &applied, error))
    return FALSE;
  *done = applied == n;
  if (!*done && !apply (db, applied + 1, &files[applied], error))
    return FALSE;
  return cm_transaction_commit (transaction, error);
}

gboolean
cm_migrate_files (CmPool *pool, const CmMigration *files, gsize n_files, GError **error)
{
  if (!check_numbers (files, n_files, error))
    return FALSE;
  g_autoptr (CmDb) db = cm_pool_get (pool, error);
  if (db == NULL)
    return FALSE;
  gboolean done = FALSE;
  while (!done) {
    if (!step (db, files, n_files, &done, error))
      return FALSE;
  }
  return TRUE;
}

static void
clear_migration (gpointer data)
{
  CmMigration *file = data;
  g_bytes_unref (file->sql);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

gboolean
cm_migrate (CmPool *pool, GError **error)
{
  GResource *resource = cm_migrations_get_resource ();
  g_auto (GStrv) names = g_resource_enumerate_children (resource, FOLDER, 0, error);
  if (names == NULL)
    return FALSE;
  guint n = g_strv_length (names);
  qsort (names, n, sizeof *names, compare_names);

  g_autoptr (GArray) files = g_array_new (FALSE, FALSE, sizeof (CmMigration));
  g_array_set_clear_func (files, clear_migration);
  for (guint i = 0; i < n; i++) {
    g_autofree char *path = g_strconcat (FOLDER, names[i], NULL);
    CmMigration file = { names[i], g_resource_lookup_data (resource, path, 0, error) };
    if (file.sql == NULL)
      return FALSE;
    g_array_append_val (files, file);
  }
  return cm_migrate_files (pool, (const CmMigration *) files->data, files->len, error);
}
