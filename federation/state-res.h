/* State resolution v2 and v2.1 (rooms/v2, rooms/v12): pure, with a callback that fetches events by number. */
#pragma once

#include "federation/auth-rules.h"
#include "federation/state-map.h"

G_BEGIN_DECLS

/* Gives the event of a number (its auth numbers filled in), transfer full; NULL when it is not known (then it is left out). Called with many
 * numbers at once first, so that a store can fetch them in one round trip: @prefetch is a hint and may be NULL. */
typedef struct {
  CmEvent *(*fetch) (gint64 number, gpointer data);
  void (*prefetch) (const gint64 *numbers, gsize count, gpointer data);
  gpointer data;
} CmEventSource;

/**
 * cm_state_resolve: the resolution of @maps.
 * Rejected events take no part. Returns: (transfer full) the state; NULL only when @source fails for the create event.
 */
CmStateMap *cm_state_resolve (const CmRoomVersion *version, CmStateMap *const *maps, gsize n_maps, const CmEventSource *source,
                              GError **error);

G_END_DECLS
