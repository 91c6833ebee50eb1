/* Joining and knocking, in rooms that are here and in rooms that are not. */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef struct {
  const char *room_id;
  const char *user_id; /* of this server */
  gboolean guest;
  const char *reason;     /* nullable */
  const CmJson *content;  /* what the client wants the event to say; NULL: reason and profile */
  const char *const *via; /* servers to ask, in order; nullable */
} CmEntry;

/* Whether this node can add to the room's graph on its own: it has members in it, or nobody has. */
gboolean cm_room_is_live (const CmRoomView *view);

/* Blocking. The errors are those of the room's rules (CM_ERROR_FORBIDDEN), of other servers, and
 * CM_ERROR_NOT_FOUND when nobody is known who could let the user in. */
gboolean cm_room_join (CmNode *node, const CmEntry *entry, GError **error);
gboolean cm_room_knock (CmNode *node, const CmEntry *entry, GError **error);

/* Whether a member event that @sender wants to set lets him in, which is for cm_room_join to do. */
gboolean cm_room_is_entry (const CmRoomView *view, const char *sender, const char *state_key,
                           const CmJson *content);

G_END_DECLS
