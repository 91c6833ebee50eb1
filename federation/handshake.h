/* Memberships that need another server: joining, leaving, knocking and inviting over federation
 * (server-server, "Joining Rooms" and the like). The template of a resident server is never signed
 * as it came: the event is built here and must agree with what was asked for. Blocking. */
#pragma once

#include "federation/append.h"
#include "federation/intake.h"

G_BEGIN_DECLS

/* Each tries the servers of @via in order. @content: (nullable) the membership event's content; its
 * membership is filled in. Of several failures the error is the one that says most. */
CmRoom *cm_handshake_join (CmIntake *intake, const char *room_id, const char *user_id,
                           const char *const *via, const CmJson *content, GError **error);
gboolean cm_handshake_knock (CmIntake *intake, const char *room_id, const char *user_id,
                             const char *const *via, const CmJson *content, GError **error);
/* Leaves a room that this node is not in (refuses an invite, takes back a knock). When no server
 * answers it is left locally all the same. CM_ERROR_FORBIDDEN when there is nothing to leave. */
gboolean cm_handshake_leave (CmIntake *intake, const char *room_id, const char *user_id,
                             const CmJson *content, GError **error);
/* Invites a user of another server to a room of ours; @draft is the invite's member event. Stores
 * the countersigned event. */
CmEvent *cm_handshake_invite (CmIntake *intake, CmRoom *room, const CmDraft *draft, GError **error);

G_END_DECLS
