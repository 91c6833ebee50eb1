/* Who types where, here and on other servers: until it is said to be over, or time runs out. */
#pragma once

#include "server/ephemeral/ephemeral.h"

G_BEGIN_DECLS

/* @user_id types in @room_id for @timeout_ms from now (0: stopped). Wakes the room's syncs; sends
 * it to the room's servers when the user is local. */
void cm_ephemeral_typing (CmEphemeral *ephemeral, const char *room_id, const char *user_id,
                          guint timeout_ms);
/* (transfer full) user ids typing in a room; @counter gets when that last changed, 0: never. */
GPtrArray *cm_ephemeral_typists (CmEphemeral *ephemeral, const char *room_id, gint64 *counter);
/* TRUE when somewhere somebody began or ceased to type after @since. */
gboolean cm_ephemeral_typing_changed (CmEphemeral *ephemeral, gint64 since);

G_END_DECLS
