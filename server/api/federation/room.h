/* What the endpoints for other servers share: which room a call is about, and whether the server
 * that asks may. */
#pragma once

#include "federation/rooms.h"
#include "server/http/call.h"
#include "server/node.h"

G_BEGIN_DECLS

/* (transfer full) the room of the path parameter "roomId", in which this server has members and
 * from which the caller is not shut out. CM_ERROR_NOT_FOUND, CM_ERROR_FORBIDDEN. */
CmRoom *cm_federation_room (CmCall *call, GError **error);
/* (transfer full) the same room as it is now, for a server that has members in it
 * (CVE-2022-39335). */
CmRoomView *cm_federation_joined_room (CmCall *call, GError **error);
/* The same for any room. */
CmRoomView *cm_federation_joined_room_of (CmCall *call, const char *room_id, GError **error);

/* (transfer full) the event of the room that stands in the graph; NULL with CM_ERROR_NOT_FOUND. To
 * who cannot see an outlier it is as if it were not there. @visible: (nullable) whether the caller
 * may see its content; the event is pruned when not. */
CmEvent *cm_federation_event (CmCall *call, const CmRoomView *view, const char *event_id,
                              gboolean *visible, GError **error);

/* CM_ERROR_FORBIDDEN unless @user_id is of the server that asks (class fed-membership-consent). */
gboolean cm_federation_check_own (CmCall *call, const char *user_id, GError **error);

/* The numbers of all events that those of @numbers stand on by their auth events, without
 * themselves, as an array of gint64 (transfer full). */
GArray *cm_federation_auth_chain (CmRooms *rooms, const GArray *numbers, GError **error);

/* Write the events of @numbers as PDUs, or their ids, in portions. */
gboolean cm_federation_put_events (CmJsonWriter *writer, const char *key, CmRooms *rooms,
                                   const GArray *numbers, GError **error);
gboolean cm_federation_put_ids (CmJsonWriter *writer, const char *key, CmRooms *rooms,
                                const GArray *numbers, GError **error);
/* The numbers of a state's events (transfer full). */
GArray *cm_federation_state_numbers (const CmStateMap *state);

G_END_DECLS
