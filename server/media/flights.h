/* Work that is slow and that several callers may want at a time: it is done once for all who ask
 * meanwhile. A few threads do it, and no group (one remote server, one user) gets them all, so that
 * a slow one keeps only itself waiting. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

typedef struct _CmFlights CmFlights;

/* Does the work that all who have the same key want; @passenger is the first of them. */
typedef gboolean (*CmFlightWork) (gpointer passenger, GError **error);
/* Tells @passenger (taken) how it ended, on the same thread. */
typedef void (*CmFlightEnd) (gpointer passenger, const GError *error);

CmFlights *
cm_flights_new (guint threads, guint per_group, guint max, CmFlightWork work, CmFlightEnd end);
/* Who still waits is told CM_ERROR_UNAVAILABLE; waits for what is being done. */
void cm_flights_free (CmFlights *flights);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmFlights, cm_flights_free)

/* FALSE when @max works are waiting already, and @passenger is the caller's still. */
gboolean
cm_flights_board (CmFlights *flights, const char *key, const char *group, gpointer passenger);

G_END_DECLS
