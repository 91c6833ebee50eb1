#include "federation/state-store.h"

/* A cached map; also how many deltas its row stands above a full copy, for the next delta over it.
 */
typedef struct {
  GList link; /* in lru; data points back here */
  gint64 id;
  CmStateMap *map;
  gint hops;
  gboolean pending; /* not committed, so that it could not be read again */
} Cached;

struct _CmStateStore {
  CmPool *pool;
  CmIds *ids;
  gsize capacity;
  GMutex mutex;       /* guards what follows */
  GHashTable *cached; /* id -> Cached */
  GQueue lru;         /* the newest first */
  gsize size;
};

/* One row of table state while maps are put together. */
typedef struct {
  gint64 id;
  gint64 parent;
  gint hops;
  GArray *delta; /* of CmStateEntry */
} Row;

static const CmSql sql_chains = {
  "state-chains",
  "WITH RECURSIVE chain (id, parent) AS ("
  " SELECT id, parent FROM state WHERE id = ANY ($1)"
  " UNION SELECT s.id, s.parent FROM chain c JOIN state s ON s.id = c.parent) "
  "SELECT s.id, coalesce (s.parent, 0), s.hops, s.entries FROM chain c JOIN state s ON s.id = c.id",
};

static const CmSql sql_add = {
  "state-add",
  "INSERT INTO state (id, parent, hops, entries) VALUES ($1, $2, $3, $4)",
};

/* A map costs its entries, and a little for being there. */
static gsize
cost (const CmStateMap *map)
{
  return cm_state_map_size (map) + 8;
}

static void
drop (CmStateStore *store, Cached *cached)
{
  store->size -= cost (cached->map);
  g_queue_unlink (&store->lru, &cached->link);
  g_hash_table_remove (store->cached, &cached->id);
  cm_state_map_unref (cached->map);
  g_free (cached);
}

/* The oldest go; those that are pending stay, and there are few of them. */
static void
make_room (CmStateStore *store)
{
  GList *link = store->lru.tail;
  while (link != NULL && link != store->lru.head && store->size > store->capacity) {
    Cached *oldest = link->data;
    link = link->prev;
    if (!oldest->pending)
      drop (store, oldest);
  }
}

static void
remember (CmStateStore *store, gint64 id, CmStateMap *map, gint hops, gboolean pending)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&store->mutex);
  if (g_hash_table_contains (store->cached, &id))
    return;
  Cached *cached = g_new0 (Cached, 1);
  *cached = (Cached){ .id = id, .map = cm_state_map_ref (map), .hops = hops, .pending = pending };
  cached->link.data = cached;
  g_hash_table_insert (store->cached, &cached->id, cached);
  g_queue_push_head_link (&store->lru, &cached->link);
  store->size += cost (map);
  make_room (store);
}

/* (transfer full) NULL when it is not in memory. @hops nullable. */
static CmStateMap *
recall (CmStateStore *store, gint64 id, gint *hops)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&store->mutex);
  Cached *cached = g_hash_table_lookup (store->cached, &id);
  if (cached == NULL)
    return NULL;
  g_queue_unlink (&store->lru, &cached->link);
  g_queue_push_head_link (&store->lru, &cached->link);
  if (hops != NULL)
    *hops = cached->hops;
  return cm_state_map_ref (cached->map);
}

/* Of an array that may have gaps. */
static void
free_map (gpointer data)
{
  if (data != NULL)
    cm_state_map_unref (data);
}

static void
free_row (gpointer data)
{
  Row *row = data;
  g_array_unref (row->delta);
  g_free (row);
}

static gboolean
read_rows (const CmRows *found, GHashTable *rows, GError **error)
{
  for (gsize i = 0; i < cm_rows_count (found); i++) {
    Row *row = g_new (Row, 1);
    *row = (Row){
      .id = cm_rows_integer (found, i, 0),
      .parent = cm_rows_integer (found, i, 1),
      .hops = (gint) cm_rows_integer (found, i, 2),
      .delta = g_array_new (FALSE, FALSE, sizeof (CmStateEntry)),
    };
    g_hash_table_replace (rows, &row->id, row);
    g_autoptr (GBytes) entries = cm_rows_bytes (found, i, 3);
    if (!cm_state_entries_unpack (entries, row->delta)) {
      g_set_error (error, CM_ERROR, CM_ERROR_DATABASE, "State %" G_GINT64_FORMAT " is damaged",
                   row->id);
      return FALSE;
    }
  }
  return TRUE;
}

/* The map of @id by @rows, from the full copy upwards; what stands between is remembered too. */
static CmStateMap *
assemble (CmStateStore *store, GHashTable *rows, gint64 id, GError **error)
{
  g_autoptr (GPtrArray) chain = g_ptr_array_new (); /* of Row, from @id down */
  g_autoptr (CmStateMap) map = NULL;
  gint64 next = id;
  while (next != 0 && (map = recall (store, next, NULL)) == NULL) {
    Row *row = g_hash_table_lookup (rows, &next);
    if (row == NULL || chain->len > 4 * CM_STATE_MAX_HOPS) {
      g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "State %" G_GINT64_FORMAT " is not here",
                   next);
      return NULL;
    }
    g_ptr_array_add (chain, row);
    next = row->parent;
  }
  if (map == NULL)
    map = cm_state_map_new_empty ();
  for (guint i = chain->len; i > 0; i--) {
    const Row *row = chain->pdata[i - 1];
    CmStateMap *above = cm_state_map_update (map, g_array_ref (row->delta));
    cm_state_map_unref (map);
    map = above;
    remember (store, row->id, map, row->hops, FALSE);
  }
  return g_steal_pointer (&map);
}

CmStateStore *
cm_state_store_new (CmPool *pool, CmIds *ids, gsize capacity)
{
  CmStateStore *store = g_new0 (CmStateStore, 1);
  store->pool = pool;
  store->ids = ids;
  store->capacity = capacity;
  g_mutex_init (&store->mutex);
  store->cached = g_hash_table_new (g_int64_hash, g_int64_equal);
  g_queue_init (&store->lru);
  return store;
}

void
cm_state_store_free (CmStateStore *store)
{
  while (store->lru.head != NULL)
    drop (store, store->lru.head->data);
  g_hash_table_unref (store->cached);
  g_mutex_clear (&store->mutex);
  g_free (store);
}

GPtrArray *
cm_state_store_get_many (CmStateStore *store, const gint64 *ids, gsize count, GError **error)
{
  g_autoptr (GPtrArray) maps = g_ptr_array_new_with_free_func (free_map);
  g_autoptr (GArray) missing = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (gsize i = 0; i < count; i++) {
    CmStateMap *map = ids[i] == 0 ? cm_state_map_new_empty () : recall (store, ids[i], NULL);
    if (map == NULL)
      g_array_append_val (missing, ids[i]);
    g_ptr_array_add (maps, map);
  }
  if (missing->len == 0)
    return g_steal_pointer (&maps);

  g_autoptr (GHashTable) rows = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, free_row);
  {
    g_autoptr (CmDb) db = cm_pool_get (store->pool, error);
    if (db == NULL)
      return NULL;
    g_autoptr (CmRows) found = cm_db_query (
        db, &sql_chains, CM_ARGS (CM_INTS ((gint64 *) missing->data, missing->len)), error);
    if (found == NULL || !read_rows (found, rows, error))
      return NULL;
  }
  for (gsize i = 0; i < count; i++) {
    if (maps->pdata[i] != NULL)
      continue;
    maps->pdata[i] = assemble (store, rows, ids[i], error);
    if (maps->pdata[i] == NULL)
      return NULL;
  }
  return g_steal_pointer (&maps);
}

CmStateMap *
cm_state_store_get (CmStateStore *store, gint64 id, GError **error)
{
  g_autoptr (GPtrArray) maps = cm_state_store_get_many (store, &id, 1, error);
  return maps != NULL ? cm_state_map_ref (maps->pdata[0]) : NULL;
}

gint64
cm_state_store_add (CmStateStore *store, CmWrite *write, gint64 parent,
                    const CmStateMap *parent_map, CmStateMap *map, GError **error)
{
  gint hops = CM_STATE_MAX_HOPS; /* where the parent's are not known: a full copy */
  gboolean removed = FALSE;
  g_autoptr (GArray) delta = NULL;
  if (cm_state_map_size (map) == 0)
    return 0;
  if (parent != 0) {
    g_autoptr (CmStateMap) known = recall (store, parent, &hops);
    delta = cm_state_map_diff (parent_map, map, &removed);
    if (delta->len == 0 && !removed)
      return parent;
  }
  gint64 id = cm_ids_next (store->ids, CM_SEQUENCE_STATE, error);
  if (id == 0)
    return -1;

  gsize size = cm_state_map_size (map);
  gboolean full = delta == NULL || removed || hops >= CM_STATE_MAX_HOPS || delta->len * 2 > size;
  g_autoptr (GBytes) packed =
      full ? cm_state_entries_pack (cm_state_map_entries (map), size)
           : cm_state_entries_pack ((const CmStateEntry *) delta->data, delta->len);
  hops = full ? 0 : hops + 1;
  cm_write_add (write, &sql_add,
                CM_ARGS (CM_INT (id), full ? CM_SQL_NULL : CM_INT (parent), CM_INT (hops),
                         CM_BYTES (packed)));
  remember (store, id, map, hops, TRUE);
  return id;
}

void
cm_state_store_settle (CmStateStore *store, gint64 id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&store->mutex);
  Cached *cached = g_hash_table_lookup (store->cached, &id);
  if (cached != NULL)
    cached->pending = FALSE;
  make_room (store);
}

void
cm_state_store_forget (CmStateStore *store, gint64 id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&store->mutex);
  Cached *cached = g_hash_table_lookup (store->cached, &id);
  if (cached != NULL)
    drop (store, cached);
}
