/* Becoming nobody in particular: a node started as root makes its data directory, becomes [node]
 * user for good, and keeps at most the right to bind ports below 1024. */
#pragma once

#include "server/config/config.h"

G_BEGIN_DECLS

/* CM_ERROR_CONFIG when root may not serve, or the user is not there. */
gboolean cm_privileges_drop (const CmConfig *config, GError **error);

/* Raises the soft limit of open files to the hard one. */
void cm_privileges_raise_files (void);

G_END_DECLS
