/* The rules that every user has (client-server, "Predefined Rules"), as a table. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* In the order in which they are looked at. */
typedef enum {
  CM_RULES_OVERRIDE,
  CM_RULES_CONTENT,
  CM_RULES_ROOM,
  CM_RULES_SENDER,
  CM_RULES_UNDERRIDE,
  CM_RULES_LAST
} CmRuleKind;

typedef struct {
  CmRuleKind kind;
  const char *id;
  gboolean disabled;
  const char *conditions; /* JSON, with the user's id where CM_RULE_OWN_ID stands */
  const char *actions;    /* JSON */
} CmDefaultRule;

/* Stands for the user's id: no such text is a user id. */
#define CM_RULE_OWN_ID "@"

extern const CmDefaultRule cm_default_rules[];
extern const gsize cm_n_default_rules;

/* The one that stands above all rules of the user's own. */
#define CM_RULE_MASTER ".m.rule.master"

G_END_DECLS
