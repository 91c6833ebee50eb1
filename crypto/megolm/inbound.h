/* The receiving side of a Megolm session.
 *
 * Replays are not seen here: a message decrypts as often as it is given. The caller keeps, for each
 * session id and message index, the event id and origin_server_ts that it first came with, and
 * refuses another event with the same pair. It also keeps which room and which sender key the
 * session came with, and refuses events of any other ("m.megolm.v1.aes-sha2").
 *
 * Not for two threads at once. */
#pragma once

#include "crypto/secret.h"
#include "crypto/vault.h"

G_BEGIN_DECLS

typedef struct _CmMegolmInbound CmMegolmInbound;

/* From the "session_key" of an m.room_key. The key has to be signed by the session and to be that
 * of @session_id: CM_ERROR_FORBIDDEN or CM_ERROR_INVALID_PARAM otherwise. */
CmMegolmInbound *
cm_megolm_inbound_new (const char *session_id, const char *session_key, GError **error);
/* From an exported session key (m.forwarded_room_key, key backup): nothing proves who made it. */
CmMegolmInbound *
cm_megolm_inbound_import (const char *session_id, const char *exported_key, GError **error);
void cm_megolm_inbound_free (CmMegolmInbound *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmMegolmInbound, cm_megolm_inbound_free)

const char *cm_megolm_inbound_id (const CmMegolmInbound *session);
/* Messages before this index cannot be decrypted. */
guint32 cm_megolm_inbound_first_index (const CmMegolmInbound *session);

/**
 * cm_megolm_inbound_decrypt:
 * @index: (out) the index of the message; see above on replays.
 * Returns: (transfer full) the plaintext, or NULL with CM_ERROR_NOT_FOUND for a message before the
 * first index, CM_ERROR_FORBIDDEN for one of another session, CM_ERROR_INVALID_PARAM for a
 * malformed one.
 */
GBytes *cm_megolm_inbound_decrypt (CmMegolmInbound *session, const char *body, guint32 *index,
                                   GError **error);

/* (transfer full) a key with which messages from @index on can be read, for
 * cm_megolm_inbound_import. CM_ERROR_NOT_FOUND when @index is before the first one. */
CmSecret *cm_megolm_inbound_export (CmMegolmInbound *session, guint32 index, GError **error);

GBytes *cm_megolm_inbound_seal (CmMegolmInbound *session, CmVault *vault, const char *context,
                                GError **error);
CmMegolmInbound *
cm_megolm_inbound_open (CmVault *vault, const char *context, GBytes *sealed, GError **error);

G_END_DECLS
