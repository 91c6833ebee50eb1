/* Membership events that other servers make for their users, with this server as the resident one:
 * the template, and the event that comes back. */
#pragma once

#include "federation/rooms.h"
#include "server/http/call.h"

G_BEGIN_DECLS

/* The answer to make_join, make_leave and make_knock. @authority: (nullable) who vouches for a
 * restricted join. */
CmReply *cm_federation_make_member (CmCall *call, CmRoom *room, const char *membership,
                                    const char *authority, GError **error);

/**
 * cm_federation_check_version: does the query parameter "ver" name @view's version?
 * @reply gets the 400 that says which one it is when it does not.
 */
gboolean cm_federation_check_version (CmCall *call, const CmRoomView *view, CmReply **reply);

/**
 * cm_federation_read_member: the verified event of send_join, send_leave or send_knock.
 *
 * It must agree with the path, be of a user of the server that asks, by himself, and be what the
 * endpoint is for (CVE-2019-18835). @countersigner: (nullable) as for cm_intake_verify_but.
 * CM_ERROR_INVALID_PARAM, CM_ERROR_FORBIDDEN.
 */
CmEvent *cm_federation_read_member (CmCall *call, const CmRoomView *view, const char *membership,
                                    const char *countersigner, GError **error);

G_END_DECLS
