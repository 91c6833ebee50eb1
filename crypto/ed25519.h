/* Ed25519 server keys (libsodium, strict verification) and the signing of JSON objects
 * (Matrix appendices, "Signing JSON"). Secrets are wiped when freed. */
#pragma once

#include "crypto/json.h"

G_BEGIN_DECLS

#define CM_ED25519_PUBLIC_SIZE    32
#define CM_ED25519_SIGNATURE_SIZE 64

/* Immutable and reference-counted: a private key with its key id ("ed25519:a_XyZ1"). */
typedef struct _CmSigningKey CmSigningKey;

CmSigningKey *cm_signing_key_generate (void);
/* From @seed (32 bytes) and a key id; for tests and key files. CM_ERROR_INVALID_PARAM when the id
 * is no key id. */
CmSigningKey *cm_signing_key_new (const char *key_id, const guint8 seed[32], GError **error);
/* Reads "ed25519 VERSION BASE64SEED" (Synapse's format) from @path; makes the file, mode 0600, when
 * it is absent. */
CmSigningKey *cm_signing_key_load_or_create (const char *path, GError **error);
CmSigningKey *cm_signing_key_ref (CmSigningKey *key);
void cm_signing_key_unref (CmSigningKey *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmSigningKey, cm_signing_key_unref)

const char *cm_signing_key_id (const CmSigningKey *key);
/* The public key as unpadded base64. */
const char *cm_signing_key_public (const CmSigningKey *key);
/* (transfer full) the signature of @data as unpadded base64. */
char *cm_signing_key_sign (const CmSigningKey *key, const void *data, gsize length);

/* @public_key and @signature are unpadded base64 and strictly decoded. */
gboolean
cm_ed25519_verify (const char *public_key, const char *signature, const void *data, gsize length);

/* The canonical bytes of @object without "signatures" and "unsigned": what is signed. */
GBytes *cm_sign_json_payload (const CmJson *object, GError **error);

/**
 * cm_sign_json: @object with the signature of @server_name added.
 * Returns: (transfer full) a new document, members in canonical order, other signatures and
 * "unsigned" kept.
 */
CmJsonDoc *cm_sign_json (const CmJson *object, const char *server_name, const CmSigningKey *key,
                         GError **error);

/* (transfer full) what cm_sign_json makes of a @signature that was made elsewhere, over
 * cm_sign_json_payload. */
CmJsonDoc *cm_add_signature (const CmJson *object, const char *entity, const char *key_id,
                             const char *signature, GError **error);

/* Checks one signature: object.signatures[@entity][@key_id] with @public_key. CM_ERROR_FORBIDDEN
 * when it fails. */
gboolean cm_verify_json (const CmJson *object, const char *entity, const char *key_id,
                         const char *public_key, GError **error);

G_END_DECLS
