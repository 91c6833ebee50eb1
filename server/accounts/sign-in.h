/* Names and passwords. Each account has one authenticator, which its origin names; a name without
 * an account is the directory's to know, and gets an account when it first signs in. */
#pragma once

#include "schema/account.h"
#include "server/http/call.h"

G_BEGIN_DECLS

/**
 * cm_sign_in_name: who is meant by "identifier" of @body (m.id.user, m.id.thirdparty with a mail
 * address), or by the older members beside it. Returns: (transfer full) a user id, "" for nobody
 * who could be here (go on, and fail as for a wrong password). NULL with @error when it is
 * malformed.
 */
char *cm_sign_in_name (CmNode *node, const CmJson *body, GError **error);

/**
 * cm_sign_in_password: the account of @user_id, if "password" of @body is its.
 *
 * Wrong passwords are counted by account and address, and by address: after too many, *@refusal
 * gets a 429 (transfer full) and NULL is returned without @error. Blocking: CM_LANE_BLOCKING only.
 * Returns: (transfer full) NULL with CM_ERROR_FORBIDDEN, the same for all that is wrong with name
 * or password.
 */
CmAccount *cm_sign_in_password (CmCall *call, const char *user_id, const CmJson *body,
                                CmReply **refusal, GError **error);

G_END_DECLS
