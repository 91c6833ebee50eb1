/* What is to be done after certain events, whoever sent them: it is seen as they are committed, and
 * done on the background lane. */
#pragma once

#include "server/node.h"
#include "server/router/lanes.h"

G_BEGIN_DECLS

/* Made before the node's first write. */
CmFollowUps *cm_follow_ups_new (CmNode *node);
void cm_follow_ups_free (CmFollowUps *ups);
/* It sleeps while it has no lanes. */
void cm_follow_ups_set_lanes (CmFollowUps *ups, CmLanes *lanes);

G_END_DECLS
