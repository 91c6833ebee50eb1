/* User-interactive authentication (client-server, "User-Interactive Authentication API"): what a
 * stolen access token must not suffice for asks for a fresh proof. A session is a sealed word that
 * the client sends back: it binds the proof to this user, method, path and body, and nothing is
 * stored meanwhile, no password either.
 *
 *   g_autoptr (CmReply) challenge = NULL;
 *   if (!cm_uia_check (call, CM_UIA_OWNER, &challenge, error))
 *     return g_steal_pointer (&challenge);
 *
 * Check the request's other members first, so that nobody proves who they are for a request that
 * cannot succeed. Routes that ask for CM_UIA_OWNER run on CM_LANE_BLOCKING: a password is hashed,
 * or the directory asked. */
#pragma once

#include "server/http/call.h"

G_BEGIN_DECLS

typedef enum {
  CM_UIA_ANYBODY, /* m.login.dummy */
  CM_UIA_OWNER,   /* the password of the account that calls */
} CmUiaProof;

/* TRUE when "auth" in the body proves @proof. Otherwise FALSE with *@challenge (transfer full), the
 * 401 that says what is wanted; or with @error. */
gboolean cm_uia_check (CmCall *call, CmUiaProof proof, CmReply **challenge, GError **error);

/* The same for an operation that clients may finish with nothing but "auth", or ask for twice:
 * @remember is sealed into the session, and cm_uia_remembered gives it back (transfer full) when
 * the session comes with a later request; NULL with the first one. */
gboolean cm_uia_check_remembering (CmCall *call, CmUiaProof proof, GBytes *remember,
                                   CmReply **challenge, GError **error);
GBytes *cm_uia_remembered (CmCall *call);

G_END_DECLS
