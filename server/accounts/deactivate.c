#include "server/accounts/deactivate.h"

#include "server/accounts/accounts-private.h"
#include "server/accounts/tokens.h"
#include "server/router/lanes.h"

typedef struct {
  CmNode *node;
  char *user_id;
} Job;

static void
job_free (Job *job)
{
  g_free (job->user_id);
  g_free (job);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Job, job_free)

static void
finish (gpointer data)
{
  g_autoptr (Job) job = data;
  g_autoptr (GError) error = NULL;
  if (!cm_tokens_delete_others (job->node, job->user_id, NULL, NULL, &error) ||
      !cm_spread_leave_all (job->node->accounts->spread, job->user_id, &error))
    g_warning ("Cannot finish the deactivation of %s: %s", job->user_id, error->message);
}

static void
finish_later (CmNode *node, const char *user_id)
{
  Job *job = g_new0 (Job, 1);
  job->node = node;
  job->user_id = g_strdup (user_id);
  /* Leaving rooms of servers that do not answer takes its time. */
  if (!cm_lanes_push_fair (node->lanes, CM_LANE_REMOTE, user_id, finish, job))
    finish (job);
}

gboolean
cm_accounts_deactivate (CmNode *node, const char *user_id, gboolean erase, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (!db || !cm_account_end (db, user_id, erase, error))
    return FALSE;
  g_clear_pointer (&db, cm_db_release);
  if (erase && !cm_accounts_load_erased (node, error))
    return FALSE;
  cm_accounts_forget (node->accounts, user_id, NULL);
  g_message ("Deactivated %s", user_id);
  finish_later (node, user_id);
  return TRUE;
}

static GPtrArray *
list_unfinished (CmNode *node, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  return db ? cm_account_unfinished (db, error) : NULL;
}

static void
finish_all (gpointer data)
{
  CmNode *node = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) users = list_unfinished (node, &error);
  if (!users)
    g_warning ("Cannot look for unfinished deactivations: %s", error->message);
  for (guint i = 0; users && i < users->len; i++)
    finish_later (node, users->pdata[i]);
}

void
cm_accounts_finish_deactivations (CmNode *node)
{
  cm_lanes_push (node->lanes, CM_LANE_BACKGROUND, finish_all, node);
}
