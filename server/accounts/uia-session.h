/* A session of user-interactive authentication: a sealed word that the client keeps and sends back.
 * It binds a proof to the user, method, path and body that it was asked for, and may carry what the
 * first request said, so that nothing is stored meanwhile. */
#pragma once

#include "server/http/call.h"

G_BEGIN_DECLS

/* (transfer full) a word for @call. @remembered: nullable. */
char *cm_uia_session_new (const CmCall *call, GBytes *remembered, GError **error);

/**
 * cm_uia_session_check: whether @word was made for this request: the same body, or when it
 * remembers something, none.
 * @remembered: gets what it carries (transfer full), NULL when nothing.
 */
gboolean cm_uia_session_check (const CmCall *call, const char *word, GBytes **remembered);

G_END_DECLS
