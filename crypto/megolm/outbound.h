/* The sending side of a Megolm session: one device of ours encrypts, all devices of a room decrypt
 * (client-server, "m.megolm.v1.aes-sha2"). Not for two threads at once. To be sealed and stored
 * after every message and before it is sent: an index that is used twice after a crash is a broken
 * message. */
#pragma once

#include "crypto/secret.h"
#include "crypto/vault.h"

G_BEGIN_DECLS

typedef struct _CmMegolmOutbound CmMegolmOutbound;

/* @now: microseconds of the wall clock (g_get_real_time), from which its age counts. */
CmMegolmOutbound *cm_megolm_outbound_new (gint64 now, GError **error);
void cm_megolm_outbound_free (CmMegolmOutbound *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmMegolmOutbound, cm_megolm_outbound_free)

const char *cm_megolm_outbound_id (const CmMegolmOutbound *session);
gint64 cm_megolm_outbound_created_at (const CmMegolmOutbound *session);
/* The index of the next message, and so how many were encrypted. */
guint32 cm_megolm_outbound_message_index (const CmMegolmOutbound *session);

/* (transfer full) the "session_key" of m.room_key: whoever gets it reads all messages from the
 * present index on. */
CmSecret *cm_megolm_outbound_session_key (CmMegolmOutbound *session, GError **error);

/* (transfer full) the "ciphertext" of m.room.encrypted. */
char *cm_megolm_outbound_encrypt (CmMegolmOutbound *session, const void *plaintext, gsize length,
                                  GError **error);

/**
 * cm_megolm_outbound_needs_rotation: whether the next message must use a new session
 * ("m.room.encryption").
 * @max_age_us: rotation_period_ms in microseconds.
 * @max_messages: rotation_period_msgs.
 *
 * Both come from room state, which others write: a session carries at least one message whatever
 * they say, and never more than CM_MEGOLM_MAX_MESSAGES. When the clock went back the age is not
 * known, and the session is at its end. Members who left and devices that were removed are the
 * caller's to watch: they too end a session.
 */
gboolean cm_megolm_outbound_needs_rotation (const CmMegolmOutbound *session, gint64 max_age_us,
                                            gint64 max_messages, gint64 now);
#define CM_MEGOLM_MAX_MESSAGES 10000

/* Creation time and index are sealed with the session. */
GBytes *cm_megolm_outbound_seal (CmMegolmOutbound *session, CmVault *vault, const char *context,
                                 GError **error);
CmMegolmOutbound *
cm_megolm_outbound_open (CmVault *vault, const char *context, GBytes *sealed, GError **error);

G_END_DECLS
