#include "server/media/image-type.h"

#include <string.h>

static const struct {
  const char *magic;
  gsize length;
  CmImageType type;
  const char *name;
} types[] = {
  { "\x89PNG\r\n\x1a\n", 8, CM_IMAGE_PNG, "image/png" },
  { "\xff\xd8\xff", 3, CM_IMAGE_JPEG, "image/jpeg" },
  { "GIF87a", 6, CM_IMAGE_GIF, "image/gif" },
  { "GIF89a", 6, CM_IMAGE_GIF, "image/gif" },
  { "RIFF", 4, CM_IMAGE_WEBP, "image/webp" },
};

CmImageType
cm_image_type (const void *data, gsize length)
{
  if (length < CM_IMAGE_MAGIC)
    return CM_IMAGE_NONE;
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++) {
    if (memcmp (data, types[i].magic, types[i].length) != 0)
      continue;
    /* RIFF holds sound and films too. */
    if (types[i].type == CM_IMAGE_WEBP && memcmp ((const char *) data + 8, "WEBP", 4) != 0)
      return CM_IMAGE_NONE;
    return types[i].type;
  }
  return CM_IMAGE_NONE;
}

const char *
cm_image_type_name (CmImageType type)
{
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    if (types[i].type == type)
      return types[i].name;
  return NULL;
}
