/* Who wants to hear what is said in a room. */
#pragma once

#include "server/participant/participant-private.h"

G_BEGIN_DECLS

gboolean cm_listeners_want (CmParticipant *participant, const char *room_id);
void cm_listeners_tell (CmParticipant *participant, const CmHeard *heard);

G_END_DECLS
