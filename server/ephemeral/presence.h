/* Who is there, as his clients or his server say, and who of this server went away in silence. */
#pragma once

#include "crypto/json-writer.h"
#include "server/ephemeral/ephemeral.h"

G_BEGIN_DECLS

/* Bytes of a status message: what users of this server may set, and what is kept of others'. */
#define CM_PRESENCE_MAX_STATUS 1024

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

/* (transfer full) of somebody of whom nothing is known. */
CmPresence *cm_presence_offline (const char *user_id);
gboolean cm_presence_is_state (const char *text);
/* The members of a presence event's content, or of an entry of m.presence. */
void cm_presence_put (CmJsonWriter *writer, const CmPresence *presence);

/* A local user's own word, or another server's EDU. Those who share a room are told in the
 * background. */
void cm_ephemeral_presence (CmEphemeral *ephemeral, const char *user_id, const char *state,
                            const char *status_msg, gint64 last_active_ts);
/* Whether there is place only for those who are known to concern somebody here. */
gboolean cm_ephemeral_is_crowded (CmEphemeral *ephemeral);
/* A local user's client is at work and calls itself @state (a sync's set_presence). */
void cm_ephemeral_seen (CmEphemeral *ephemeral, const char *user_id, const char *state);
/* Tells @servers (NULL-terminated) of a local user's presence; FALSE when there is nothing to tell.
 */
gboolean
cm_ephemeral_tell (CmEphemeral *ephemeral, const char *user_id, const char *const *servers);
/* (transfer full) what is known of a user; NULL: nothing. */
CmPresence *cm_ephemeral_presence_of (CmEphemeral *ephemeral, const char *user_id);
/* (transfer full) ids of the users whose presence changed after @since. */
GPtrArray *cm_ephemeral_presence_since (CmEphemeral *ephemeral, gint64 since);

G_END_DECLS
