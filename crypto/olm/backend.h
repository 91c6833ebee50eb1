/* What the files around libolm share. Libolm (3.2, unmaintained) is known to crypto/olm and
 * crypto/megolm alone: their public headers name none of its types, so that it can be replaced
 * without touching a caller. */
#pragma once

#include "crypto/error.h"
#include "crypto/olm/wire.h"
#include "crypto/secret.h"
#include "crypto/vault.h"

#include <olm/olm.h>

G_BEGIN_DECLS

/* Bounds what is handed to libolm; far above what an event or a to-device message may carry. */
#define CM_OLM_MAX_BYTES (1024 * 1024)

/* Pickles are never stored as libolm makes them (a table-driven AES, CVE-2024-45191): they go
 * straight into the vault. This key only satisfies its interface. */
#define CM_OLM_PICKLE_KEY        "comity"
#define CM_OLM_PICKLE_KEY_LENGTH (sizeof CM_OLM_PICKLE_KEY - 1)

/* Sets @error to what @code means to a caller. Returns: FALSE */
gboolean cm_olm_fail (enum OlmErrorCode code, GError **error);
gboolean cm_olm_invalid (GError **error, const char *message);

/* (transfer full) @length random bytes; libolm consumes them. */
CmSecret *cm_olm_random (gsize length);

/**
 * cm_olm_read_base64: checks strictly what libolm reads leniently (CVE-2024-45193: any character,
 * any trailing bits).
 * @bytes: (out) (transfer full) what the text stands for: between 1 and CM_OLM_MAX_BYTES bytes.
 * Returns: (transfer full) a copy without padding, which libolm may destroy; NULL with
 * CM_ERROR_INVALID_PARAM.
 */
CmSecret *cm_olm_read_base64 (const char *text, CmSecret **bytes, GError **error);

/* FALSE for points of small order, with which every shared secret is zero, and for second
 * spellings. */
gboolean cm_olm_is_sound_point (const guint8 point[32]);
/* (transfer full) the 32 bytes of @key, a sound point in unpadded base64; NULL with
 * CM_ERROR_INVALID_PARAM. */
CmSecret *cm_olm_read_curve25519 (const char *key, GError **error);

/* @kind ("olm-account") keeps an object from being opened as one of another kind. */
GBytes *cm_olm_seal (CmVault *vault, const char *kind, const char *context, const CmSecret *pickle,
                     GError **error);
/* (transfer full) a pickle that libolm may destroy. */
CmSecret *cm_olm_unseal (CmVault *vault, const char *kind, const char *context, GBytes *sealed,
                         GError **error);

G_END_DECLS
