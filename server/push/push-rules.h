/* Push rules: the predefined ones as a const table (client-server, "Predefined Rules"), a user's own over them, and what an event means to a user. */
#pragma once

#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

/* The room's hook (CmRoomHooks.event_added): counts an event for every local member it concerns, in the event's own write. */
void cm_push_event_added (CmWrite *write, gint64 position_offset, const CmEvent *event, const CmRoomView *view, gpointer node);

/* A read receipt: adds to @write what it does to the counters. */
gboolean cm_push_read (CmNode *node, CmWrite *write, gint64 user, gint64 room, gint64 thread, gint64 event_position, GError **error);

typedef struct {
  gint64 notifications;
  gint64 highlights;
} CmUnread;
/* The main timeline's counters, or (thread != 0) a thread's. */
gboolean cm_push_unread (CmNode *node, gint64 user, gint64 room, gint64 thread, CmUnread *unread, GError **error);

/* m.push_rules as account data shows it: (transfer full) {"global": {...}}. */
GBytes *cm_push_rules_document (CmNode *node, const char *user_id, GError **error);

G_END_DECLS
