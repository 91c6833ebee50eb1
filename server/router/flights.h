/* Work that is slow and that several callers may want at a time: it is done once for all who ask
 * meanwhile. A few threads do it, and no party (one remote server, one user) gets them all or fills
 * the queue, so that a slow one keeps only itself waiting. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

typedef struct _CmFlights CmFlights;

/* Does the work that all who have the same key want; @passenger is the first of them. */
typedef gboolean (*CmFlightWork) (gpointer passenger, GError **error);
/* Tells @passenger (taken) how it ended, on the same thread. */
typedef void (*CmFlightEnd) (gpointer passenger, const GError *error);

typedef struct {
  guint threads;
  guint threads_a_party;
  guint waiting_a_party; /* works that wait for a thread */
} CmFlightsSize;

CmFlights *cm_flights_new (const CmFlightsSize *size, CmFlightWork work, CmFlightEnd end);
/* Who still waits is told CM_ERROR_UNAVAILABLE; waits for what is being done. */
void cm_flights_free (CmFlights *flights);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmFlights, cm_flights_free)

/* The work @key is on behalf of @party and, unless NULL, @other_party. FALSE when too much waits
 * for one of them already, and @passenger is the caller's still. */
gboolean cm_flights_board (CmFlights *flights, const char *key, const char *party,
                           const char *other_party, gpointer passenger);

G_END_DECLS
