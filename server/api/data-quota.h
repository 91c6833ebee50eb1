/* How much account data a user may keep: [accounts] account_data_quota. */
#pragma once

#include "server/http/call.h"

G_BEGIN_DECLS

/* TRUE when the caller may set account data @type of @room_id ("": global) to @content; else
 * CM_ERROR_TOO_LARGE. What makes it smaller is always allowed. */
gboolean cm_call_check_data_quota (CmCall *call, const char *room_id, const char *type,
                                   GBytes *content, GError **error);

G_END_DECLS
