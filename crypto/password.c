#include "crypto/password.h"

#include <sodium.h>
#include <string.h>

typedef struct {
  unsigned long long passes;
  gsize memory;
} Cost;

static const Cost costs[] = {
  [CM_PASSWORD_COST_MINIMUM] = { crypto_pwhash_OPSLIMIT_MIN, crypto_pwhash_MEMLIMIT_MIN },
  [CM_PASSWORD_COST_INTERACTIVE] = { crypto_pwhash_OPSLIMIT_INTERACTIVE,
                                     crypto_pwhash_MEMLIMIT_INTERACTIVE },
};

/* Stands in for the hash of an account that does not exist: the interactive cost, and a digest
 * drawn at random, so that nobody knows a password to it. */
static const char nobody[crypto_pwhash_STRBYTES] =
    "$argon2id$v=19$m=65536,t=2,p=1$zfNUnDiX4Ab79VCOuooXIA"
    "$ziXTeL6HaV9VZ3PRT5mSgrAIK1WBZgOmkQd6ebcnyes";

/* A bound on length, as Argon2 reads all of it. Every length is refused before any work is done,
 * whether or not the account exists. */
static gboolean
length_is_fine (const char *password)
{
  gsize length = strnlen (password, CM_PASSWORD_MAX_BYTES + 1);

  return length > 0 && length <= CM_PASSWORD_MAX_BYTES;
}

char *
cm_password_hash (const char *password, CmPasswordCost cost, GError **error)
{
  char hash[crypto_pwhash_STRBYTES];

  if (!length_is_fine (password)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                 "A password must have between 1 and %d bytes", CM_PASSWORD_MAX_BYTES);
    return NULL;
  }
  if (sodium_init () < 0 || crypto_pwhash_str (hash, password, strlen (password),
                                               costs[cost].passes, costs[cost].memory) != 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE, "Not enough memory to hash a password");
    return NULL;
  }
  return g_strdup (hash);
}

gboolean
cm_password_verify (const char *hash, const char *password)
{
  gboolean same;

  if (!length_is_fine (password) || sodium_init () < 0)
    return FALSE;
  same = crypto_pwhash_str_verify (hash != NULL ? hash : nobody, password, strlen (password)) == 0;
  return same && hash != NULL;
}
