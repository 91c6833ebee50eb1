/* States by number, through a cache of maps bounded by their entries. In table state a state is a
 * delta over its parent, with a full copy every dozen hops, so that a read touches few rows and a
 * write few bytes. State 0 is the empty state. */
#pragma once

#include "federation/state-map.h"
#include "schema/ids.h"
#include "schema/write.h"

G_BEGIN_DECLS

#define CM_STATE_MAX_HOPS 12

typedef struct _CmStateStore CmStateStore;

/* @capacity: entries of all cached maps together. */
CmStateStore *cm_state_store_new (CmPool *pool, CmIds *ids, gsize capacity);
void cm_state_store_free (CmStateStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmStateStore, cm_state_store_free)

/* (transfer full) CM_ERROR_NOT_FOUND when there is no such state. */
CmStateMap *cm_state_store_get (CmStateStore *store, gint64 id, GError **error);
/* (transfer full) the maps of @ids, same length and order, of CmStateMap. */
GPtrArray *
cm_state_store_get_many (CmStateStore *store, const gint64 *ids, gsize count, GError **error);

/**
 * cm_state_store_add: gives @map a number and adds its row to @write.
 * @parent: a state that @map differs little from (0: none); @parent_map its map. Gives @parent
 * itself when they are equal. The number is good for others only once @write is committed: until
 * then it is held in memory, and cm_state_store_settle or, when the write failed,
 * cm_state_store_forget must follow. Returns: the number, -1 with @error.
 */
gint64 cm_state_store_add (CmStateStore *store, CmWrite *write, gint64 parent,
                           const CmStateMap *parent_map, CmStateMap *map, GError **error);
void cm_state_store_settle (CmStateStore *store, gint64 id);
void cm_state_store_forget (CmStateStore *store, gint64 id);

G_END_DECLS
