#include "server/sync/lazy.h"

/* Rooms of devices that are remembered in each of two generations, and members of each. */
#define MAX_KEYS    20000
#define MAX_MEMBERS 1000

struct _CmLazyMembers {
  GMutex mutex;
  GHashTable *young; /* key -> (event number -> gint64*: position of the answer) */
  GHashTable *old;
};

static GHashTable *
new_generation (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free,
                                (GDestroyNotify) g_hash_table_unref);
}

CmLazyMembers *
cm_lazy_members_new (void)
{
  CmLazyMembers *lazy = g_new0 (CmLazyMembers, 1);

  g_mutex_init (&lazy->mutex);
  lazy->young = new_generation ();
  lazy->old = new_generation ();
  return lazy;
}

void
cm_lazy_members_free (CmLazyMembers *lazy)
{
  g_hash_table_unref (lazy->young);
  g_hash_table_unref (lazy->old);
  g_mutex_clear (&lazy->mutex);
  g_free (lazy);
}

/* (borrowed) what is known for @key, which becomes young; NULL when nothing is. */
static GHashTable *
look_up (CmLazyMembers *lazy, const char *key)
{
  GHashTable *members = g_hash_table_lookup (lazy->young, key);
  gpointer old_key, old_members;

  if (members != NULL || !g_hash_table_steal_extended (lazy->old, key, &old_key, &old_members))
    return members;
  g_hash_table_insert (lazy->young, old_key, old_members);
  return old_members;
}

gboolean
cm_lazy_members_knows (CmLazyMembers *lazy, const char *key, gint64 event, gint64 since)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lazy->mutex);
  GHashTable *members = look_up (lazy, key);
  const gint64 *position = members != NULL ? g_hash_table_lookup (members, &event) : NULL;

  return position != NULL && *position <= since;
}

void
cm_lazy_members_show (CmLazyMembers *lazy, const char *key, gint64 event, gint64 position)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lazy->mutex);
  GHashTable *members = look_up (lazy, key);

  if (members == NULL) {
    if (g_hash_table_size (lazy->young) >= MAX_KEYS) {
      g_hash_table_unref (lazy->old);
      lazy->old = lazy->young;
      lazy->young = new_generation ();
    }
    members = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
    g_hash_table_insert (lazy->young, g_strdup (key), members);
  }
  if (g_hash_table_size (members) >= MAX_MEMBERS)
    g_hash_table_remove_all (members);
  if (!g_hash_table_contains (members, &event))
    g_hash_table_insert (members, g_memdup2 (&event, sizeof event),
                         g_memdup2 (&position, sizeof position));
}

void
cm_lazy_members_forget (CmLazyMembers *lazy, const char *key)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lazy->mutex);

  g_hash_table_remove (lazy->young, key);
  g_hash_table_remove (lazy->old, key);
}
