/* Files that hold a node's keys: small texts that other users cannot read, made whole or not at
 * all, and held in memory that is locked and wiped. */
#pragma once

#include "crypto/error.h"

#include <sodium.h>

G_BEGIN_DECLS

#define CM_KEY_FILE_MAX_BYTES 65535

/* Text in libsodium's guarded memory. */
typedef char CmKeyText;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmKeyText, sodium_free)

/* (transfer full) @size bytes for a text, its NUL included. */
CmKeyText *cm_key_text_new (gsize size);

/**
 * cm_key_file_load_or_create: the text of the file at @path.
 * @make: gives the text (transfer full) of a new file, for when there is none.
 *
 * A new file has mode 0600. When several processes make it at once, all get the text of the one
 * that was first. Returns: (transfer full) the text, or NULL with CM_ERROR_CONFIG; its message is
 * for the operator and names @path.
 */
CmKeyText *cm_key_file_load_or_create (const char *path, CmKeyText *(*make) (void), GError **error);

G_END_DECLS
