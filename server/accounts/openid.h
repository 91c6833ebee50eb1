/* OpenID tokens: a user shows one to a third party, which asks this server whose it is. Good for
 * nothing else. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

#define CM_OPENID_SECONDS 3600

/* (transfer full) a new token of a local user. */
char *cm_openid_new (CmNode *node, const char *user_id, GError **error);
/* (transfer full) whose @token is. CM_ERROR_UNKNOWN_TOKEN when it is unknown or ran out
 * (federation, GET openid/userinfo). */
char *cm_openid_user (CmNode *node, const char *token, GError **error);

G_END_DECLS
