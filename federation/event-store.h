/* Events by number and by id, through a bounded cache of immutable CmEvents. Reading may touch the
 * database: worker threads only. */
#pragma once

#include "federation/event.h"
#include "federation/state-res.h"
#include "schema/ids.h"

G_BEGIN_DECLS

typedef struct _CmEventStore CmEventStore;

CmEventStore *cm_event_store_new (CmPool *pool, CmIds *ids, gsize capacity);
void cm_event_store_free (CmEventStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmEventStore, cm_event_store_free)

/* (transfer full) the event, pruned when it is redacted; CM_ERROR_NOT_FOUND when this node does not
 * have it. Rejected, soft-failed and outlier events are given too: look at the flags. */
CmEvent *cm_event_store_get (CmEventStore *store, gint64 number, GError **error);
CmEvent *cm_event_store_find (CmEventStore *store, const char *event_id, GError **error);
/* Many in one round trip. (transfer full) an array of CmEvent of the same length and order; NULL
 * items where there is none. */
GPtrArray *
cm_event_store_get_many (CmEventStore *store, const gint64 *numbers, gsize count, GError **error);
GPtrArray *cm_event_store_find_many (CmEventStore *store, const char *const *event_ids, gsize count,
                                     GError **error);
/* The unpruned bytes of a redacted event, for those who may see them. */
CmEvent *cm_event_store_original (CmEventStore *store, gint64 number, GError **error);

/* Only the room's writer: an event that is being committed, one that was redacted (replaces), one
 * whose commit failed. */
void cm_event_store_put (CmEventStore *store, CmEvent *event);
void cm_event_store_forget (CmEventStore *store, gint64 number);

/* cm_state_resolve over the store's events. (transfer full) NULL also when one of them could not be
 * read. */
CmStateMap *cm_event_store_resolve (CmEventStore *store, const CmRoomVersion *version,
                                    CmStateMap *const *maps, gsize n_maps, GError **error);

G_END_DECLS
