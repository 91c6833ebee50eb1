/* Transactions of other servers, one at a time for each of them, so that a server that sends many
 * at once fills nobody's lane but its own (class fed-dos-limits). */
#pragma once

#include "server/http/call.h"
#include "server/node.h"

G_BEGIN_DECLS

/* Answers one call, on the inbox lane. Returns as a handler does. */
typedef CmReply *(*CmInboxWork) (CmCall *call, GError **error);

CmInbox *cm_inbox_new (CmNode *node, CmInboxWork work);
void cm_inbox_free (CmInbox *inbox);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmInbox, cm_inbox_free)

/* A handler's answer: the work's own, or later when the origin has another call under way, or
 * CM_ERROR_LIMIT_EXCEEDED when too many wait. */
CmReply *cm_inbox_take (CmInbox *inbox, CmCall *call, GError **error);

G_END_DECLS
