/* From what stands in a path to a room, with the errors that clients expect: who is not inside does
 * not learn whether there is such a room. */
#pragma once

#include "federation/rooms.h"
#include "server/client-event.h"
#include "server/http/call.h"

G_BEGIN_DECLS

/* (transfer full) the room of the path parameter "roomId". CM_ERROR_INVALID_PARAM for no room id,
 * CM_ERROR_FORBIDDEN for a room that this node does not hold. */
CmRoom *cm_call_room (CmCall *call, GError **error);
/* As cm_call_room, and its view; the caller must be joined to it (CM_ERROR_FORBIDDEN). */
CmRoomView *cm_call_joined_room (CmCall *call, GError **error);

/* A room as far as its reader may look. */
typedef struct {
  CmRoomView *view;  /* as it is now */
  CmStateMap *state; /* as it is for the reader: now, or when he went out */
  gint64 until;      /* nothing after this position is for him; G_MAXINT64: no such bound */
} CmReadableRoom;

void cm_readable_room_clear (CmReadableRoom *room);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CmReadableRoom, cm_readable_room_clear)

/* For who is joined, whoever may look because history is world-readable, and who was joined once
 * and has neither forgotten the room nor been banned. CM_ERROR_FORBIDDEN for everybody else. */
gboolean cm_call_readable_room (CmCall *call, CmReadableRoom *room, GError **error);
/* The same for any room and user. */
gboolean cm_readable_room_find (CmNode *node, const char *room_id, const char *user_id,
                                CmReadableRoom *room, GError **error);

/* (transfer full) the events of the room's state as it is for the reader. */
GPtrArray *cm_readable_room_state (CmNode *node, const CmReadableRoom *room, GError **error);

/* Who asks, as the one to whom events are shown. */
CmViewer cm_call_viewer (CmCall *call);

/* (transfer full) an event of @room that its reader may see; CM_ERROR_NOT_FOUND. */
CmEvent *cm_readable_room_event (CmNode *node, const CmReadableRoom *room, const char *user_id,
                                 const char *event_id, GError **error);

/* The answer to who asks for the event nearest to a time, user or server. */
CmReply *cm_event_time_reply (const CmEvent *event);

G_END_DECLS
