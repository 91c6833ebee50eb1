/* Signing in and out: devices with their access and refresh tokens. Every kind of sign-in ends
 * here, and here alone it is decided whether an account may have a token at all. */
#pragma once

#include "schema/write.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef struct {
  char *user_id;
  char *device_id;
  char *access;
  char *refresh;        /* nullable */
  gint64 expires_in_ms; /* 0: never */
} CmTokens;

void cm_tokens_free (CmTokens *tokens);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmTokens, cm_tokens_free)

typedef struct {
  const char *user_id;
  const char *device_id;    /* NULL: a new one */
  const char *display_name; /* of a new device; nullable */
  gboolean refreshable;
} CmSignIn;

/* Tokens for a device; those it had end. CM_ERROR_USER_DEACTIVATED, CM_ERROR_USER_LOCKED,
 * CM_ERROR_FORBIDDEN when there is no such account. */
CmTokens *cm_tokens_issue (CmNode *node, const CmSignIn *sign_in, GError **error);

/* The pair that follows @refresh_token. The access token that it came with ends; itself it ends
 * when the new pair is used. CM_ERROR_UNKNOWN_TOKEN. */
CmTokens *cm_tokens_refresh (CmNode *node, const char *refresh_token, GError **error);

/* Deletes devices (NULL-terminated), with their tokens, pushers and keys. Those that are not there
 * are passed over. */
gboolean cm_tokens_delete_devices (CmNode *node, const char *user_id, const char *const *device_ids,
                                   GError **error);
/* All of a user's devices but @keep (nullable); @extra (nullable, transfer full) is committed with
 * that. */
gboolean cm_tokens_delete_others (CmNode *node, const char *user_id, const char *keep,
                                  CmWrite *extra, GError **error);

G_END_DECLS
