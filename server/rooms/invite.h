/* Inviting: here one event, elsewhere a word with the other server first. */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

/* (transfer full) the event by which @sender, a user of this server, invites @user_id. Blocking for
 * users of other servers. CM_ERROR_FORBIDDEN for who is in already, or may not be invited. */
CmEvent *cm_room_invite (CmNode *node, CmRoom *room, const char *sender, const char *user_id,
                         const CmJson *content, GError **error);

G_END_DECLS
