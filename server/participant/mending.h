/* Olm sessions that fell out of step, after a restored backup on either side for instance
 * (client-server, "Recovering from undecryptable messages"). */
#pragma once

#include "server/participant/participant-private.h"

G_BEGIN_DECLS

/* A message from @sender's device with the identity key @sender_key does not open: starts another
 * session with it and tells it so, at most once an hour. Under the crypto lock. */
void cm_mending_begin (CmParticipant *participant, const char *sender, const char *sender_key);

G_END_DECLS
