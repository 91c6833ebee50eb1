/* Cross-signing keys, and the signatures that users put on each other's keys. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* @usage: "master", "self_signing" or "user_signing". A new key replaces the old one. */
void cm_cross_signing_key_put (CmWrite *write, const char *user_id, const char *usage, GBytes *key,
                               gint64 offset);
/* As that for the master key of a user who has none: the write fails with CM_ERROR_CONFLICT when
 * there is one after all. */
void
cm_cross_signing_put_first_master (CmWrite *write, const char *user_id, GBytes *key, gint64 offset);
/* All of a user's are to go; others may be added next. */
void cm_cross_signing_keys_forget (CmWrite *write, const char *user_id);
/* Rows of (user_id, usage, key), in this order. */
CmRows *cm_cross_signing_keys_find (CmDb *db, char **user_ids, GError **error);

/* @target_key: a device id, or the public part of a cross-signing key. */
void cm_key_signature_put (CmWrite *write, const char *target_user, const char *target_key,
                           const char *signer_user, const char *signer_key, const char *signature,
                           gint64 offset);
/* Rows of (target_user, target_key, signer_user, signer_key, signature), in this order: what the
 * users signed of their own keys, and what @viewer (nullable) signed. */
CmRows *cm_key_signatures_find (CmDb *db, char **target_users, const char *viewer, GError **error);
/* New keys make the signatures on the old ones worthless. */
void cm_key_signatures_forget (CmWrite *write, const char *target_user, const char *target_key);

G_END_DECLS
