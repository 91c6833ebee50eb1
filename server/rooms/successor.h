/* What people keep with a room follows them into the room that takes its place: tags, the rules
 * that say when it rings, and that it is a conversation of two (client-server, "Room upgrades":
 * "When a user joins the new room, ..."). */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

/* A user of this server has come in. */
gboolean cm_successor_concerns (CmNode *node, const CmEvent *event);
/* If the room @event is of is the one that an old room's tombstone names: carries over. Blocking.
 */
gboolean cm_successor_entered (CmNode *node, const CmEvent *event, GError **error);

/* Whatever stands in the rooms. What the user keeps with the new one already stays. Blocking. */
gboolean cm_successor_carry_over (CmNode *node, const char *user_id, const char *old_room,
                                  const char *new_room, GError **error);

G_END_DECLS
