/* Whoever meets in a room learns whether the others are there, without waiting until they next do
 * something. */
#pragma once

#include "federation/event.h"
#include "server/node.h"

G_BEGIN_DECLS

gboolean cm_newcomer_concerns (CmNode *node, const CmEvent *event);
/* Tells the other servers in the room of the presence of a user of this one who has joined, or the
 * server of the first of its users to join of those who are here. Blocking. */
gboolean cm_newcomer_entered (CmNode *node, const CmEvent *event, GError **error);

G_END_DECLS
