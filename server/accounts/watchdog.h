/* Ends conversations that take too long, for libraries that block on a socket without a limit of
 * their own: when the time is up the socket is shut down, and whatever waits on it returns with an
 * error. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CmWatchdog CmWatchdog;
typedef struct _CmWatch CmWatch;

CmWatchdog *cm_watchdog_new (void);
/* Every watch must have been removed. */
void cm_watchdog_free (CmWatchdog *watchdog);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmWatchdog, cm_watchdog_free)

/* Watches the socket @fd, which stays the caller's and may be closed meanwhile. NULL when there are
 * no descriptors left. */
CmWatch *cm_watchdog_add (CmWatchdog *watchdog, int fd, guint milliseconds);
/* @watch NULL: nothing happens. */
void cm_watchdog_remove (CmWatchdog *watchdog, CmWatch *watch);

G_END_DECLS
