/* Data at rest: AES-256-GCM under a node key (OpenSSL). A sealed blob names its format and key id, so that keys can be
 * rotated; @context is bound as associated data and must be the same when opening. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

typedef struct _CmVault CmVault;

/* Reads the 32-byte node key (base64, one line "v1 BASE64") from @path; makes the file, mode 0600, when it is absent. */
CmVault *cm_vault_load_or_create (const char *path, GError **error);
CmVault *cm_vault_ref (CmVault *vault);
void cm_vault_unref (CmVault *vault);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmVault, cm_vault_unref)

GBytes *cm_vault_seal (CmVault *vault, const char *context, const void *data, gsize length, GError **error);
GBytes *cm_vault_open (CmVault *vault, const char *context, GBytes *sealed, GError **error);

G_END_DECLS
