#include "crypto/secret.h"

#include <sodium.h>
#include <string.h>

static gsize
whole_size (gsize size)
{
  gsize whole;

  if (!g_size_checked_add (&whole, size, sizeof (CmSecret) + 1))
    g_error ("a secret of %" G_GSIZE_FORMAT " bytes does not fit into memory", size);
  return whole;
}

CmSecret *
cm_secret_new (gsize size)
{
  CmSecret *secret = g_malloc0 (whole_size (size));

  secret->size = size;
  return secret;
}

CmSecret *
cm_secret_new_copy (const void *data, gsize size)
{
  CmSecret *secret = cm_secret_new (size);

  if (size > 0)
    memcpy (secret->data, data, size);
  return secret;
}

void
cm_secret_free (CmSecret *secret)
{
  if (secret == NULL)
    return;
  sodium_memzero (secret, whole_size (secret->size));
  g_free (secret);
}

const char *
cm_secret_text (const CmSecret *secret)
{
  return (const char *) secret->data;
}

GBytes *
cm_secret_to_bytes (CmSecret *secret, gsize size)
{
  return g_bytes_new_with_free_func (secret->data, MIN (size, secret->size),
                                     (GDestroyNotify) cm_secret_free, secret);
}
