#include "federation/event-store.h"

/* How many entries an insertion looks at to find one that may go. */
#define MAX_TURNS 8

typedef struct {
  GList link; /* in lru; data points back here */
  CmEvent *event;
} Slot;

struct _CmEventStore {
  CmPool *pool;
  CmIds *ids;
  gsize capacity;
  GMutex mutex;          /* guards what follows */
  GHashTable *by_number; /* event->number -> Slot */
  GHashTable *by_id;     /* event->event_id -> Slot */
  GQueue lru;            /* the newest first */
};

#define COLUMNS                                                                                    \
  "SELECT e.id, e.event_id, e.room, coalesce (e.position, 0), e.type, coalesce (e.state_key, 0), " \
  "e.sender, e.flags, coalesce (e.state_before, 0), coalesce (e.state_after, 0), e.prev, e.auth, " \
  "r.version, d.event_id, j.json FROM event e JOIN event_json j ON j.id = e.id "                   \
  "JOIN room r ON r.id = e.room LEFT JOIN event d ON d.id = e.redacted_by "

static const CmSql sql_by_number = { "event-by-number", COLUMNS "WHERE e.id = ANY ($1)" };
static const CmSql sql_by_id = { "event-by-id", COLUMNS "WHERE e.event_id = ANY ($1)" };

static void
drop (CmEventStore *store, Slot *slot)
{
  g_queue_unlink (&store->lru, &slot->link);
  g_hash_table_remove (store->by_number, &slot->event->number);
  g_hash_table_remove (store->by_id, slot->event->event_id);
  cm_event_unref (slot->event);
  g_free (slot);
}

/* The oldest go; but one that somebody else holds, above all one that is not committed yet and
 * could not be read again, costs nothing to keep and gets another turn. */
static void
make_room (CmEventStore *store)
{
  for (guint turns = 0; turns < MAX_TURNS && store->lru.length > store->capacity; turns++) {
    Slot *oldest = store->lru.tail->data;
    if (g_atomic_ref_count_compare (&oldest->event->refs, 1)) {
      drop (store, oldest);
      continue;
    }
    g_queue_unlink (&store->lru, &oldest->link);
    g_queue_push_head_link (&store->lru, &oldest->link);
  }
}

static void
insert (CmEventStore *store, CmEvent *event)
{
  Slot *slot = g_new0 (Slot, 1);
  slot->event = cm_event_ref (event);
  slot->link.data = slot;
  g_hash_table_insert (store->by_number, &slot->event->number, slot);
  g_hash_table_insert (store->by_id, slot->event->event_id, slot);
  g_queue_push_head_link (&store->lru, &slot->link);
  make_room (store);
}

/* Caller holds the mutex. (transfer full) */
static CmEvent *
take (CmEventStore *store, Slot *slot)
{
  if (slot == NULL)
    return NULL;
  g_queue_unlink (&store->lru, &slot->link);
  g_queue_push_head_link (&store->lru, &slot->link);
  return cm_event_ref (slot->event);
}

/* Keeps an event that was read, unless one stands there already: that one may have been redacted
 * since the read began (CVE-2024-6300). Returns (transfer full) the one that stands. */
static CmEvent *
keep (CmEventStore *store, CmEvent *event)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&store->mutex);
  CmEvent *present = take (store, g_hash_table_lookup (store->by_number, &event->number));
  if (present != NULL) {
    cm_event_unref (event);
    return present;
  }
  insert (store, event);
  return event;
}

/* One row, unpruned; NULL, and a line in the log, when it cannot be understood: one bad row must
 * not spoil a whole answer. */
static CmEvent *
read_row (const CmRows *rows, gsize row)
{
  g_autoptr (GError) error = NULL;
  const char *event_id = cm_rows_text (rows, row, 1);
  const CmRoomVersion *version = cm_room_version_find (cm_rows_text (rows, row, 12));
  g_autoptr (GBytes) json = cm_rows_bytes (rows, row, 14);
  CmEvent *event = version != NULL ? cm_event_load (version, json, event_id, &error) : NULL;
  if (event == NULL) {
    g_warning ("Event %s cannot be read: %s", event_id,
               error != NULL ? error->message : "unknown room version");
    return NULL;
  }
  event->number = cm_rows_integer (rows, row, 0);
  event->room_sym = (guint32) cm_rows_integer (rows, row, 2);
  event->position = cm_rows_integer (rows, row, 3);
  event->type_sym = (guint32) cm_rows_integer (rows, row, 4);
  event->state_key_sym = (guint32) cm_rows_integer (rows, row, 5);
  event->sender_sym = (guint32) cm_rows_integer (rows, row, 6);
  event->flags = (CmEventFlags) cm_rows_integer (rows, row, 7);
  event->state_before = cm_rows_integer (rows, row, 8);
  event->state_after = cm_rows_integer (rows, row, 9);
  g_clear_pointer (&event->prev, g_array_unref);
  g_clear_pointer (&event->auth, g_array_unref);
  event->prev = cm_rows_integers (rows, row, 10);
  event->auth = cm_rows_integers (rows, row, 11);
  return event;
}

/* As read_row, in the form that everybody may see. This is the one place where what is stored
 * becomes what is served (CVE-2024-6300). */
static CmEvent *
read_pruned (const CmRows *rows, gsize row)
{
  g_autoptr (CmEvent) event = read_row (rows, row);
  if (event == NULL || (event->flags & CM_EVENT_REDACTED) == 0)
    return g_steal_pointer (&event);
  g_autoptr (GError) error = NULL;
  CmEvent *pruned = cm_event_redact (event, cm_rows_text (rows, row, 13), &error);
  if (pruned == NULL)
    g_warning ("Event %s cannot be redacted: %s", event->event_id, error->message);
  return pruned;
}

static CmRows *
query (CmEventStore *store, const CmSql *sql, CmParam param, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (store->pool, error);
  return db != NULL ? cm_db_query (db, sql, &param, 1, error) : NULL;
}

static void
set_not_found (GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Event not found");
}

CmEventStore *
cm_event_store_new (CmPool *pool, CmIds *ids, gsize capacity)
{
  CmEventStore *store = g_new0 (CmEventStore, 1);
  store->pool = pool;
  store->ids = ids;
  store->capacity = MAX (capacity, 1);
  g_mutex_init (&store->mutex);
  store->by_number = g_hash_table_new (g_int64_hash, g_int64_equal);
  store->by_id = g_hash_table_new (g_str_hash, g_str_equal);
  g_queue_init (&store->lru);
  return store;
}

void
cm_event_store_free (CmEventStore *store)
{
  while (store->lru.head != NULL)
    drop (store, store->lru.head->data);
  g_hash_table_unref (store->by_number);
  g_hash_table_unref (store->by_id);
  g_mutex_clear (&store->mutex);
  g_free (store);
}

/* The events of @rows, kept, by number or by id. */
static GHashTable *
read_all (CmEventStore *store, const CmRows *rows, gboolean by_id)
{
  GHashTable *found =
      by_id ? g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) cm_event_unref)
            : g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL,
                                     (GDestroyNotify) cm_event_unref);
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmEvent *event = read_pruned (rows, i);
    if (event == NULL)
      continue;
    event = keep (store, event);
    g_hash_table_replace (found, by_id ? (gpointer) event->event_id : &event->number, event);
  }
  return found;
}

GPtrArray *
cm_event_store_get_many (CmEventStore *store, const gint64 *numbers, gsize count, GError **error)
{
  g_autoptr (GPtrArray) events = g_ptr_array_new_full (count, (GDestroyNotify) cm_event_unref);
  g_autoptr (GArray) missing = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_mutex_lock (&store->mutex);
  for (gsize i = 0; i < count; i++) {
    CmEvent *event = take (store, g_hash_table_lookup (store->by_number, &numbers[i]));
    if (event == NULL)
      g_array_append_val (missing, numbers[i]);
    g_ptr_array_add (events, event);
  }
  g_mutex_unlock (&store->mutex);
  if (missing->len == 0)
    return g_steal_pointer (&events);

  g_autoptr (CmRows) rows =
      query (store, &sql_by_number, CM_INTS ((gint64 *) missing->data, missing->len), error);
  if (rows == NULL)
    return NULL;
  g_autoptr (GHashTable) found = read_all (store, rows, FALSE);
  for (gsize i = 0; i < count; i++) {
    CmEvent *event = events->pdata[i] == NULL ? g_hash_table_lookup (found, &numbers[i]) : NULL;
    if (event != NULL)
      events->pdata[i] = cm_event_ref (event);
  }
  return g_steal_pointer (&events);
}

GPtrArray *
cm_event_store_find_many (CmEventStore *store, const char *const *event_ids, gsize count,
                          GError **error)
{
  g_autoptr (GPtrArray) events = g_ptr_array_new_full (count, (GDestroyNotify) cm_event_unref);
  g_autoptr (GPtrArray) missing = g_ptr_array_new ();
  g_mutex_lock (&store->mutex);
  for (gsize i = 0; i < count; i++) {
    CmEvent *event = take (store, g_hash_table_lookup (store->by_id, event_ids[i]));
    if (event == NULL)
      g_ptr_array_add (missing, (char *) event_ids[i]);
    g_ptr_array_add (events, event);
  }
  g_mutex_unlock (&store->mutex);
  if (missing->len == 0)
    return g_steal_pointer (&events);

  g_ptr_array_add (missing, NULL);
  g_autoptr (CmRows) rows =
      query (store, &sql_by_id, CM_TEXTS ((const char *const *) missing->pdata), error);
  if (rows == NULL)
    return NULL;
  g_autoptr (GHashTable) found = read_all (store, rows, TRUE);
  for (gsize i = 0; i < count; i++) {
    CmEvent *event = events->pdata[i] == NULL ? g_hash_table_lookup (found, event_ids[i]) : NULL;
    if (event != NULL)
      events->pdata[i] = cm_event_ref (event);
  }
  return g_steal_pointer (&events);
}

CmEvent *
cm_event_store_get (CmEventStore *store, gint64 number, GError **error)
{
  g_autoptr (GPtrArray) events = cm_event_store_get_many (store, &number, 1, error);
  if (events == NULL)
    return NULL;
  if (events->pdata[0] == NULL)
    set_not_found (error);
  return g_steal_pointer (&events->pdata[0]);
}

CmEvent *
cm_event_store_find (CmEventStore *store, const char *event_id, GError **error)
{
  g_autoptr (GPtrArray) events = cm_event_store_find_many (store, &event_id, 1, error);
  if (events == NULL)
    return NULL;
  if (events->pdata[0] == NULL)
    set_not_found (error);
  return g_steal_pointer (&events->pdata[0]);
}

CmEvent *
cm_event_store_original (CmEventStore *store, gint64 number, GError **error)
{
  g_autoptr (CmRows) rows = query (store, &sql_by_number, CM_INTS (&number, 1), error);
  if (rows == NULL)
    return NULL;
  CmEvent *event = cm_rows_count (rows) > 0 ? read_row (rows, 0) : NULL;
  if (event == NULL)
    set_not_found (error);
  return event;
}

void
cm_event_store_put (CmEventStore *store, CmEvent *event)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&store->mutex);
  Slot *slot = g_hash_table_lookup (store->by_number, &event->number);
  if (slot != NULL)
    drop (store, slot);
  insert (store, event);
}

void
cm_event_store_forget (CmEventStore *store, gint64 number)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&store->mutex);
  Slot *slot = g_hash_table_lookup (store->by_number, &number);
  if (slot != NULL)
    drop (store, slot);
}

/* What cm_state_resolve reads through. An event that could not be read is not one that is unknown:
 * the first failure stays in
 * @error and makes the result worthless. */
typedef struct {
  CmEventStore *store;
  GError *error;
} Source;

static CmEvent *
source_fetch (gint64 number, gpointer data)
{
  Source *source = data;
  g_autoptr (GError) failure = NULL;
  CmEvent *event = cm_event_store_get (source->store, number, &failure);
  if (event == NULL && source->error == NULL &&
      !g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND))
    source->error = g_steal_pointer (&failure);
  return event;
}

static void
source_prefetch (const gint64 *numbers, gsize count, gpointer data)
{
  Source *source = data;
  g_autoptr (GPtrArray) events = cm_event_store_get_many (
      source->store, numbers, count, source->error == NULL ? &source->error : NULL);
}

static gint64
source_sym (const char *text, gpointer data)
{
  Source *source = data;
  return cm_sym_lookup (source->store->ids, text, source->error == NULL ? &source->error : NULL);
}

CmStateMap *
cm_event_store_resolve (CmEventStore *store, const CmRoomVersion *version, CmStateMap *const *maps,
                        gsize n_maps, GError **error)
{
  Source source = { store, NULL };
  CmEventSource calls = { source_fetch, source_prefetch, source_sym, &source };
  g_autoptr (CmStateMap) state = cm_state_resolve (version, maps, n_maps, &calls, error);
  if (source.error == NULL)
    return g_steal_pointer (&state);
  if (error != NULL)
    g_clear_error (error);
  g_propagate_error (error, source.error);
  return NULL;
}
