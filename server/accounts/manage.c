#include "server/accounts/manage.h"

#include "server/accounts/accounts-private.h"

static gboolean
change (CmNode *node, const char *user_id, gboolean flag,
        gboolean (*set) (CmDb *db, const char *user_id, gboolean flag, GError **error),
        GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db || !set (db, user_id, flag, error))
    return FALSE;
  cm_session_cache_drop (node->accounts->sessions, user_id, NULL);
  return TRUE;
}

gboolean
cm_accounts_set_locked (CmNode *node, const char *user_id, gboolean locked, GError **error)
{
  return change (node, user_id, locked, cm_account_set_locked, error);
}

gboolean
cm_accounts_set_suspended (CmNode *node, const char *user_id, gboolean suspended, GError **error)
{
  return change (node, user_id, suspended, cm_account_set_suspended, error);
}

gboolean
cm_accounts_set_admin (CmNode *node, const char *user_id, gboolean admin, GError **error)
{
  return change (node, user_id, admin, cm_account_set_admin, error);
}
