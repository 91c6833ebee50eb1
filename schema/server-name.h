/* The server name is part of every user id and event: a database belongs to one for good. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

/* CM_ERROR_CONFIG when the database is another server's. @claim: it becomes @name's if it is
 * nobody's yet. */
gboolean cm_server_name_check (CmPool *pool, const char *name, gboolean claim, GError **error);

G_END_DECLS
