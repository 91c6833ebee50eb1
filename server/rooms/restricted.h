/* Rooms that the members of other rooms may join (client-server, "Restricted rooms"). */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef enum {
  CM_RESTRICTED_NO,       /* the rules of the room are other ones, or he is invited */
  CM_RESTRICTED_GRANTED,  /* @authority vouches for the join */
  CM_RESTRICTED_ELSEWHERE /* nobody here may vouch for it, another server can */
} CmRestricted;

/**
 * cm_restricted_check: may @user_id join because of a room he is in?
 * @authority: (transfer full) a user of this server who is in the room and may invite.
 * CM_ERROR_FORBIDDEN when the rule applies and he is in none of the rooms;
 * CM_ERROR_UNABLE_TO_AUTHORISE_JOIN when he is in none of those that this server is in, and there
 * are others ("Restricted rooms").
 */
gboolean cm_restricted_check (CmNode *node, const CmRoomView *view, const char *user_id,
                              CmRestricted *result, char **authority, GError **error);

/* Whether @user_id, or with @server any user of that server, is in one of the rooms that the join
 * rules let in. */
gboolean cm_restricted_is_allowed (CmNode *node, const CmRoomView *view, const char *user_id,
                                   const char *server);

G_END_DECLS
