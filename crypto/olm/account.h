/* The long-lived keys of one device of ours: its identity keys and the one-time and fallback keys
 * with which others start Olm sessions (client-server, "End-to-End Encryption"; the Olm
 * specification).
 *
 * Not for two threads at once. Whatever changes an account or a session is to be sealed and stored
 * before its result leaves the node: a key that is used twice after a crash is a broken key. */
#pragma once

#include "crypto/json.h"
#include "crypto/vault.h"

G_BEGIN_DECLS

typedef struct _CmOlmAccount CmOlmAccount;

/* A public key to upload as "signed_curve25519:@id". */
typedef struct {
  char *id;
  char *key;
  gboolean fallback;
} CmOlmPublicKey;

CmOlmAccount *cm_olm_account_new (GError **error);
void cm_olm_account_free (CmOlmAccount *account);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmOlmAccount, cm_olm_account_free)

/* The identity keys as unpadded base64. */
const char *cm_olm_account_curve25519 (const CmOlmAccount *account);
const char *cm_olm_account_ed25519 (const CmOlmAccount *account);

/* (transfer full) the Ed25519 signature of @data as unpadded base64. */
char *cm_olm_account_sign (CmOlmAccount *account, const void *data, gsize length, GError **error);

/**
 * cm_olm_account_sign_json: @object with signatures.@user_id["ed25519:@device_id"] added ("Signing
 * JSON"). Verify what others signed with cm_verify_json, never with libolm (CVE-2024-45193).
 * Returns: (transfer full) a new document, other signatures and "unsigned" kept.
 */
CmJsonDoc *cm_olm_account_sign_json (CmOlmAccount *account, const CmJson *object,
                                     const char *user_id, const char *device_id, GError **error);

/* How many one-time keys an account holds at most, published ones included; beyond it the oldest
 * are dropped. */
gsize cm_olm_account_max_one_time_keys (const CmOlmAccount *account);
gboolean cm_olm_account_generate_one_time_keys (CmOlmAccount *account, gsize count, GError **error);

/* Makes a new fallback key; the one before it still opens sessions until it is forgotten, which is
 * to be done once no message can be under way any more (an hour after the new one was uploaded). */
gboolean cm_olm_account_generate_fallback_key (CmOlmAccount *account, GError **error);
void cm_olm_account_forget_old_fallback_key (CmOlmAccount *account);

/* (transfer full) (element-type CmOlmPublicKey) one-time and fallback keys that are not marked as
 * published. */
GPtrArray *cm_olm_account_unpublished_keys (CmOlmAccount *account, GError **error);
void cm_olm_account_mark_published (CmOlmAccount *account);

/* @context says whose account it is, and must be the same when opening. */
GBytes *
cm_olm_account_seal (CmOlmAccount *account, CmVault *vault, const char *context, GError **error);
/* CM_ERROR_FORBIDDEN when @sealed was not sealed by this vault for this context. */
CmOlmAccount *
cm_olm_account_open (CmVault *vault, const char *context, GBytes *sealed, GError **error);

G_END_DECLS
