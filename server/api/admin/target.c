#include "server/api/admin/target.h"

#include "crypto/id.h"
#include "server/node.h"

CmAccount *
cm_call_account (CmCall *call, gboolean ended, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *user_id = cm_call_param (call, "userId");
  g_autoptr (GError) failure = NULL;
  if (!cm_id_is_user (user_id) || !cm_id_domain_is (user_id, node->server_name)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "This is no user of this server");
    return NULL;
  }
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db)
    return NULL;
  g_autoptr (CmAccount) account = cm_account_get (db, user_id, &failure);
  if (account && (ended || account->state != CM_ACCOUNT_DEACTIVATED))
    return g_steal_pointer (&account);
  if (failure)
    g_propagate_error (error, g_steal_pointer (&failure));
  else
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such user");
  return NULL;
}
