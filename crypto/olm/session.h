/* An Olm session: the double ratchet between one device of ours and one of another user. It is
 * stored after every message, as crypto/olm/account.h says. Not for two threads at once. */
#pragma once

#include "crypto/olm/account.h"

G_BEGIN_DECLS

typedef struct _CmOlmSession CmOlmSession;

/* The "type" of an m.olm.v1.curve25519-aes-sha2 ciphertext. */
typedef enum {
  CM_OLM_PRE_KEY = 0, /* starts a session: sent until the other side has answered */
  CM_OLM_MESSAGE = 1,
} CmOlmMessageType;

/**
 * cm_olm_session_new_outbound: starts a session with a device.
 * @their_identity_key: its curve25519 key, from device keys whose signature was checked.
 * @their_one_time_key: a claimed one-time or fallback key, whose signature by that device was
 * checked. Returns: (transfer full) NULL with CM_ERROR_INVALID_PARAM for malformed keys and those
 * of small order.
 */
CmOlmSession *cm_olm_session_new_outbound (CmOlmAccount *account, const char *their_identity_key,
                                           const char *their_one_time_key, GError **error);

/**
 * cm_olm_session_new_inbound: opens a pre-key message that no present session matches.
 * @their_identity_key: the curve25519 key of the sender ("sender_key"), which the message must name
 * as well.
 * @plaintext: (out) (transfer full) the decrypted message.
 *
 * The one-time key is given up only when the message was authentic, so that forgeries cannot use up
 * keys. Returns: (transfer full) NULL with CM_ERROR_FORBIDDEN or CM_ERROR_INVALID_PARAM, and
 * @account as it was.
 */
CmOlmSession *cm_olm_session_new_inbound (CmOlmAccount *account, const char *their_identity_key,
                                          const char *body, GBytes **plaintext, GError **error);
void cm_olm_session_free (CmOlmSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmOlmSession, cm_olm_session_free)

/* The same on both sides. */
const char *cm_olm_session_id (const CmOlmSession *session);

/* TRUE when the pre-key message @body by @their_identity_key belongs to this session: then decrypt
 * it here. */
gboolean
cm_olm_session_matches (CmOlmSession *session, const char *their_identity_key, const char *body);

/* (transfer full) the base64 body; @plaintext of at most CM_OLM_MAX_BYTES. */
char *cm_olm_session_encrypt (CmOlmSession *session, const void *plaintext, gsize length,
                              CmOlmMessageType *type, GError **error);
/**
 * cm_olm_session_decrypt:
 * @type: as it was received; anything but a CmOlmMessageType is CM_ERROR_INVALID_PARAM.
 * Each message opens once. The plaintext names sender and recipient with their keys: compare all of
 * them
 * ("m.olm.v1.curve25519-aes-sha2") before believing it.
 * Returns: (transfer full) the plaintext; NULL with CM_ERROR_FORBIDDEN or CM_ERROR_INVALID_PARAM,
 * and @session as it was.
 */
GBytes *
cm_olm_session_decrypt (CmOlmSession *session, gint64 type, const char *body, GError **error);

GBytes *
cm_olm_session_seal (CmOlmSession *session, CmVault *vault, const char *context, GError **error);
CmOlmSession *
cm_olm_session_open (CmVault *vault, const char *context, GBytes *sealed, GError **error);

G_END_DECLS
