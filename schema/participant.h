/* What the node's own participant keeps: sealed sessions, and which devices it has met. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

/* Rows of (device_id, account, since); none when the participant was never started. */
CmRows *cm_participant_find (CmDb *db, const char *user_id, GError **error);
gboolean cm_participant_put (CmDb *db, const char *user_id, const char *device_id, GBytes *account,
                             GError **error);
gboolean
cm_participant_set_since (CmDb *db, const char *user_id, const char *since, GError **error);

/* Remembers a device at first sight. @same: whether these are the keys that it was first seen with.
 */
gboolean cm_participant_meet_device (CmDb *db, const char *user_id, const char *device_id,
                                     const char *curve25519, const char *ed25519, gboolean *same,
                                     GError **error);
/* Rows of (user_id, device_id, ed25519) of devices with this identity key. */
CmRows *cm_participant_devices_of_key (CmDb *db, const char *curve25519, GError **error);

/* Rows of (session), the one used last first. */
CmRows *cm_participant_olm_sessions (CmDb *db, const char *peer_key, GError **error);
gboolean cm_participant_put_olm_session (CmDb *db, const char *peer_key, const char *session_id,
                                         GBytes *session, GError **error);

/* Rows of (session, sender, sender_key). */
CmRows *cm_participant_inbound_session (CmDb *db, const char *room_id, const char *session_id,
                                        GError **error);
/* The first session of an id stays. */
gboolean cm_participant_put_inbound_session (CmDb *db, const char *room_id, const char *session_id,
                                             const char *sender, const char *sender_key,
                                             GBytes *session, GError **error);
/* FALSE in @fresh when another event has used this index of the session: a replay. */
gboolean cm_participant_use_index (CmDb *db, const char *session_id, gint64 index,
                                   const char *event_id, gboolean *fresh, GError **error);

/* Rows of (session, shared). */
CmRows *cm_participant_outbound_session (CmDb *db, const char *room_id, GError **error);
gboolean cm_participant_put_outbound_session (CmDb *db, const char *room_id, GBytes *session,
                                              GBytes *shared, GError **error);

G_END_DECLS
