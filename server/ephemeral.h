/* What is nobody's history: typing and presence. In memory, with a counter of its own that sync
 * tokens carry beside the stream position. */
#pragma once

#include "crypto/json-writer.h"
#include "server/node.h"

G_BEGIN_DECLS

CmEphemeral *cm_ephemeral_new (CmNode *node);
void cm_ephemeral_free (CmEphemeral *ephemeral);

/* @user_id types in @room_id for @timeout_ms from now (0: stopped). Wakes the room's syncs; sends
 * it to the room's servers when the user is local. */
void cm_ephemeral_typing (CmEphemeral *ephemeral, const char *room_id, const char *user_id,
                          guint timeout_ms);
/* (transfer full) user ids typing in a room; @counter gets when that last changed. */
GPtrArray *cm_ephemeral_typists (CmEphemeral *ephemeral, const char *room_id, gint64 *counter);

typedef struct {
  char *user_id;
  char *state;      /* online, offline, unavailable */
  char *status_msg; /* nullable */
  gint64 last_active_ts;
  gboolean currently_active;
  gint64 counter; /* when it last changed */
} CmPresence;
void cm_presence_free (CmPresence *presence);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmPresence, cm_presence_free)

/* A local user's own word (or a sync's set_presence), or another server's EDU. */
void cm_ephemeral_presence (CmEphemeral *ephemeral, const char *user_id, const char *state,
                            const char *status_msg, gint64 last_active_ts);
CmPresence *cm_ephemeral_presence_of (CmEphemeral *ephemeral, const char *user_id);
/* (transfer full) of CmPresence: those of @user_ids (a set) that changed after @since. */
GPtrArray *cm_ephemeral_presence_since (CmEphemeral *ephemeral, GHashTable *user_ids, gint64 since);

gint64 cm_ephemeral_counter (CmEphemeral *ephemeral);

G_END_DECLS
