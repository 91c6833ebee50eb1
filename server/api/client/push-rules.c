#include "server/push/push-rules.h"

#include "crypto/id.h"
#include "server/api/body.h"
#include "server/node.h"
#include "server/routes.h"

#include <string.h>

#define MAX_TRIES      8
#define MAX_CONDITIONS 50
#define MAX_ACTIONS    50
#define MAX_PATTERN    1024

static gboolean
bad (const char *message, GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, message);
  return FALSE;
}

static CmReply *
get_all (CmCall *call, GError **error)
{
  GBytes *document = cm_push_rules_document (cm_call_node (call), cm_call_user (call), error);

  return document != NULL ? cm_reply_new (200, "application/json", document) : NULL;
}

static CmReply *
get_global (CmCall *call, GError **error)
{
  g_autoptr (CmRuleSet) set =
      cm_push_rules_load (cm_call_node (call), cm_call_user (call), NULL, error);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (set == NULL)
    return NULL;
  cm_rule_set_write (writer, NULL, set);
  return cm_reply_json (writer);
}

/* (borrowed from @set) the rule that the path names; @set (transfer full). */
static CmPushRule *
find_rule (CmCall *call, CmRuleSet **set, CmRuleKind *kind, gint64 *position, GError **error)
{
  if (!cm_rule_kind_parse (cm_call_param (call, "kind"), kind, error))
    return NULL;
  *set = cm_push_rules_load (cm_call_node (call), cm_call_user (call), position, error);
  return *set != NULL ? cm_rule_set_find (*set, *kind, cm_call_param (call, "ruleId"), NULL, error)
                      : NULL;
}

typedef void (*ShowFunc) (CmJsonWriter *writer, CmRuleKind kind, const CmPushRule *rule);

static CmReply *
show (CmCall *call, ShowFunc func, GError **error)
{
  g_autoptr (CmRuleSet) set = NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  CmRuleKind kind;
  const CmPushRule *rule = find_rule (call, &set, &kind, NULL, error);

  if (rule == NULL)
    return NULL;
  func (writer, kind, rule);
  return cm_reply_json (writer);
}

static void
show_rule (CmJsonWriter *writer, CmRuleKind kind, const CmPushRule *rule)
{
  cm_push_rule_put (writer, NULL, kind, rule);
}

static CmReply *
get_rule (CmCall *call, GError **error)
{
  return show (call, show_rule, error);
}

static void
show_enabled (CmJsonWriter *writer, CmRuleKind kind, const CmPushRule *rule)
{
  cm_json_open_object (writer, NULL);
  cm_json_put_boolean (writer, "enabled", rule->enabled);
  cm_json_close (writer);
}

static CmReply *
get_enabled (CmCall *call, GError **error)
{
  return show (call, show_enabled, error);
}

static void
show_actions (CmJsonWriter *writer, CmRuleKind kind, const CmPushRule *rule)
{
  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, "actions", cm_json_doc_root (rule->actions));
  cm_json_close (writer);
}

static CmReply *
get_actions (CmCall *call, GError **error)
{
  return show (call, show_actions, error);
}

/* One change of the rules. */
typedef gboolean (*ChangeFunc) (CmCall *call, CmRuleSet *set, CmRuleKind kind, GError **error);

static CmReply *
change (CmCall *call, ChangeFunc func, GError **error)
{
  CmNode *node = cm_call_node (call);
  CmRuleKind kind;

  if (!cm_rule_kind_parse (cm_call_param (call, "kind"), &kind, error))
    return NULL;
  for (guint tries = 1;; tries++) {
    g_autoptr (GError) failure = NULL;
    gint64 position;
    g_autoptr (CmRuleSet) set = cm_push_rules_load (node, cm_call_user (call), &position, error);
    if (set == NULL || !func (call, set, kind, error))
      return NULL;
    if (cm_push_rules_save (node, cm_call_user (call), set, position, &failure))
      return cm_reply_empty ();
    /* Another device was faster. */
    if (g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT) && tries < MAX_TRIES)
      continue;
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
}

static CmJsonDoc *
copy_node (const CmJson *node)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_put_node (writer, NULL, node);
  return cm_json_writer_end_doc (writer);
}

/* "Actions": texts, or objects that say set_tweak. */
static gboolean
check_actions (const CmJson *actions, GError **error)
{
  const CmJson *action;
  CmJsonIter iter;

  if (cm_json_type (actions) != CM_JSON_ARRAY || cm_json_length (actions) > MAX_ACTIONS)
    return bad ("actions must be a list", error);
  cm_json_iter_init (&iter, actions);
  while (cm_json_iter_next (&iter, NULL, &action))
    if (cm_json_text (action) == NULL && cm_json_get_text (action, "set_tweak") == NULL)
      return bad ("An action must be a string or have set_tweak", error);
  return TRUE;
}

static gboolean
check_conditions (const CmJson *conditions, GError **error)
{
  const CmJson *condition;
  CmJsonIter iter;

  if (conditions == NULL)
    return TRUE;
  if (cm_json_type (conditions) != CM_JSON_ARRAY || cm_json_length (conditions) > MAX_CONDITIONS)
    return bad ("conditions must be a list", error);
  cm_json_iter_init (&iter, conditions);
  while (cm_json_iter_next (&iter, NULL, &condition))
    if (cm_json_get_text (condition, "kind") == NULL)
      return bad ("A condition must have a kind", error);
  return TRUE;
}

/* "Slashes and backslashes are also not allowed", and a dot in front is the server's. */
static gboolean
check_id (const char *id, GError **error)
{
  gboolean good = id[0] != '\0' && id[0] != '.' && strpbrk (id, "/\\") == NULL &&
                  strlen (id) <= CM_ID_MAX_BYTES;

  if (!good)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "The rule id is not valid");
  return good;
}

static gboolean
put_rule (CmCall *call, CmRuleSet *set, CmRuleKind kind, GError **error)
{
  const CmJson *body = cm_call_json (call);
  const CmJson *actions = cm_json_get (body, "actions");
  const CmJson *conditions = cm_json_get (body, "conditions");
  const char *pattern = NULL;

  if (!check_id (cm_call_param (call, "ruleId"), error) || !check_actions (actions, error) ||
      !check_conditions (conditions, error))
    return FALSE;
  if (kind == CM_RULES_CONTENT &&
      !cm_body_need_text (body, "pattern", MAX_PATTERN, &pattern, error))
    return FALSE;
  CmPushRule *rule = g_new0 (CmPushRule, 1);
  rule->id = g_strdup (cm_call_param (call, "ruleId"));
  rule->enabled = TRUE;
  rule->pattern = g_strdup (pattern);
  rule->actions = copy_node (actions);
  if (conditions != NULL && (kind == CM_RULES_OVERRIDE || kind == CM_RULES_UNDERRIDE))
    rule->conditions = copy_node (conditions);
  return cm_rule_set_put (set, kind, rule, cm_call_query (call, "before"),
                          cm_call_query (call, "after"), error);
}

static gboolean
remove_rule (CmCall *call, CmRuleSet *set, CmRuleKind kind, GError **error)
{
  return cm_rule_set_remove (set, kind, cm_call_param (call, "ruleId"), error);
}

static gboolean
set_enabled (CmCall *call, CmRuleSet *set, CmRuleKind kind, GError **error)
{
  const CmJson *enabled = cm_json_get (cm_call_json (call), "enabled");
  CmPushRule *rule = cm_rule_set_find (set, kind, cm_call_param (call, "ruleId"), NULL, error);

  if (rule == NULL)
    return FALSE;
  if (cm_json_type (enabled) != CM_JSON_TRUE && cm_json_type (enabled) != CM_JSON_FALSE)
    return bad ("enabled must be true or false", error);
  rule->enabled = cm_json_type (enabled) == CM_JSON_TRUE;
  return TRUE;
}

static gboolean
set_actions (CmCall *call, CmRuleSet *set, CmRuleKind kind, GError **error)
{
  const CmJson *actions = cm_json_get (cm_call_json (call), "actions");
  CmPushRule *rule = cm_rule_set_find (set, kind, cm_call_param (call, "ruleId"), NULL, error);

  if (rule == NULL || !check_actions (actions, error))
    return FALSE;
  cm_json_doc_unref (rule->actions);
  rule->actions = copy_node (actions);
  return TRUE;
}

static CmReply *
handle_put (CmCall *call, GError **error)
{
  return change (call, put_rule, error);
}

static CmReply *
handle_delete (CmCall *call, GError **error)
{
  return change (call, remove_rule, error);
}

static CmReply *
handle_enabled (CmCall *call, GError **error)
{
  return change (call, set_enabled, error);
}

static CmReply *
handle_actions (CmCall *call, GError **error)
{
  return change (call, set_actions, error);
}

#define RULES    "/_matrix/client/v3/pushrules/"
#define RULE     RULES "global/{kind}/{ruleId}"
#define MAX_BODY (64 * 1024)

const CmRoute cm_routes_push_rules[] = {
  { "GET", RULES, CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, get_all, 0 },
  { "GET", RULES "global/", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, get_global,
    0 },
  { "GET", RULE, CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, get_rule, 0 },
  { "PUT", RULE, CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON, handle_put, MAX_BODY },
  { "DELETE", RULE, CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, handle_delete, 0 },
  { "GET", RULE "/enabled", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, get_enabled,
    0 },
  { "PUT", RULE "/enabled", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON,
    handle_enabled, MAX_BODY },
  { "GET", RULE "/actions", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, get_actions,
    0 },
  { "PUT", RULE "/actions", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON,
    handle_actions, MAX_BODY },
  CM_ROUTES_END,
};
