/* A piece of memory that is wiped before it is given back: keys, pickles, decrypted text. */
#pragma once

#include <glib.h>

#include <stddef.h>

G_BEGIN_DECLS

/* Aligned for any type. A byte of zero follows the @size bytes, so that text can be read in place.
 */
typedef struct {
  gsize size;
  _Alignas(max_align_t) guint8 data[];
} CmSecret;

/* (transfer full) @size bytes of zero. */
CmSecret *cm_secret_new (gsize size);
CmSecret *cm_secret_new_copy (const void *data, gsize size);
void cm_secret_free (CmSecret *secret);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmSecret, cm_secret_free)

const char *cm_secret_text (const CmSecret *secret);

/* (transfer full) the first @size bytes of @secret (transfer full), wiped with the last reference.
 */
GBytes *cm_secret_to_bytes (CmSecret *secret, gsize size);

G_END_DECLS
