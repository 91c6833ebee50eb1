/* What the files of state resolution share; nobody else includes it. Names of sets are those of
 * rooms/v2 and rooms/v12. */
#pragma once

#include "federation/state-res.h"

G_BEGIN_DECLS

/* Numbers and keys of state maps are kept in hash tables as pointers. */
G_STATIC_ASSERT (sizeof (gpointer) == sizeof (gint64));

static inline gpointer
cm_number_to_pointer (gint64 number)
{
  return GSIZE_TO_POINTER ((gsize) number);
}

/* One resolution. */
typedef struct {
  const CmRoomVersion *version;
  const CmEventSource *source;
  CmStateMap *const *maps;
  gsize n_maps;
  GHashTable *events;          /* number -> CmEvent, or NULL for one that takes no part */
  GHashTable *conflicted_keys; /* cm_state_key_to_pointer () of the keys that are not in the
                                  unconflicted state map */
} CmResolver;

static inline gpointer
cm_state_key_to_pointer (guint32 type, guint32 state_key)
{
  return GSIZE_TO_POINTER ((gsize) type << 32 | state_key);
}

/* The event (borrowed), or NULL when it is not known or was rejected. */
const CmEvent *cm_resolver_event (CmResolver *resolver, gint64 number);

/* The number of the @index'th auth event of @event, or 0 past the end; one that is not older than
 * @event, so that it cannot be right, is given as -1. */
gint64 cm_resolver_auth_number (const CmEvent *event, gsize index);

/* The event with that type and an empty state key among the auth events of @event, or NULL. */
const CmEvent *
cm_resolver_auth_of_type (CmResolver *resolver, const CmEvent *event, const char *type);

/* The full conflicted set: number -> CmEvent (borrowed), state events only. */
GHashTable *cm_resolver_full_conflicted_set (CmResolver *resolver);

/* Step 1 of the algorithm: the power events of @full, with what of their auth chains is in it, in
 * reverse topological power ordering. @create: for room versions whose events do not name it. */
GPtrArray *cm_resolver_sort_power (CmResolver *resolver, GHashTable *full, const CmEvent *create);

/* Step 3: sorts @events by the mainline ordering of @power (nullable). */
void cm_resolver_sort_mainline (CmResolver *resolver, const CmEvent *power, GPtrArray *events);

G_END_DECLS
