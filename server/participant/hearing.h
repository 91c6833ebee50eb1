/* What the participant's sync brings: messages to its device, changed devices, events of its rooms;
 * and who wants to hear of them. */
#pragma once

#include "server/participant/participant-private.h"

G_BEGIN_DECLS

/* Takes in one answer of /sync. What fails is logged: one bad message stops nothing. */
void cm_hearing_take (CmParticipant *participant, const CmJson *answer);

/* The event as a CmHeard, decrypted when it can be, given to @func. CM_ERROR_NOT_FOUND in @error
 * when its key did not come yet. */
void cm_hearing_tell (CmParticipant *participant, const char *room_id, const CmJson *event,
                      CmHearFunc func, gpointer data, GError **error);

G_END_DECLS
