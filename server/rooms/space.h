/* Rooms as hierarchies and previews show them: this server's own, and those that only others know
 * (client-server, "Spaces"; server-server, "Spaces"). */
#pragma once

#include "crypto/json-writer.h"
#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

/* Puts children_state into the object that @writer has open: the m.space.child events of a space in
 * the order in which its children stand. */
gboolean cm_space_put_children (CmJsonWriter *writer, const CmRoomView *view,
                                gboolean suggested_only, GError **error);

/* (transfer full) the whole chunk of one room of this server (SpaceHierarchyRoomsChunk). */
CmJsonDoc *cm_space_room (const CmRoomView *view, gboolean suggested_only, GError **error);

/**
 * cm_space_find: the chunk of @room_id, from here or, when this node is not in it, from @via.
 * @user_id: who asks; NULL: somebody unknown.
 * Returns: (transfer full) NULL with CM_ERROR_NOT_FOUND when there is none that he may know of, or
 * what other servers said. Blocking.
 */
CmJsonDoc *cm_space_find (CmNode *node, const char *room_id, const char *const *via,
                          const char *user_id, gboolean suggested_only, GError **error);

G_END_DECLS
