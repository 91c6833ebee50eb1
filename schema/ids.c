#include "schema/ids.h"

#include "schema/db-private.h"
#include "schema/sym-cache.h"

#include <string.h>

#define BLOCK           1000 /* INCREMENT BY of the sequences */
#define CACHE_LIMIT     100000
#define MAX_TEXT        1024
#define OWN_CONNECTIONS 2

static const CmSql take_block[CM_SEQUENCE_LAST] = {
  [CM_SEQUENCE_EVENT] = { "ids-event", "SELECT nextval('event_number')" },
  [CM_SEQUENCE_STATE] = { "ids-state", "SELECT nextval('state_number')" },
  [CM_SEQUENCE_BACKFILL] = { "ids-backfill", "SELECT nextval('backfill_number')" },
};

static const CmSql find_syms = { "sym-find",
                                 "SELECT id, text FROM sym WHERE text = ANY ($1::text[])" };
/* In order, so that two callers with the same new texts wait for each other and not in a circle. */
static const CmSql make_syms = {
  "sym-make", "INSERT INTO sym (text)"
              " SELECT DISTINCT new.text COLLATE \"C\" FROM unnest ($1::text[]) AS new (text)"
              " WHERE NOT EXISTS (SELECT FROM sym WHERE sym.text = new.text)"
              " ORDER BY 1 ON CONFLICT (text) DO NOTHING"
};
static const CmSql find_text = { "sym-text", "SELECT text FROM sym WHERE id = $1" };

typedef struct {
  GMutex mutex;
  gint64 next;
  gint64 end; /* the first that is not ours */
} Block;

struct _CmIds {
  CmPool *pool;
  Block blocks[CM_SEQUENCE_LAST];
  CmSymCache *cache;
};

CmIds *
cm_ids_new (CmPool *pool, GError **error)
{
  CmPool *own = cm_pool_new (cm_pool_dsn (pool), OWN_CONNECTIONS, error);
  if (own == NULL)
    return NULL;
  CmIds *ids = g_new0 (CmIds, 1);
  ids->pool = own;
  ids->cache = cm_sym_cache_new (CACHE_LIMIT);
  for (int i = 0; i < CM_SEQUENCE_LAST; i++)
    g_mutex_init (&ids->blocks[i].mutex);
  return ids;
}

void
cm_ids_free (CmIds *ids)
{
  if (ids == NULL)
    return;
  for (int i = 0; i < CM_SEQUENCE_LAST; i++)
    g_mutex_clear (&ids->blocks[i].mutex);
  cm_sym_cache_free (ids->cache);
  cm_pool_free (ids->pool);
  g_free (ids);
}

gint64
cm_ids_next (CmIds *ids, CmSequence sequence, GError **error)
{
  Block *block = &ids->blocks[sequence];
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&block->mutex);
  if (block->next < block->end)
    return block->next++;
  g_autoptr (CmDb) db = cm_pool_get (ids->pool, error);
  if (db == NULL)
    return 0;
  g_autoptr (CmRows) rows = cm_db_query (db, &take_block[sequence], CM_NO_ARGS, error);
  if (rows == NULL)
    return 0;
  block->next = cm_rows_integer (rows, 0, 0);
  block->end = block->next + BLOCK;
  return block->next++;
}

/* Finds @texts (and with @make makes those that are new) in one round trip; the rows are (id,
 * text). */
static CmRows *
fetch (CmIds *ids, const char *const *texts, gboolean make, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (ids->pool, error);
  if (db == NULL)
    return NULL;
  if (make && !cm_db_send (db, &make_syms, CM_ARGS (CM_TEXTS (texts)), error))
    return NULL;
  if (!cm_db_send (db, &find_syms, CM_ARGS (CM_TEXTS (texts)), error))
    return NULL;
  g_autoptr (CmRows) made = make ? cm_db_receive (db, error) : NULL;
  if (make && made == NULL)
    return NULL;
  g_autoptr (CmRows) rows = cm_db_receive (db, error);
  for (gsize i = 0; rows != NULL && i < cm_rows_count (rows); i++)
    cm_sym_cache_add (ids->cache, cm_rows_integer (rows, i, 0), cm_rows_text (rows, i, 1));
  return g_steal_pointer (&rows);
}

static gboolean
is_too_long (const char *text, GError **error)
{
  if (strnlen (text, MAX_TEXT + 1) <= MAX_TEXT)
    return FALSE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_TOO_LARGE, "This identifier is too long");
  return TRUE;
}

gint64
cm_sym_lookup (CmIds *ids, const char *text, GError **error)
{
  gint64 id = cm_sym_cache_id (ids->cache, text);
  if (id != 0 || is_too_long (text, NULL))
    return id;
  const char *const texts[] = { text, NULL };
  g_autoptr (CmRows) rows = fetch (ids, texts, FALSE, error);
  return rows != NULL && cm_rows_count (rows) > 0 ? cm_rows_integer (rows, 0, 0) : 0;
}

gint64
cm_sym (CmIds *ids, const char *text, GError **error)
{
  gint64 id = 0;
  cm_sym_many (ids, &text, 1, &id, error);
  return id;
}

char *
cm_sym_text (CmIds *ids, gint64 sym, GError **error)
{
  char *known = cm_sym_cache_text (ids->cache, sym);
  if (known != NULL)
    return known;
  g_autoptr (CmDb) db = cm_pool_get (ids->pool, error);
  if (db == NULL)
    return NULL;
  g_autoptr (CmRows) rows = cm_db_query (db, &find_text, CM_ARGS (CM_INT (sym)), error);
  if (rows == NULL)
    return NULL;
  if (cm_rows_count (rows) == 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such symbol");
    return NULL;
  }
  const char *text = cm_rows_text (rows, 0, 0);
  cm_sym_cache_add (ids->cache, sym, text);
  return g_strdup (text);
}

/* Makes or finds @missing and fills in the places of @syms that are 0. */
static gboolean
fill (CmIds *ids, GPtrArray *missing, const char *const *texts, gsize n, gint64 *syms,
      GError **error)
{
  g_ptr_array_add (missing, NULL);
  g_autoptr (CmRows) rows = fetch (ids, (const char *const *) missing->pdata, TRUE, error);
  if (rows == NULL)
    return FALSE;
  g_autoptr (GHashTable) by_text = g_hash_table_new (g_str_hash, g_str_equal);
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_hash_table_insert (by_text, (char *) cm_rows_text (rows, i, 1),
                         GINT_TO_POINTER ((int) cm_rows_integer (rows, i, 0)));
  for (gsize i = 0; i < n; i++) {
    if (syms[i] == 0)
      syms[i] = GPOINTER_TO_INT (g_hash_table_lookup (by_text, texts[i]));
  }
  return TRUE;
}

gboolean
cm_sym_many (CmIds *ids, const char *const *texts, gsize n, gint64 *syms, GError **error)
{
  g_autoptr (GPtrArray) missing = g_ptr_array_new ();
  for (gsize i = 0; i < n; i++) {
    if (is_too_long (texts[i], error))
      return FALSE;
    syms[i] = cm_sym_cache_id (ids->cache, texts[i]);
    if (syms[i] == 0)
      g_ptr_array_add (missing, (char *) texts[i]);
  }
  return missing->len == 0 || fill (ids, missing, texts, n, syms, error);
}
