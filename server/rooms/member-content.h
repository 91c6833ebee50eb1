/* The m.room.member events that this server makes for its users, and their content. */
#pragma once

#include "crypto/json.h"
#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef struct {
  const char *membership;
  const char *user_id; /* whose name and picture go in, if he is a user of this server; or NULL */
  const char *reason;  /* nullable */
  const char *authorised_by; /* join_authorised_via_users_server; nullable */
  gboolean is_direct;
} CmMemberContent;

CmJsonDoc *cm_member_content_new (CmNode *node, const CmMemberContent *content, GError **error);

/* Appends the member event by which @user_id, of this server, joins (again, with his name and
 * picture of now) or leaves by himself. */
gboolean cm_member_append_own (CmNode *node, CmRoom *room, const char *user_id,
                               const char *membership, GError **error);

/* The client's own @content, but for who vouches for a join: that is this server's to say.
 * @authorised_by: nullable. */
CmJsonDoc *cm_member_content_by_client (const CmJson *content, const char *authorised_by);

G_END_DECLS
