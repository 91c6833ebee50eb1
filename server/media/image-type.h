/* The kinds of images that are decoded at all, told by their first bytes and by nothing else. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum {
  CM_IMAGE_NONE,
  CM_IMAGE_PNG,
  CM_IMAGE_JPEG,
  CM_IMAGE_GIF,
  CM_IMAGE_WEBP,
} CmImageType;

/* As many bytes as are ever looked at. */
#define CM_IMAGE_MAGIC 12

CmImageType cm_image_type (const void *data, gsize length);
/* "image/png"; NULL for CM_IMAGE_NONE. */
const char *cm_image_type_name (CmImageType type);

G_END_DECLS
