/* Password hashes: Argon2id through libsodium, in its own encoded form ("$argon2id$..."). */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

#define CM_PASSWORD_MAX_BYTES 512

typedef enum {
  CM_PASSWORD_COST_MINIMUM,     /* for test suites only */
  CM_PASSWORD_COST_INTERACTIVE, /* 64 MiB, two passes: the default */
} CmPasswordCost;

/* (transfer full) NULL with CM_ERROR_INVALID_PARAM for an empty or too long password. Slow: call on
 * the blocking lane. */
char *cm_password_hash (const char *password, CmPasswordCost cost, GError **error);
/* @hash NULL does the same work and says FALSE, so that time does not tell whether an account
 * exists. */
gboolean cm_password_verify (const char *hash, const char *password);

G_END_DECLS
