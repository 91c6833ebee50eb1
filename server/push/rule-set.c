#include "server/push/rule-set.h"

#include <string.h>

/* What a user may have of his own. Every pattern is matched against every message of his rooms, so
 * all of them together are bounded as well (CVE-2021-29471). */
#define MAX_RULES    500
#define MAX_PATTERNS 4096
#define MAX_STORED   (128 * 1024)

static const char *const kind_names[CM_RULES_LAST] = { "override", "content", "room", "sender",
                                                       "underride" };

void
cm_push_rule_free (CmPushRule *rule)
{
  g_free (rule->id);
  g_free (rule->pattern);
  g_clear_pointer (&rule->conditions, cm_json_doc_unref);
  g_clear_pointer (&rule->actions, cm_json_doc_unref);
  g_free (rule);
}

void
cm_rule_set_free (CmRuleSet *set)
{
  for (guint kind = 0; kind < CM_RULES_LAST; kind++)
    g_ptr_array_unref (set->kinds[kind]);
  g_free (set);
}

gboolean
cm_rule_kind_parse (const char *text, CmRuleKind *kind, GError **error)
{
  for (guint i = 0; i < CM_RULES_LAST; i++)
    if (strcmp (text, kind_names[i]) == 0) {
      *kind = (CmRuleKind) i;
      return TRUE;
    }
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                       "There is no such kind of push rule");
  return FALSE;
}

static CmJsonDoc *
copy_node (const CmJson *node)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (node == NULL)
    return NULL;
  cm_json_put_node (writer, NULL, node);
  return cm_json_writer_end_doc (writer);
}

static CmJsonDoc *
parse_for (const char *user_id, const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, "\"" CM_RULE_OWN_ID "\"", -1);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_put_text (writer, NULL, user_id);
  g_autofree char *quoted = cm_json_writer_end_text (writer);
  g_autofree char *joined = g_strjoinv (quoted, parts);
  return cm_json_parse (joined, strlen (joined), NULL);
}

static const CmDefaultRule *
find_default (const char *id)
{
  for (gsize i = 0; i < cm_n_default_rules; i++)
    if (strcmp (cm_default_rules[i].id, id) == 0)
      return &cm_default_rules[i];
  return NULL;
}

/* @switches: what the user changed of it; nullable. */
static CmPushRule *
new_default (const char *user_id, const CmDefaultRule *row, const CmJson *switches)
{
  CmPushRule *rule = g_new0 (CmPushRule, 1);
  const CmJson *changed = cm_json_get_object (switches, row->id);
  const CmJson *actions = cm_json_get_array (changed, "actions");

  rule->id = g_strdup (row->id);
  rule->is_default = TRUE;
  rule->enabled = cm_json_get_boolean (changed, "enabled", !row->disabled);
  rule->conditions = parse_for (user_id, row->conditions);
  rule->actions = actions != NULL ? copy_node (actions)
                                  : cm_json_parse (row->actions, strlen (row->actions), NULL);
  return rule;
}

static CmPushRule *
new_stored (const CmJson *json)
{
  const CmJson *actions = cm_json_get_array (json, "actions");
  const char *id = cm_json_get_text (json, "rule_id");

  if (id == NULL || actions == NULL)
    return NULL;
  CmPushRule *rule = g_new0 (CmPushRule, 1);
  rule->id = g_strdup (id);
  rule->enabled = cm_json_get_boolean (json, "enabled", TRUE);
  rule->pattern = g_strdup (cm_json_get_text (json, "pattern"));
  rule->conditions = copy_node (cm_json_get_array (json, "conditions"));
  rule->actions = copy_node (actions);
  return rule;
}

static void
add_own (CmRuleSet *set, CmRuleKind kind, const CmJson *rules)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_array (rules, kind_names[kind]));
  while (cm_json_iter_next (&iter, NULL, &item)) {
    CmPushRule *rule = new_stored (item);
    if (rule != NULL)
      g_ptr_array_add (set->kinds[kind], rule);
  }
}

CmRuleSet *
cm_rule_set_new (const char *user_id, GBytes *stored)
{
  CmRuleSet *set = g_new0 (CmRuleSet, 1);
  g_autoptr (CmJsonDoc) doc = stored != NULL ? cm_json_parse_bytes (stored, NULL) : NULL;
  const CmJson *root = doc != NULL ? cm_json_doc_root (doc) : NULL;
  const CmJson *switches = cm_json_get_object (root, "defaults");

  for (guint kind = 0; kind < CM_RULES_LAST; kind++)
    set->kinds[kind] = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_push_rule_free);
  /* "Predefined Rules": below the user's own, but for the master. */
  for (guint kind = 0; kind < CM_RULES_LAST; kind++) {
    if (kind == CM_RULES_OVERRIDE)
      g_ptr_array_add (set->kinds[kind],
                       new_default (user_id, find_default (CM_RULE_MASTER), switches));
    add_own (set, (CmRuleKind) kind, cm_json_get_object (root, "rules"));
    for (gsize i = 0; i < cm_n_default_rules; i++)
      if (cm_default_rules[i].kind == kind && strcmp (cm_default_rules[i].id, CM_RULE_MASTER) != 0)
        g_ptr_array_add (set->kinds[kind], new_default (user_id, &cm_default_rules[i], switches));
  }
  return set;
}

CmPushRule *
cm_rule_set_find (const CmRuleSet *set, CmRuleKind kind, const char *id, guint *index,
                  GError **error)
{
  GPtrArray *rules = set->kinds[kind];

  for (guint i = 0; i < rules->len; i++) {
    CmPushRule *rule = g_ptr_array_index (rules, i);
    if (strcmp (rule->id, id) != 0)
      continue;
    if (index != NULL)
      *index = i;
    return rule;
  }
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such push rule");
  return NULL;
}

/* Where the first of the user's own rules stands, or would. */
static guint
first_own (const CmRuleSet *set, CmRuleKind kind)
{
  return kind == CM_RULES_OVERRIDE && set->kinds[kind]->len > 0 ? 1 : 0;
}

static gboolean
find_neighbour (const CmRuleSet *set, CmRuleKind kind, const char *id, guint *index, GError **error)
{
  const CmPushRule *rule = cm_rule_set_find (set, kind, id, index, NULL);

  if (rule != NULL && !rule->is_default)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "before/after rule not found: %s", id);
  return FALSE;
}

/* The length of all patterns of a rule. */
static gsize
pattern_length (const CmPushRule *rule)
{
  const CmJson *root = rule->conditions != NULL ? cm_json_doc_root (rule->conditions) : NULL;
  gsize length = rule->pattern != NULL ? strlen (rule->pattern) : 0;
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, root);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    const char *pattern = cm_json_get_text (item, "pattern");
    length += pattern != NULL ? strlen (pattern) : 0;
  }
  return length;
}

/* Of all rules but @present, which @rule takes the place of (nullable), and @rule. */
static gboolean
check_bounds (const CmRuleSet *set, const CmPushRule *rule, const CmPushRule *present,
              GError **error)
{
  gsize patterns = pattern_length (rule), rules = 1;

  for (guint kind = 0; kind < CM_RULES_LAST; kind++)
    for (guint i = 0; i < set->kinds[kind]->len; i++) {
      const CmPushRule *other = g_ptr_array_index (set->kinds[kind], i);
      if (other->is_default || other == present)
        continue;
      patterns += pattern_length (other);
      rules++;
    }
  if (rules <= MAX_RULES && patterns <= MAX_PATTERNS)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_TOO_LARGE, "There are too many push rules");
  return FALSE;
}

gboolean
cm_rule_set_put (CmRuleSet *set, CmRuleKind kind, CmPushRule *rule, const char *before,
                 const char *after, GError **error)
{
  g_autoptr (CmPushRule) owned = rule;
  GPtrArray *rules = set->kinds[kind];
  guint old = 0, place = 0;
  const CmPushRule *present = cm_rule_set_find (set, kind, rule->id, &old, NULL);

  if (!check_bounds (set, rule, present, error))
    return FALSE;
  if ((before != NULL && !find_neighbour (set, kind, before, &place, error)) ||
      (before == NULL && after != NULL && !find_neighbour (set, kind, after, &place, error)))
    return FALSE;
  gboolean stays = before == NULL && after == NULL && present != NULL;
  if (stays)
    place = old;
  else if (before == NULL && after == NULL)
    place = first_own (set, kind);
  else if (before == NULL)
    place++;
  if (present != NULL) {
    owned->enabled = present->enabled;
    g_ptr_array_remove_index (rules, old);
    if (old < place)
      place--;
  }
  g_ptr_array_insert (rules, (int) MIN (place, rules->len), g_steal_pointer (&owned));
  return TRUE;
}

gboolean
cm_rule_set_remove (CmRuleSet *set, CmRuleKind kind, const char *id, GError **error)
{
  guint index;
  const CmPushRule *rule = cm_rule_set_find (set, kind, id, &index, error);

  if (rule == NULL)
    return FALSE;
  if (rule->is_default) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "This rule can only be disabled");
    return FALSE;
  }
  g_ptr_array_remove_index (set->kinds[kind], index);
  return TRUE;
}

static void
put_doc (CmJsonWriter *writer, const char *key, CmJsonDoc *doc)
{
  if (doc != NULL) {
    cm_json_put_node (writer, key, cm_json_doc_root (doc));
    return;
  }
  cm_json_open_array (writer, key);
  cm_json_close (writer);
}

void
cm_push_rule_put (CmJsonWriter *writer, const char *key, CmRuleKind kind, const CmPushRule *rule)
{
  cm_json_open_object (writer, key);
  put_doc (writer, "actions", rule->actions);
  if (kind == CM_RULES_OVERRIDE || kind == CM_RULES_UNDERRIDE)
    put_doc (writer, "conditions", rule->conditions);
  cm_json_put_boolean (writer, "default", rule->is_default);
  cm_json_put_boolean (writer, "enabled", rule->enabled);
  cm_json_put_text (writer, "pattern", rule->pattern);
  cm_json_put_text (writer, "rule_id", rule->id);
  cm_json_close (writer);
}

void
cm_rule_set_write (CmJsonWriter *writer, const char *key, const CmRuleSet *set)
{
  cm_json_open_object (writer, key);
  for (guint kind = 0; kind < CM_RULES_LAST; kind++) {
    cm_json_open_array (writer, kind_names[kind]);
    for (guint i = 0; i < set->kinds[kind]->len; i++)
      cm_push_rule_put (writer, NULL, (CmRuleKind) kind, g_ptr_array_index (set->kinds[kind], i));
    cm_json_close (writer);
  }
  cm_json_close (writer);
}

static void
store_switches (CmJsonWriter *writer, const CmRuleSet *set)
{
  cm_json_open_object (writer, "defaults");
  for (guint kind = 0; kind < CM_RULES_LAST; kind++)
    for (guint i = 0; i < set->kinds[kind]->len; i++) {
      const CmPushRule *rule = g_ptr_array_index (set->kinds[kind], i);
      const CmDefaultRule *row = rule->is_default ? find_default (rule->id) : NULL;
      g_autoptr (CmJsonDoc) actions =
          row != NULL ? cm_json_parse (row->actions, strlen (row->actions), NULL) : NULL;
      if (row == NULL)
        continue;
      cm_json_open_object (writer, rule->id);
      if (rule->enabled == row->disabled)
        cm_json_put_boolean (writer, "enabled", rule->enabled);
      if (!cm_json_equal (cm_json_doc_root (actions), cm_json_doc_root (rule->actions)))
        put_doc (writer, "actions", rule->actions);
      cm_json_close (writer);
    }
  cm_json_close (writer);
}

GBytes *
cm_rule_set_store (const CmRuleSet *set, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "rules");
  for (guint kind = 0; kind < CM_RULES_LAST; kind++) {
    cm_json_open_array (writer, kind_names[kind]);
    for (guint i = 0; i < set->kinds[kind]->len; i++) {
      const CmPushRule *rule = g_ptr_array_index (set->kinds[kind], i);
      if (!rule->is_default)
        cm_push_rule_put (writer, NULL, (CmRuleKind) kind, rule);
    }
    cm_json_close (writer);
  }
  cm_json_close (writer);
  store_switches (writer, set);
  cm_json_close (writer);
  if (cm_json_writer_length (writer) <= MAX_STORED)
    return cm_json_writer_end (writer);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_TOO_LARGE, "The push rules are too large");
  return NULL;
}
