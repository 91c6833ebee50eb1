/* Numbered SQL files, compiled into the program (listed in migrations/migrations.gresource.xml),
 * applied at start in order under an advisory lock, each in its own transaction with its checksum
 * recorded; forward only. A recorded checksum that differs from the file, or a recorded number that
 * the program does not know, stops the start (CM_ERROR_CONFIG). */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

gboolean cm_migrate (CmPool *pool, GError **error);

/* One file, by its name ("0001-core.sql"). */
typedef struct {
  const char *name;
  GBytes *sql;
} CmMigration;

/* As cm_migrate, with @files in place of those in the program. */
gboolean cm_migrate_files (CmPool *pool, const CmMigration *files, gsize n_files, GError **error);

G_END_DECLS
