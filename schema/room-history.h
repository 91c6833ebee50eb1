/* Places in a room's history. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

/* Whether events are known of that this node does not have. */
gboolean cm_room_has_missing_events (CmDb *db, gint64 room, gboolean *missing, GError **error);

/* (transfer full) ids of at most @limit of them; those first that events name which stand at
 * @position or before it. */
char **
cm_room_missing_events (CmDb *db, gint64 room, gint64 position, gint64 limit, GError **error);

/* The number of the last event at @position or before it; 0 when nothing came before. */
gboolean
cm_room_event_at_position (CmDb *db, gint64 room, gint64 position, gint64 *event, GError **error);

/* Numbers (transfer full, of gint64) of the @limit events of the room nearest to @ts, at or after
 * it, or at or before it, nearest first. */
GArray *cm_room_events_near (CmDb *db, gint64 room, gint64 ts, gboolean backwards, gint64 until,
                             gint64 limit, GError **error);

G_END_DECLS
