/* A user's push rules as clients see them. What an event means by them is worked out by the sync
 * hub, which counts what is unread. */
#pragma once

#include "server/node.h"
#include "server/push/rule-set.h"

G_BEGIN_DECLS

/* (transfer full) the content of m.push_rules: {"global": {...}}. */
GBytes *cm_push_rules_document (CmNode *node, const char *user_id, GError **error);

/* (transfer full) for reading. @position: what cm_push_rules_save wants to know; nullable. */
CmRuleSet *cm_push_rules_load (CmNode *node, const char *user_id, gint64 *position, GError **error);
/* Stores @set, which was read at @position. CM_ERROR_CONFLICT when somebody was faster. */
gboolean cm_push_rules_save (CmNode *node, const char *user_id, const CmRuleSet *set,
                             gint64 position, GError **error);

G_END_DECLS
