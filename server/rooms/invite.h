/* Inviting: here one event, elsewhere a word with the other server first. */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

/* Whether the account data @content of type m.invite_permission_config (nullable) lets nobody
 * invite (client-server, "Invite permission"). */
gboolean cm_invite_is_blocked (GBytes *content);
/* CM_ERROR_INVITE_BLOCKED for a user of this server who wants no invites. */
gboolean cm_invite_check_wanted (CmNode *node, const char *user_id, GError **error);

/* (transfer full) the event by which @sender, a user of this server, invites @user_id. Blocking for
 * users of other servers. CM_ERROR_FORBIDDEN for who is in already, or may not be invited,
 * CM_ERROR_INVITE_BLOCKED. */
CmEvent *cm_room_invite (CmNode *node, CmRoom *room, const char *sender, const char *user_id,
                         const CmJson *content, GError **error);

G_END_DECLS
