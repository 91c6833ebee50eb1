/* Cross-signing keys, and the signatures that users put on each other's keys. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* @usage: "master", "self_signing" or "user_signing". A new key replaces the old one. */
void cm_cross_signing_key_put (CmWrite *write, const char *user_id, const char *usage, GBytes *key,
                               gint64 offset);
/* Rows of (usage, key). */
CmRows *cm_cross_signing_keys_find (CmDb *db, const char *user_id, GError **error);

/* @target_key: a device id, or the public part of a cross-signing key. */
void cm_key_signature_put (CmWrite *write, const char *target_user, const char *target_key,
                           const char *signer_user, const char *signer_key, const char *signature);
/* Rows of (target_key, signer_user, signer_key, signature) on keys of @target_user: those of his
 * own, and of @viewer (nullable). */
CmRows *
cm_key_signatures_find (CmDb *db, const char *target_user, const char *viewer, GError **error);
/* New keys make the signatures on the old ones worthless. */
void cm_key_signatures_forget (CmWrite *write, const char *target_user, const char *target_key);

G_END_DECLS
