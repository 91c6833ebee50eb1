/* For crypto/olm/session.c only: sessions are made from accounts. */
#pragma once

#include "crypto/olm/account.h"
#include "crypto/olm/backend.h"

struct _CmOlmAccount {
  CmSecret *memory;
  OlmAccount *olm; /* lives in memory */
  char *curve25519;
  char *ed25519;
};
