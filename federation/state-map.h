/* A room's state at some point: (type, state key) -> event number, all integers, sorted and packed;
 * immutable, reference-counted. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct {
  guint32 type;      /* sym */
  guint32 state_key; /* sym; the empty state key has one too */
  gint64 event;      /* number */
} CmStateEntry;

typedef struct _CmStateMap CmStateMap;

CmStateMap *cm_state_map_new_empty (void);
/* @entries (transfer full) of CmStateEntry, in any order; of equal keys the last wins. */
CmStateMap *cm_state_map_new (GArray *entries);
CmStateMap *cm_state_map_ref (CmStateMap *map);
void cm_state_map_unref (CmStateMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmStateMap, cm_state_map_unref)

gsize cm_state_map_size (const CmStateMap *map);
const CmStateEntry *cm_state_map_entries (const CmStateMap *map);
/* The event number at a key, 0 when none. O(log n). */
gint64 cm_state_map_get (const CmStateMap *map, guint32 type, guint32 state_key);
/* The run of entries of one type. */
const CmStateEntry *cm_state_map_of_type (const CmStateMap *map, guint32 type, gsize *count);
/* @map with @changes (transfer full, of CmStateEntry, in any order); event 0 takes a key away. */
CmStateMap *cm_state_map_update (const CmStateMap *map, GArray *changes);
CmStateMap *
cm_state_map_with (const CmStateMap *map, guint32 type, guint32 state_key, gint64 event);
/* Entries of @to that differ from @from (array of CmStateEntry); @removed (nullable) is set when
 * @from has keys that @to lacks. */
GArray *cm_state_map_diff (const CmStateMap *from, const CmStateMap *to, gboolean *removed);
gboolean cm_state_map_equal (const CmStateMap *a, const CmStateMap *b);
/* The packed form of table state: 16 bytes an entry, little-endian. */
GBytes *cm_state_entries_pack (const CmStateEntry *entries, gsize count);
/* FALSE when @bytes is no multiple of 16. Appends to @entries. */
gboolean cm_state_entries_unpack (GBytes *bytes, GArray *entries);

G_END_DECLS
