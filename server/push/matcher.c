#include "server/push/matcher.h"

#include "crypto/glob.h"
#include "federation/auth-rules.h"

#include <string.h>

/* Patterns are held against the beginning of a text only, which bounds what one event can cost. */
#define MAX_TEXT 4096

typedef enum {
  EVENT_MATCH,
  PROPERTY_IS,
  PROPERTY_CONTAINS,
  DISPLAY_NAME,
  MEMBER_COUNT,
  PERMISSION,
  ROOM,
  SENDER,
  NEVER,
} ConditionKind;

typedef struct {
  ConditionKind kind;
  char **path;         /* of EVENT_MATCH and the PROPERTY kinds */
  gboolean body;       /* the path is that of content.body: words are matched */
  gboolean own;        /* @text is the user's id, whoever that is */
  char *text;          /* a pattern, an id, or the key of a permission */
  const CmJson *value; /* in the rule's conditions */
  char comparison[3];
  gint64 count;
} Condition;

typedef struct {
  GArray *conditions; /* of Condition */
  CmJsonDoc *doc;     /* what they point into; nullable */
  gboolean notify;
  gboolean highlight;
  GBytes *actions;
} Rule;

struct _CmMatcher {
  gatomicrefcount refs;
  GPtrArray *rules; /* of Rule: the enabled ones, in order */
};

static void
clear_condition (gpointer data)
{
  Condition *condition = data;

  g_strfreev (condition->path);
  g_free (condition->text);
}

static void
free_rule (gpointer data)
{
  Rule *rule = data;

  g_array_unref (rule->conditions);
  g_clear_pointer (&rule->doc, cm_json_doc_unref);
  g_bytes_unref (rule->actions);
  g_free (rule);
}

/* appendices, "Dot-separated property paths": a backslash takes its meaning from a dot or another
 * backslash. */
static char **
split_path (const char *key)
{
  g_autoptr (GStrvBuilder) parts = g_strv_builder_new ();
  g_autoptr (GString) part = g_string_new (NULL);

  for (const char *c = key; *c != '\0'; c++) {
    if (*c == '.') {
      g_strv_builder_add (parts, part->str);
      g_string_truncate (part, 0);
      continue;
    }
    if (*c == '\\' && (c[1] == '.' || c[1] == '\\'))
      c++;
    g_string_append_c (part, *c);
  }
  g_strv_builder_add (parts, part->str);
  return g_strv_builder_end (parts);
}

static void
read_member_count (const char *is, Condition *condition)
{
  static const char *const comparisons[] = { "==", "<=", ">=", "<", ">" };

  condition->kind = NEVER;
  if (is == NULL)
    return;
  strcpy (condition->comparison, "==");
  for (gsize i = 0; i < G_N_ELEMENTS (comparisons); i++)
    if (g_str_has_prefix (is, comparisons[i])) {
      strcpy (condition->comparison, comparisons[i]);
      is += strlen (comparisons[i]);
      break;
    }
  if (g_ascii_string_to_signed (is, 10, 0, G_MAXINT32, &condition->count, NULL))
    condition->kind = MEMBER_COUNT;
}

/* "Unrecognised conditions MUST NOT match any events": so do those that lack what they need. */
static Condition
read_condition (const CmJson *json, const char *user_id)
{
  static const struct {
    const char *name;
    ConditionKind kind;
  } kinds[] = {
    { "event_match", EVENT_MATCH },
    { "event_property_is", PROPERTY_IS },
    { "event_property_contains", PROPERTY_CONTAINS },
    { "contains_display_name", DISPLAY_NAME },
    { "room_member_count", MEMBER_COUNT },
    { "sender_notification_permission", PERMISSION },
  };
  Condition condition = { .kind = NEVER };
  const char *name = cm_json_get_text (json, "kind"), *key = cm_json_get_text (json, "key");

  for (gsize i = 0; name != NULL && i < G_N_ELEMENTS (kinds); i++)
    if (strcmp (kinds[i].name, name) == 0)
      condition.kind = kinds[i].kind;
  condition.value = cm_json_get (json, "value");
  condition.text =
      g_strdup (condition.kind == PERMISSION ? key : cm_json_get_text (json, "pattern"));
  if (condition.kind == MEMBER_COUNT)
    read_member_count (cm_json_get_text (json, "is"), &condition);
  if (condition.kind == EVENT_MATCH || condition.kind == PROPERTY_IS ||
      condition.kind == PROPERTY_CONTAINS) {
    if (key == NULL)
      condition.kind = NEVER;
    else
      condition.path = split_path (key);
    condition.body = g_strcmp0 (key, "content.body") == 0;
  }
  if ((condition.kind == EVENT_MATCH || condition.kind == PERMISSION) && condition.text == NULL)
    condition.kind = NEVER;
  const char *value = condition.kind == PROPERTY_CONTAINS ? cm_json_text (condition.value)
                      : condition.kind == EVENT_MATCH     ? condition.text
                                                          : NULL;
  condition.own = value != NULL && strcmp (value, user_id) == 0;
  return condition;
}

static void
add_implied (Rule *rule, CmRuleKind kind, const CmPushRule *source)
{
  Condition condition = { .kind = NEVER };

  if (kind == CM_RULES_ROOM)
    condition = (Condition){ .kind = ROOM, .text = g_strdup (source->id) };
  else if (kind == CM_RULES_SENDER)
    condition = (Condition){ .kind = SENDER, .text = g_strdup (source->id) };
  else if (kind == CM_RULES_CONTENT && source->pattern != NULL)
    condition = (Condition){ .kind = EVENT_MATCH,
                             .path = split_path ("content.body"),
                             .body = TRUE,
                             .text = g_strdup (source->pattern) };
  g_array_append_val (rule->conditions, condition);
}

static void
read_actions (Rule *rule, const CmPushRule *source)
{
  const CmJson *root = cm_json_doc_root (source->actions);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *action;
  CmJsonIter iter;

  cm_json_iter_init (&iter, root);
  while (cm_json_iter_next (&iter, NULL, &action)) {
    if (g_strcmp0 (cm_json_text (action), "notify") == 0)
      rule->notify = TRUE;
    if (g_strcmp0 (cm_json_get_text (action, "set_tweak"), "highlight") == 0)
      rule->highlight = cm_json_type (cm_json_get (action, "value")) != CM_JSON_FALSE;
  }
  cm_json_put_node (writer, NULL, root);
  rule->actions = cm_json_writer_end (writer);
}

static Rule *
compile (CmRuleKind kind, const CmPushRule *source, const char *user_id)
{
  Rule *rule = g_new0 (Rule, 1);
  const CmJson *item;
  CmJsonIter iter;

  rule->conditions = g_array_new (FALSE, FALSE, sizeof (Condition));
  g_array_set_clear_func (rule->conditions, clear_condition);
  read_actions (rule, source);
  if (kind != CM_RULES_OVERRIDE && kind != CM_RULES_UNDERRIDE) {
    add_implied (rule, kind, source);
    return rule;
  }
  if (source->conditions == NULL)
    return rule;
  rule->doc = cm_json_doc_ref (source->conditions);
  cm_json_iter_init (&iter, cm_json_doc_root (rule->doc));
  while (cm_json_iter_next (&iter, NULL, &item)) {
    Condition condition = read_condition (item, user_id);
    g_array_append_val (rule->conditions, condition);
  }
  return rule;
}

CmMatcher *
cm_matcher_new (const CmRuleSet *set, const char *user_id)
{
  CmMatcher *matcher = g_new0 (CmMatcher, 1);

  g_atomic_ref_count_init (&matcher->refs);
  matcher->rules = g_ptr_array_new_with_free_func (free_rule);
  for (guint kind = 0; kind < CM_RULES_LAST; kind++)
    for (guint i = 0; i < set->kinds[kind]->len; i++) {
      const CmPushRule *source = g_ptr_array_index (set->kinds[kind], i);
      if (source->enabled)
        g_ptr_array_add (matcher->rules, compile ((CmRuleKind) kind, source, user_id));
    }
  return matcher;
}

CmMatcher *
cm_matcher_ref (CmMatcher *matcher)
{
  g_atomic_ref_count_inc (&matcher->refs);
  return matcher;
}

void
cm_matcher_unref (CmMatcher *matcher)
{
  if (!g_atomic_ref_count_dec (&matcher->refs))
    return;
  g_ptr_array_unref (matcher->rules);
  g_free (matcher);
}

static const CmJson *
value_at (const CmEvent *event, char **path)
{
  const CmJson *node = event->json;

  for (gsize i = 0; path[i] != NULL && node != NULL; i++)
    node = cm_json_get (node, path[i]);
  return node;
}

static gboolean
text_matches (const Condition *condition, const CmMatch *match)
{
  const char *text = cm_json_text (value_at (match->event, condition->path));
  const char *pattern = condition->own ? match->user_id : condition->text;
  g_autofree char *head = NULL;

  if (text == NULL)
    return FALSE;
  if (condition->own)
    return strcmp (text, pattern) == 0;
  if (strlen (text) > MAX_TEXT)
    text = head = g_strndup (text, MAX_TEXT);
  return condition->body ? cm_glob_match_words (pattern, text) : cm_glob_match (pattern, text);
}

/* "only supports non-compound canonical JSON values" */
static gboolean
is_simple (const CmJson *node)
{
  switch (cm_json_type (node)) {
  case CM_JSON_NULL:
  case CM_JSON_FALSE:
  case CM_JSON_TRUE:
  case CM_JSON_INTEGER:
  case CM_JSON_STRING:
    return TRUE;
  default:
    return FALSE;
  }
}

static gboolean
value_is (const Condition *condition, const CmMatch *match, const CmJson *node)
{
  if (condition->own)
    return g_strcmp0 (cm_json_text (node), match->user_id) == 0;
  return is_simple (node) && is_simple (condition->value) && cm_json_equal (node, condition->value);
}

static gboolean
array_contains (const Condition *condition, const CmMatch *match)
{
  const CmJson *array = value_at (match->event, condition->path);
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_type (array) == CM_JSON_ARRAY ? array : NULL);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (value_is (condition, match, item))
      return TRUE;
  return FALSE;
}

static gboolean
names_the_user (const CmMatch *match)
{
  const char *body = cm_json_get_text (match->event->content, "body");
  g_autoptr (CmEvent) member =
      body != NULL ? cm_room_state_event (match->view, "m.room.member", match->user_id, NULL)
                   : NULL;
  const char *name = member != NULL ? cm_json_get_text (member->content, "displayname") : NULL;

  /* A name is no pattern. */
  if (name == NULL || name[0] == '\0' || strpbrk (name, "*?") != NULL)
    return FALSE;
  g_autofree char *head = g_strndup (body, MAX_TEXT);
  return cm_glob_match_words (name, head);
}

static gboolean
count_is (const Condition *condition, gint64 members)
{
  const char *how = condition->comparison;
  gboolean equal = members == condition->count;

  if (how[0] == '<')
    return members < condition->count || (how[1] == '=' && equal);
  if (how[0] == '>')
    return members > condition->count || (how[1] == '=' && equal);
  return equal;
}

static gboolean
may_notify (const Condition *condition, const CmMatch *match)
{
  g_autoptr (CmEvent) power = cm_room_state_event (match->view, "m.room.power_levels", "", NULL);
  g_autoptr (CmEvent) create = cm_room_state_event (match->view, "m.room.create", "", NULL);

  return cm_power_of_user (power, create, match->event->sender) >=
         cm_power_to_notify (power, condition->text);
}

static gboolean
holds (const Condition *condition, const CmMatch *match)
{
  switch (condition->kind) {
  case EVENT_MATCH:
    return text_matches (condition, match);
  case PROPERTY_IS:
    return value_is (condition, match, value_at (match->event, condition->path));
  case PROPERTY_CONTAINS:
    return array_contains (condition, match);
  case DISPLAY_NAME:
    return match->view != NULL && names_the_user (match);
  case MEMBER_COUNT:
    return match->view != NULL && count_is (condition, match->view->joined);
  case PERMISSION:
    return match->view != NULL && may_notify (condition, match);
  case ROOM:
    return strcmp (condition->text, match->event->room_id) == 0;
  case SENDER:
    return strcmp (condition->text, match->event->sender) == 0;
  case NEVER:
    break;
  }
  return FALSE;
}

gboolean
cm_matcher_match (const CmMatcher *matcher, const CmMatch *match, CmPushVerdict *actions)
{
  *actions = (CmPushVerdict){ 0 };
  for (guint i = 0; i < matcher->rules->len; i++) {
    const Rule *rule = g_ptr_array_index (matcher->rules, i);
    gboolean all = TRUE;
    for (guint c = 0; c < rule->conditions->len && all; c++)
      all = holds (&g_array_index (rule->conditions, Condition, c), match);
    if (!all)
      continue;
    *actions = (CmPushVerdict){ rule->notify, rule->highlight && rule->notify, rule->actions };
    return rule->notify;
  }
  return FALSE;
}

gboolean
cm_match_is_personal (const CmMatch *match)
{
  const CmEvent *event = match->event;
  const CmJson *mentions = cm_json_get (event->content, "m.mentions");
  const CmJson *item;
  CmJsonIter iter;

  if (event->state_key != NULL && strcmp (event->state_key, match->user_id) == 0)
    return TRUE;
  cm_json_iter_init (&iter, cm_json_get_array (mentions, "user_ids"));
  while (cm_json_iter_next (&iter, NULL, &item))
    if (g_strcmp0 (cm_json_text (item), match->user_id) == 0)
      return TRUE;
  return FALSE;
}
