#include "schema/sym-cache.h"

#include <string.h>

typedef struct {
  gint64 id;
  char text[];
} Symbol;

typedef struct {
  GHashTable *by_id; /* owns the symbols */
  GHashTable *by_text;
} Generation;

struct _CmSymCache {
  GRWLock lock;
  guint limit;
  Generation young;
  Generation old;
};

static Generation
new_generation (void)
{
  return (Generation){ g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, g_free),
                       g_hash_table_new (g_str_hash, g_str_equal) };
}

static void
free_generation (Generation *generation)
{
  g_hash_table_unref (generation->by_text);
  g_hash_table_unref (generation->by_id);
}

CmSymCache *
cm_sym_cache_new (guint limit)
{
  CmSymCache *cache = g_new (CmSymCache, 1);
  g_rw_lock_init (&cache->lock);
  cache->limit = limit;
  cache->young = new_generation ();
  cache->old = new_generation ();
  return cache;
}

void
cm_sym_cache_free (CmSymCache *cache)
{
  free_generation (&cache->young);
  free_generation (&cache->old);
  g_rw_lock_clear (&cache->lock);
  g_free (cache);
}

void
cm_sym_cache_add (CmSymCache *cache, gint64 id, const char *text)
{
  gsize size = strlen (text) + 1;
  g_autoptr (GRWLockWriterLocker) locker = g_rw_lock_writer_locker_new (&cache->lock);
  if (g_hash_table_contains (cache->young.by_id, &id))
    return;
  if (g_hash_table_size (cache->young.by_id) >= cache->limit) {
    free_generation (&cache->old);
    cache->old = cache->young;
    cache->young = new_generation ();
  }
  Symbol *symbol = g_malloc (sizeof (Symbol) + size);
  symbol->id = id;
  memcpy (symbol->text, text, size);
  g_hash_table_insert (cache->young.by_id, &symbol->id, symbol);
  g_hash_table_insert (cache->young.by_text, symbol->text, symbol);
}

gint64
cm_sym_cache_id (CmSymCache *cache, const char *text)
{
  g_rw_lock_reader_lock (&cache->lock);
  const Symbol *symbol = g_hash_table_lookup (cache->young.by_text, text);
  gboolean is_young = symbol != NULL;
  if (!is_young)
    symbol = g_hash_table_lookup (cache->old.by_text, text);
  gint64 id = symbol != NULL ? symbol->id : 0;
  g_rw_lock_reader_unlock (&cache->lock);
  if (id != 0 && !is_young)
    cm_sym_cache_add (cache, id, text);
  return id;
}

char *
cm_sym_cache_text (CmSymCache *cache, gint64 id)
{
  g_rw_lock_reader_lock (&cache->lock);
  const Symbol *symbol = g_hash_table_lookup (cache->young.by_id, &id);
  gboolean is_young = symbol != NULL;
  if (!is_young)
    symbol = g_hash_table_lookup (cache->old.by_id, &id);
  char *text = symbol != NULL ? g_strdup (symbol->text) : NULL;
  g_rw_lock_reader_unlock (&cache->lock);
  if (text != NULL && !is_young)
    cm_sym_cache_add (cache, id, text);
  return text;
}
