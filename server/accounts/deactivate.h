/* The end of an account. At once: no password, no tokens, no open polls. Then, in the background
 * and again after a restart until it is done: its devices are deleted, which others are told, and
 * its rooms are left. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

/* @erase: what was said is hidden from newcomers, and the profile goes. CM_ERROR_NOT_FOUND. */
gboolean cm_accounts_deactivate (CmNode *node, const char *user_id, gboolean erase, GError **error);

/* Takes up in the background what an earlier life of the node, or the command line, left undone. */
void cm_accounts_finish_deactivations (CmNode *node);

G_END_DECLS
