/* A session of user-interactive authentication: a sealed word that the client keeps and sends back.
 * It binds a proof to the user, method, path and body that it was asked for, and may carry what the
 * first request said, so that nothing is stored meanwhile. */
#pragma once

#include "server/http/call.h"

G_BEGIN_DECLS

/* (transfer full) a word for @call. @remembered: nullable. */
char *cm_uia_session_new (const CmCall *call, GBytes *remembered, GError **error);

/**
 * cm_uia_session_check: whether @word was made for this request: for the same body; when it
 * remembers something, the body may be left out now. Clients that ask with an empty body first, to
 * learn what is wanted, say all with the proof: that session is good for any.
 * @remembered: gets what it carries for this body (transfer full), NULL when nothing.
 */
gboolean cm_uia_session_check (const CmCall *call, const char *word, GBytes **remembered);

G_END_DECLS
