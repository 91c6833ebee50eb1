/* All push rules of one user: the defaults with his switches, and his own among them, in the order
 * in which they are looked at. What is stored of it is what differs from the defaults. */
#pragma once

#include "crypto/json-writer.h"
#include "server/push/default-rules.h"

G_BEGIN_DECLS

typedef struct {
  char *id;
  gboolean is_default;
  gboolean enabled;
  char *pattern;         /* of a content rule */
  CmJsonDoc *conditions; /* an array; NULL: none */
  CmJsonDoc *actions;    /* an array */
} CmPushRule;

void cm_push_rule_free (CmPushRule *rule);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmPushRule, cm_push_rule_free)

typedef struct {
  GPtrArray *kinds[CM_RULES_LAST]; /* of CmPushRule */
} CmRuleSet;

/* @stored NULL: the defaults. What cannot be read of it is left out. */
CmRuleSet *cm_rule_set_new (const char *user_id, GBytes *stored);
void cm_rule_set_free (CmRuleSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmRuleSet, cm_rule_set_free)

/* FALSE with CM_ERROR_INVALID_PARAM when @text names none. */
gboolean cm_rule_kind_parse (const char *text, CmRuleKind *kind, GError **error);
/* CM_ERROR_NOT_FOUND. @index nullable. */
CmPushRule *cm_rule_set_find (const CmRuleSet *set, CmRuleKind kind, const char *id, guint *index,
                              GError **error);
/* Adds @rule (transfer full), or puts it in place of the one of its id. @before and @after
 * (nullable) name rules of the user's own, else CM_ERROR_INVALID_PARAM. */
gboolean cm_rule_set_put (CmRuleSet *set, CmRuleKind kind, CmPushRule *rule, const char *before,
                          const char *after, GError **error);
/* CM_ERROR_NOT_FOUND; CM_ERROR_INVALID_PARAM for a default rule. */
gboolean cm_rule_set_remove (CmRuleSet *set, CmRuleKind kind, const char *id, GError **error);

/* A rule as clients see it. */
void
cm_push_rule_put (CmJsonWriter *writer, const char *key, CmRuleKind kind, const CmPushRule *rule);
/* {"override": [...], ...} as the value of @key. */
void cm_rule_set_write (CmJsonWriter *writer, const char *key, const CmRuleSet *set);
/* (transfer full) what is to be stored. CM_ERROR_TOO_LARGE when it is too much. */
GBytes *cm_rule_set_store (const CmRuleSet *set, GError **error);

G_END_DECLS
