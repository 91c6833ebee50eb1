#include "server/accounts/session-cache.h"

#include <string.h>

/* A session in the cache. */
typedef struct {
  CmSession *session;
  GList link; /* in recent */
} Entry;

struct _CmSessionCache {
  GMutex mutex;
  guint max;
  guint64 epoch;       /* how often anything was dropped */
  GHashTable *by_hash; /* hash -> Entry (owned) */
  GHashTable *by_user; /* user id -> set of Entry */
  GQueue recent;       /* of Entry, the newest first */
};

CmSession *
cm_session_new (void)
{
  CmSession *session = g_new0 (CmSession, 1);
  g_atomic_ref_count_init (&session->refs);
  return session;
}

CmSession *
cm_session_ref (CmSession *session)
{
  g_atomic_ref_count_inc (&session->refs);
  return session;
}

void
cm_session_unref (CmSession *session)
{
  if (!session || !g_atomic_ref_count_dec (&session->refs))
    return;
  g_free (session->hash);
  g_free (session->user_id);
  g_free (session->device_id);
  g_free (session);
}

CmSessionCache *
cm_session_cache_new (guint max)
{
  CmSessionCache *cache = g_new0 (CmSessionCache, 1);
  g_mutex_init (&cache->mutex);
  cache->max = max;
  cache->by_hash = g_hash_table_new (g_str_hash, g_str_equal);
  cache->by_user =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_hash_table_unref);
  g_queue_init (&cache->recent);
  return cache;
}

static void
remove_entry (CmSessionCache *cache, Entry *entry)
{
  const char *user_id = entry->session->user_id;
  GHashTable *of_user = g_hash_table_lookup (cache->by_user, user_id);
  g_hash_table_remove (of_user, entry);
  if (g_hash_table_size (of_user) == 0)
    g_hash_table_remove (cache->by_user, user_id);
  g_hash_table_remove (cache->by_hash, entry->session->hash);
  g_queue_unlink (&cache->recent, &entry->link);
  cm_session_unref (entry->session);
  g_free (entry);
}

static void
remove_all (CmSessionCache *cache)
{
  while (cache->recent.head)
    remove_entry (cache, cache->recent.head->data);
}

void
cm_session_cache_free (CmSessionCache *cache)
{
  if (!cache)
    return;
  remove_all (cache);
  g_hash_table_unref (cache->by_hash);
  g_hash_table_unref (cache->by_user);
  g_mutex_clear (&cache->mutex);
  g_free (cache);
}

CmSession *
cm_session_cache_find (CmSessionCache *cache, const char *hash, guint64 *epoch)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&cache->mutex);
  Entry *entry = g_hash_table_lookup (cache->by_hash, hash);
  *epoch = cache->epoch;
  if (!entry)
    return NULL;
  g_queue_unlink (&cache->recent, &entry->link);
  g_queue_push_head_link (&cache->recent, &entry->link);
  return cm_session_ref (entry->session);
}

static void
insert (CmSessionCache *cache, CmSession *session)
{
  Entry *entry = g_new0 (Entry, 1);
  entry->session = cm_session_ref (session);
  entry->link.data = entry;
  g_hash_table_insert (cache->by_hash, session->hash, entry);
  GHashTable *of_user = g_hash_table_lookup (cache->by_user, session->user_id);
  if (!of_user) {
    of_user = g_hash_table_new (NULL, NULL);
    g_hash_table_insert (cache->by_user, g_strdup (session->user_id), of_user);
  }
  g_hash_table_add (of_user, entry);
  g_queue_push_head_link (&cache->recent, &entry->link);
}

void
cm_session_cache_add (CmSessionCache *cache, CmSession *session, guint64 epoch)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&cache->mutex);
  if (epoch != cache->epoch || g_hash_table_contains (cache->by_hash, session->hash))
    return;
  if (cache->recent.length >= cache->max)
    remove_entry (cache, cache->recent.tail->data);
  insert (cache, session);
}

void
cm_session_cache_drop (CmSessionCache *cache, const char *user_id, const char *device_id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&cache->mutex);
  cache->epoch++;
  GHashTable *of_user = g_hash_table_lookup (cache->by_user, user_id);
  if (!of_user)
    return;
  g_autoptr (GList) entries = g_hash_table_get_keys (of_user);
  for (GList *l = entries; l; l = l->next) {
    Entry *entry = l->data;
    if (!device_id || strcmp (entry->session->device_id, device_id) == 0)
      remove_entry (cache, entry);
  }
}

void
cm_session_cache_drop_all (CmSessionCache *cache)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&cache->mutex);
  cache->epoch++;
  remove_all (cache);
}
