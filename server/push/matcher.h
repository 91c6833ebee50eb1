/* Push rules made ready to be held against events (client-server, "Push Rules", "Conditions").
 * Immutable, reference-counted. */
#pragma once

#include "federation/rooms.h"
#include "server/push/rule-set.h"

G_BEGIN_DECLS

typedef struct _CmMatcher CmMatcher;

/* Of the rules of @user_id; CM_RULE_OWN_ID for a set that serves everybody who has the defaults. */
CmMatcher *cm_matcher_new (const CmRuleSet *set, const char *user_id);
CmMatcher *cm_matcher_ref (CmMatcher *matcher);
void cm_matcher_unref (CmMatcher *matcher);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmMatcher, cm_matcher_unref)

typedef struct {
  const CmEvent *event;
  const CmRoomView *view; /* the room the event is in; NULL: this server is not in it */
  const char *user_id;    /* whose rules these are */
} CmMatch;

/* What happens with an event: the actions of the rule that matched. */
typedef struct {
  gboolean notify;
  gboolean highlight;
  GBytes *actions; /* JSON; belongs to the matcher */
} CmPushVerdict;

/* FALSE when no rule matched, or one that does not notify. */
gboolean cm_matcher_match (const CmMatcher *matcher, const CmMatch *match, CmPushVerdict *actions);

/* Whether @event may mean something else to @user_id than to others with the same rules. */
gboolean cm_match_is_personal (const CmMatch *match);

G_END_DECLS
