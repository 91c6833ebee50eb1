/* Paths that name the user who calls. */
#pragma once

#include "server/http/call.h"

G_BEGIN_DECLS

/* TRUE when the path parameter "userId" is the caller; else CM_ERROR_FORBIDDEN. */
gboolean cm_call_is_own (CmCall *call, GError **error);

G_END_DECLS
