/* Data at rest: AES-256-GCM under a node key (OpenSSL). A sealed blob names its format and key id,
 * so that keys can be rotated; @context is bound as associated data and must be the same when
 * opening. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

typedef struct _CmVault CmVault;

/**
 * cm_vault_load_or_create: reads the node keys from @path; makes the file, mode 0600, when it is
 * absent.
 *
 * Each line is "vNUMBER BASE64" with a 32-byte key; empty lines and those that start with '#' do
 * not count. The last key seals and all of them open, so that a key is rotated by appending a line
 * and sealing anew what the old one sealed. Returns: (transfer full) NULL with CM_ERROR_CONFIG when
 * the file cannot be used, or when all users may read it.
 */
CmVault *cm_vault_load_or_create (const char *path, GError **error);
CmVault *cm_vault_ref (CmVault *vault);
void cm_vault_unref (CmVault *vault);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmVault, cm_vault_unref)

/* (transfer full) @length bytes of @data (at most 1 GiB: CM_ERROR_TOO_LARGE) as a blob. */
GBytes *
cm_vault_seal (CmVault *vault, const char *context, const void *data, gsize length, GError **error);
/* (transfer full) what was sealed, wiped with the last reference; NULL with CM_ERROR_FORBIDDEN when
 * the blob was changed, cut, sealed for another context or by a key that is not in the file. */
GBytes *cm_vault_open (CmVault *vault, const char *context, GBytes *sealed, GError **error);

G_END_DECLS
