/* Signed keys, of devices and of cross-signing, as they are shown: the object that its owner
 * uploaded with the signatures that were added later. */
#pragma once

#include "crypto/json-writer.h"
#include "schema/write.h"

G_BEGIN_DECLS

/* Rows of cm_key_signatures_find; NULL: none. */
typedef CmRows CmKeySignatures;

/* Writes @key with the signatures there are on it, without "unsigned". @target: a device id of
 * @user_id's, or a public key. */
void cm_signed_key_put (CmJsonWriter *writer, const char *member, const CmJson *key,
                        const CmKeySignatures *signatures, const char *user_id, const char *target);
/* Its members alone, into the open object. */
void cm_signed_key_put_members (CmJsonWriter *writer, const CmJson *key,
                                const CmKeySignatures *signatures, const char *user_id,
                                const char *target);
/* (transfer full) the same of bytes; NULL when they are no JSON. */
GBytes *cm_signed_key_merge (GBytes *key, const CmKeySignatures *signatures, const char *user_id,
                             const char *target);

/* The public part of a cross-signing key: what signatures on it are filed under. NULL without one.
 */
const char *cm_signed_key_public (const CmJson *key);
/* Whether @keys, as another server told them, may be those of the device. */
gboolean cm_device_keys_are_of (const CmJson *keys, const char *user_id, const char *device_id);
/* Adds to @write a device as its server told of it. FALSE, and nothing is added, when its @keys
 * (nullable) cannot be signed JSON, are another's, or are too large. */
gboolean cm_told_device_put (CmWrite *write, const char *user_id, const char *device_id,
                             const CmJson *keys, const char *display_name);
/* (transfer full) a cross-signing key as its server told of it; NULL when it cannot be one of the
 * user's. */
GBytes *cm_told_signing_key (const char *user_id, const CmJson *key);

/* Shapes that clients upload: every item is a text; "signatures" are user -> key id -> text, and
 * all is canonical JSON of at most @max_bytes. CM_ERROR_BAD_JSON, CM_ERROR_INVALID_PARAM. */
gboolean cm_signed_key_check_texts (const CmJson *container, GError **error);
gboolean cm_signed_key_check (const CmJson *key, gsize max_bytes, GError **error);
/* Whether two objects are the same key, whoever signed it. */
gboolean cm_signed_key_same (const CmJson *a, const CmJson *b);

G_END_DECLS
