/* The answer that carries a file from server to server (server-server, "Content Repository"):
 * multipart/mixed of an empty JSON object and the file. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

typedef struct {
  char *content_type; /* nullable, as the rest: as declared, unchecked */
  char *file_name;
  char *location; /* where the content is instead */
  GBytes *content;
} CmFilePart;

void cm_file_part_free (CmFilePart *part);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmFilePart, cm_file_part_free)

/* The second part of @body, whose type is @content_type (transfer full; the content is a slice of
 * @body). CM_ERROR_BAD_GATEWAY. */
CmFilePart *cm_multipart_parse (const char *content_type, GBytes *body, GError **error);

/* What stands before and after a file of @content_type with @disposition (nullable); @type gets the
 * content type of all of it. All transfer full. */
void cm_multipart_wrap (const char *content_type, const char *disposition, GBytes **before,
                        GBytes **after, char **type);

G_END_DECLS
