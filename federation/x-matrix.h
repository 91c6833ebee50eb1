/* The X-Matrix authorization scheme (server-server, "Request Authentication"): parsing by the RFC
 * 9110 grammar, and the signed object. */
#pragma once

#include "crypto/ed25519.h"

G_BEGIN_DECLS

typedef struct {
  char *origin;
  char *destination; /* NULL when absent (older servers) */
  char *key;
  char *signature;
} CmXMatrix;

void cm_x_matrix_free (CmXMatrix *header);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmXMatrix, cm_x_matrix_free)

/* CM_ERROR_UNAUTHORIZED for anything but exactly one of each parameter, within 8 KiB. */
CmXMatrix *cm_x_matrix_parse (const char *header, GError **error);
/* (transfer full) the header for a request that this server makes. @content: (nullable) the JSON
 * body; CM_ERROR_BAD_JSON when it is not canonical. */
char *cm_x_matrix_sign (const char *method, const char *target, const char *origin,
                        const char *destination, const CmJson *content, const CmSigningKey *key,
                        GError **error);
/* Checks that @header is meant for @destination (this server) and its signature over the request,
 * with @public_key. CM_ERROR_UNAUTHORIZED. */
gboolean cm_x_matrix_verify (const CmXMatrix *header, const char *method, const char *target,
                             const char *destination, const CmJson *content, const char *public_key,
                             GError **error);

G_END_DECLS
