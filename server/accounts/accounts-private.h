/* What the files of this folder share. */
#pragma once

#include "schema/news.h"
#include "server/accounts/accounts.h"
#include "server/accounts/directory.h"
#include "server/accounts/last-seen.h"
#include "server/accounts/session-cache.h"
#include "server/accounts/spread.h"

G_BEGIN_DECLS

struct _CmAccounts {
  CmNode *node;
  CmSessionCache *sessions;
  CmLastSeen *seen;
  CmSpread *spread;
  CmDirectory *directory; /* NULL: there is none */
  CmNews *news;           /* while it listens */
};

/* Milliseconds since 1970, as everywhere in the specification. */
static inline gint64
cm_now_ms (void)
{
  return g_get_real_time () / 1000;
}

/* Forgets what memory knows of a user's device (NULL: all) and ends its open polls. The database
 * must know already. */
void cm_accounts_forget (CmAccounts *accounts, const char *user_id, const char *device_id);

G_END_DECLS
