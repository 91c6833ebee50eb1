#include "server/rooms/invite.h"

#include "crypto/id.h"
#include "federation/handshake.h"

CmEvent *
cm_room_invite (CmNode *node, CmRoom *room, const char *sender, const char *user_id,
                const CmJson *content, GError **error)
{
  CmDraft draft = {
    .type = "m.room.member", .state_key = user_id, .sender = sender, .content = content
  };

  if (cm_id_domain_is (user_id, node->server_name))
    return cm_room_append_one (room, &draft, error);
  if (node->intake != NULL)
    return cm_handshake_invite (node->intake, room, &draft, error);
  g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "This server does not federate");
  return NULL;
}
