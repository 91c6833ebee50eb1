/* The account that an administrator's call is about. */
#pragma once

#include "schema/account.h"
#include "server/http/call.h"

G_BEGIN_DECLS

/* (transfer full) the account of the path parameter "userId". CM_ERROR_INVALID_PARAM for a user of
 * another server, CM_ERROR_NOT_FOUND when there is none, or (unless @ended) a deactivated one. */
CmAccount *cm_call_account (CmCall *call, gboolean ended, GError **error);

G_END_DECLS
