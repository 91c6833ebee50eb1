/* Which servers failed and are left alone for a while: 5 seconds at first, twice as long after each
 * further failure, a day at most, with jitter; forgotten as soon as the server answers or is heard
 * from. Thread-safe, in memory; federation/destinations keeps it over restarts. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

typedef struct _CmBackoff CmBackoff;

CmBackoff *cm_backoff_new (void);
void cm_backoff_free (CmBackoff *backoff);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmBackoff, cm_backoff_free)

/* When @server may be tried again (ms since 1970), 0: now. */
gint64 cm_backoff_until (CmBackoff *backoff, const char *server);
/* @server failed. A failure of a request that began before the last one became known does not count
 * twice. */
void cm_backoff_failed (CmBackoff *backoff, const char *server);
/* @server answered or was heard from. */
void cm_backoff_succeeded (CmBackoff *backoff, const char *server);
/* As the last run left it. */
void cm_backoff_restore (CmBackoff *backoff, const char *server, gint64 retry_at_ms,
                         gint64 retry_after_ms);

/* Told of every change, on the thread that made it, no lock held; @retry_at_ms 0 when the server is
 * well again. One listener; NULL: none any more. */
typedef void (*CmBackoffChanged) (const char *server, gint64 retry_at_ms, gint64 retry_after_ms,
                                  gpointer data);
void cm_backoff_listen (CmBackoff *backoff, CmBackoffChanged changed, gpointer data);

G_END_DECLS
