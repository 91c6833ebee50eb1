/* The few state events that tell who is invited or knocks what the room is (client-server,
 * "Stripped state"): of bounded size both ways (CVE-2023-32323), and of the right types before they
 * are stored (CVE-2024-52815). */
#pragma once

#include "federation/rooms.h"

G_BEGIN_DECLS

/* (transfer full) a JSON array of those of @list that are stripped state; @list NULL: of none. */
GBytes *cm_stripped_read (const CmJson *list);
/* Writes some of @view's state, and @user_id's member event, as events of the room's version (since
 * 1.16; others read of them what they know). */
gboolean cm_stripped_write (CmJsonWriter *writer, const char *key, const CmRoomView *view,
                            const char *user_id, GError **error);

G_END_DECLS
