/* For a handler that finds out halfway that it must ask another server, and may not hold its lane
 * that long. */
#pragma once

#include "server/router/route.h"

G_BEGIN_DECLS

/* Has @handler finish @call on @lane. Returns CM_REPLY_LATER, or NULL with CM_ERROR_UNAVAILABLE
 * when that lane is full. */
CmReply *cm_call_hand_over (CmCall *call, CmLane lane, CmHandler handler, GError **error);

G_END_DECLS
