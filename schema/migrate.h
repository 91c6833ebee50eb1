/* Numbered SQL files, compiled into the program, applied at start in order under an advisory lock, each in its own transaction
 * with its checksum recorded; forward only. A recorded checksum that differs from the file, or a recorded number that the
 * program does not know, stops the start (CM_ERROR_CONFIG). */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

gboolean cm_migrate (CmPool *pool, GError **error);

G_END_DECLS
