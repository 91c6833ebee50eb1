#include "schema/server-name.h"

#include <string.h>

static const CmSql sql_claim = {
  "server-name-claim",
  "INSERT INTO server_name (name) VALUES ($1) ON CONFLICT DO NOTHING",
};

static const CmSql sql_get = { "server-name-get", "SELECT name FROM server_name" };

gboolean
cm_server_name_check (CmPool *pool, const char *name, gboolean claim, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (pool, error);
  if (db == NULL || (claim && !cm_db_run (db, &sql_claim, CM_ARGS (CM_TEXT (name)), NULL, error)))
    return FALSE;
  g_autoptr (CmRows) rows = cm_db_query (db, &sql_get, CM_NO_ARGS, error);
  if (rows == NULL)
    return FALSE;
  const char *owner = cm_rows_count (rows) > 0 ? cm_rows_text (rows, 0, 0) : name;
  if (strcmp (owner, name) == 0)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_CONFIG,
               "[node] server_name: the database is that of %s; a server cannot change its name",
               owner);
  return FALSE;
}
