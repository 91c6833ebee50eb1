#include "server/api/data-quota.h"

#include "schema/account-data.h"
#include "server/config/config.h"
#include "server/node.h"

/* Asked before the write, and not in it: nobody's write waits for a sum over somebody's rows. Who
 * sets several at a time may get a little more. */
gboolean
cm_call_check_data_quota (CmCall *call, const char *room_id, const char *type, GBytes *content,
                          GError **error)
{
  CmNode *node = cm_call_node (call);
  CmAccountDataSize size;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  if (db == NULL ||
      !cm_account_data_size (db, cm_call_user (call), room_id, type, content, &size, error))
    return FALSE;
  if (size.after <= size.before || size.after <= node->config->accounts.account_data_quota)
    return TRUE;
  return cm_fail (error, CM_ERROR_TOO_LARGE, "You keep too much account data");
}
