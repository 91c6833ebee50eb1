#include "federation/state-map.h"

#include <string.h>

G_STATIC_ASSERT (sizeof (CmStateEntry) == 16);

/* Maps are compared this many entries at a time while they agree: states of one room mostly do. */
#define BLOCK 64

struct _CmStateMap {
  gatomicrefcount refs;
  gsize size;
  CmStateEntry entries[]; /* by key, ascending; each key once */
};

static guint64
key_of (guint32 type, guint32 state_key)
{
  return (guint64) type << 32 | state_key;
}

static guint64
entry_key (const CmStateEntry *entry)
{
  return key_of (entry->type, entry->state_key);
}

static int
compare_entries (gconstpointer a, gconstpointer b)
{
  guint64 x = entry_key (a), y = entry_key (b);
  return x < y ? -1 : x > y;
}

static CmStateMap *
allocate (gsize size)
{
  CmStateMap *map = g_malloc (sizeof *map + size * sizeof (CmStateEntry));

  g_atomic_ref_count_init (&map->refs);
  map->size = size;
  return map;
}

/* Sorts, and of entries with one key keeps the last. */
static void
put_in_order (GArray *entries)
{
  CmStateEntry *items = (CmStateEntry *) (gpointer) entries->data;
  gboolean ordered = TRUE;
  guint kept = 0;

  for (guint i = 1; ordered && i < entries->len; i++)
    ordered = entry_key (&items[i - 1]) < entry_key (&items[i]);
  if (ordered)
    return;
  g_array_sort (entries, compare_entries); /* is stable */
  for (guint i = 0; i < entries->len; i++) {
    if (kept > 0 && entry_key (&items[kept - 1]) == entry_key (&items[i]))
      kept--;
    items[kept++] = items[i];
  }
  g_array_set_size (entries, kept);
}

CmStateMap *
cm_state_map_new_empty (void)
{
  return allocate (0);
}

CmStateMap *
cm_state_map_new (GArray *entries)
{
  put_in_order (entries);

  CmStateMap *map = allocate (entries->len);
  if (entries->len > 0)
    memcpy (map->entries, entries->data, entries->len * sizeof (CmStateEntry));
  g_array_unref (entries);
  return map;
}

CmStateMap *
cm_state_map_ref (CmStateMap *map)
{
  g_atomic_ref_count_inc (&map->refs);
  return map;
}

void
cm_state_map_unref (CmStateMap *map)
{
  if (map != NULL && g_atomic_ref_count_dec (&map->refs))
    g_free (map);
}

gsize
cm_state_map_size (const CmStateMap *map)
{
  return map->size;
}

const CmStateEntry *
cm_state_map_entries (const CmStateMap *map)
{
  return map->entries;
}

/* The first entry whose key is not less than @key. */
static gsize
lower_bound (const CmStateMap *map, guint64 key)
{
  gsize low = 0, high = map->size;

  while (low < high) {
    gsize middle = low + (high - low) / 2;
    if (entry_key (&map->entries[middle]) < key)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

gint64
cm_state_map_get (const CmStateMap *map, guint32 type, guint32 state_key)
{
  guint64 key = key_of (type, state_key);
  gsize at = lower_bound (map, key);

  return at < map->size && entry_key (&map->entries[at]) == key ? map->entries[at].event : 0;
}

const CmStateEntry *
cm_state_map_of_type (const CmStateMap *map, guint32 type, gsize *count)
{
  gsize start = lower_bound (map, key_of (type, 0));
  gsize end = type < G_MAXUINT32 ? lower_bound (map, key_of (type + 1, 0)) : map->size;

  *count = end - start;
  return map->entries + start;
}

CmStateMap *
cm_state_map_update (const CmStateMap *map, GArray *changes)
{
  put_in_order (changes);

  const CmStateEntry *change = (const CmStateEntry *) (gpointer) changes->data;
  const CmStateEntry *last_change = change + changes->len;
  CmStateMap *result = allocate (map->size + changes->len);
  CmStateEntry *out = result->entries;
  gsize done = 0;

  for (; change < last_change; change++) {
    gsize next = lower_bound (map, entry_key (change));
    memcpy (out, map->entries + done, (next - done) * sizeof *out);
    out += next - done;
    done = next;
    if (done < map->size && entry_key (&map->entries[done]) == entry_key (change))
      done++;
    if (change->event != 0)
      *out++ = *change;
  }
  memcpy (out, map->entries + done, (map->size - done) * sizeof *out);
  out += map->size - done;
  result->size = (gsize) (out - result->entries);
  g_array_unref (changes);
  return result;
}

CmStateMap *
cm_state_map_with (const CmStateMap *map, guint32 type, guint32 state_key, gint64 event)
{
  CmStateEntry entry = { type, state_key, event };
  GArray *changes = g_array_sized_new (FALSE, FALSE, sizeof entry, 1);

  g_array_append_val (changes, entry);
  return cm_state_map_update (map, changes);
}

/* How many entries from @a and @b on agree, in whole blocks. */
static gsize
equal_run (const CmStateEntry *a, gsize a_left, const CmStateEntry *b, gsize b_left)
{
  gsize run = 0;

  while (run + BLOCK <= a_left && run + BLOCK <= b_left &&
         memcmp (a + run, b + run, BLOCK * sizeof *a) == 0)
    run += BLOCK;
  return run;
}

GArray *
cm_state_map_diff (const CmStateMap *from, const CmStateMap *to, gboolean *removed)
{
  GArray *changes = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
  gboolean lacking = FALSE;
  gsize i = 0, j = 0;

  while (i < from->size && j < to->size) {
    const CmStateEntry *a = &from->entries[i], *b = &to->entries[j];
    gsize run = equal_run (a, from->size - i, b, to->size - j);
    if (run > 0) {
      i += run;
      j += run;
      continue;
    }
    int order = compare_entries (a, b);
    if (order > 0 || (order == 0 && a->event != b->event))
      g_array_append_val (changes, *b);
    lacking |= order < 0;
    i += order <= 0;
    j += order >= 0;
  }
  if (j < to->size)
    g_array_append_vals (changes, to->entries + j, (guint) (to->size - j));
  if (removed != NULL)
    *removed = lacking || i < from->size;
  return changes;
}

gboolean
cm_state_map_equal (const CmStateMap *a, const CmStateMap *b)
{
  return a == b ||
         (a->size == b->size && memcmp (a->entries, b->entries, a->size * sizeof *a->entries) == 0);
}

GBytes *
cm_state_entries_pack (const CmStateEntry *entries, gsize count)
{
  CmStateEntry *packed = g_new (CmStateEntry, count);

  for (gsize i = 0; i < count; i++) {
    packed[i].type = GUINT32_TO_LE (entries[i].type);
    packed[i].state_key = GUINT32_TO_LE (entries[i].state_key);
    packed[i].event = GINT64_TO_LE (entries[i].event);
  }
  return g_bytes_new_take (packed, count * sizeof *packed);
}

gboolean
cm_state_entries_unpack (GBytes *bytes, GArray *entries)
{
  gsize length;
  const guint8 *data = g_bytes_get_data (bytes, &length);

  if (length % sizeof (CmStateEntry) != 0)
    return FALSE;
  for (gsize at = 0; at < length; at += sizeof (CmStateEntry)) {
    CmStateEntry entry;
    memcpy (&entry, data + at, sizeof entry);
    entry.type = GUINT32_FROM_LE (entry.type);
    entry.state_key = GUINT32_FROM_LE (entry.state_key);
    entry.event = GINT64_FROM_LE (entry.event);
    g_array_append_val (entries, entry);
  }
  return TRUE;
}
