/* What every kind of sign-in (login, register, shared-secret registration) asks for and answers. */
#pragma once

#include "server/accounts/tokens.h"
#include "server/http/call.h"

G_BEGIN_DECLS

/* Reads device_id, initial_device_display_name and refresh_token of @body into @sign_in, which
 * borrows them. */
gboolean cm_session_params (const CmJson *body, CmSignIn *sign_in, GError **error);

/* 200 with the tokens. */
CmReply *cm_session_reply (const CmNode *node, const CmTokens *tokens);
/* 200 without any, for inhibit_login. */
CmReply *cm_session_reply_without (const CmNode *node, const char *user_id);

G_END_DECLS
