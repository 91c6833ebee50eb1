/* Invites and knocks of this server's users to rooms that it is not in itself. */
#pragma once

#include "schema/membership.h"
#include "server/node.h"

G_BEGIN_DECLS

/* (transfer full) the invite to @room_id, or the knock at it; NULL without @error when there is
 * none, or it was turned down or taken back. */
CmOutsideMembership *
cm_room_outside (CmNode *node, const char *room_id, const char *user_id, GError **error);

/* (transfer full) the server of who invited; NULL for what names nobody. */
char *cm_room_outside_server (const CmOutsideMembership *outside);

G_END_DECLS
