#include "server/push/push-rules.h"

#include "schema/committer.h"
#include "schema/push.h"

CmRuleSet *
cm_push_rules_load (CmNode *node, const char *user_id, gint64 *position, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (GBytes) stored =
      db != NULL ? cm_push_rules_get (db, user_id, position, &failure) : NULL;

  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  else if (db != NULL)
    return cm_rule_set_new (user_id, stored);
  return NULL;
}

GBytes *
cm_push_rules_document (CmNode *node, const char *user_id, GError **error)
{
  g_autoptr (CmRuleSet) set = cm_push_rules_load (node, user_id, NULL, error);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (set == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_rule_set_write (writer, "global", set);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

gboolean
cm_push_rules_save (CmNode *node, const char *user_id, const CmRuleSet *set, gint64 position,
                    GError **error)
{
  g_autoptr (GBytes) stored = cm_rule_set_store (set, error);

  if (stored == NULL)
    return FALSE;
  CmWrite *write = cm_write_new ();
  cm_push_rules_put (write, user_id, stored, position);
  return cm_committer_commit (node->committer, write, error) > 0;
}
