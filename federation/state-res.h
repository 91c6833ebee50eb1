/* State resolution v2 and v2.1 (rooms/v2, rooms/v12): pure, with a callback that fetches events by
 * number. */
#pragma once

#include "federation/auth-rules.h"
#include "federation/state-map.h"

G_BEGIN_DECLS

/* Where the events of a resolution come from. A source that can fail remembers that it did, and the
 * caller throws the result away then: an event that could not be read is not one that is unknown.
 */
typedef struct {
  /* The event of a number, transfer full, with number, type_sym, state_key_sym and auth filled in;
   * NULL when it is not known: then it is left out. */
  CmEvent *(*fetch) (gint64 number, gpointer data);
  /* (nullable) a hint: these will be fetched soon, so that a store can get them in one round trip.
   */
  void (*prefetch) (const gint64 *numbers, gsize count, gpointer data);
  /* The symbol of a type or state key; 0 for a text that was never seen. */
  gint64 (*sym) (const char *text, gpointer data);
  gpointer data;
} CmEventSource;

/**
 * cm_state_resolve: the resolution of @maps.
 * Rejected events take no part. An event's number must be greater than those of its auth events.
 * The cost is that of the difference between the states: events that all of them agree on are
 * looked at only when they may cite what the others do not. Returns: (transfer full) the state;
 * NULL only when @source fails for the create event.
 */
CmStateMap *cm_state_resolve (const CmRoomVersion *version, CmStateMap *const *maps, gsize n_maps,
                              const CmEventSource *source, GError **error);

G_END_DECLS
