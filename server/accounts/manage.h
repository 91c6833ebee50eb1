/* What administrators do to accounts. Each takes effect at once: what memory knew of the account is
 * forgotten. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

/* CM_ERROR_NOT_FOUND for an account that is not there, or deactivated. */
gboolean
cm_accounts_set_locked (CmNode *node, const char *user_id, gboolean locked, GError **error);
gboolean
cm_accounts_set_suspended (CmNode *node, const char *user_id, gboolean suspended, GError **error);
gboolean cm_accounts_set_admin (CmNode *node, const char *user_id, gboolean admin, GError **error);

G_END_DECLS
