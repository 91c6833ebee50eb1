#include "server/accounts/session-cache.h"

static CmSession *
make (const char *hash, const char *user_id, const char *device_id)
{
  CmSession *session = cm_session_new ();
  session->hash = g_strdup (hash);
  session->user_id = g_strdup (user_id);
  session->device_id = g_strdup (device_id);
  return session;
}

static void
add (CmSessionCache *cache, const char *hash, const char *user_id, const char *device_id)
{
  guint64 epoch;
  g_assert_null (cm_session_cache_find (cache, hash, &epoch));
  g_autoptr (CmSession) session = make (hash, user_id, device_id);
  cm_session_cache_add (cache, session, epoch);
}

static gboolean
has (CmSessionCache *cache, const char *hash)
{
  guint64 epoch;
  g_autoptr (CmSession) session = cm_session_cache_find (cache, hash, &epoch);
  g_assert_true (!session || g_str_equal (session->hash, hash));
  return session != NULL;
}

static void
test_drop (void)
{
  g_autoptr (CmSessionCache) cache = cm_session_cache_new (10);
  add (cache, "a1", "@a:x", "1");
  add (cache, "a2", "@a:x", "2");
  add (cache, "b1", "@b:x", "1");
  cm_session_cache_drop (cache, "@a:x", "1");
  g_assert_false (has (cache, "a1"));
  g_assert_true (has (cache, "a2"));
  g_assert_true (has (cache, "b1"));
  cm_session_cache_drop (cache, "@a:x", NULL);
  g_assert_false (has (cache, "a2"));
  g_assert_true (has (cache, "b1"));
  cm_session_cache_drop (cache, "@nobody:x", NULL);
  cm_session_cache_drop_all (cache);
  g_assert_false (has (cache, "b1"));
}

/* A session that was read from the database before a revocation, and comes in after it, must not
 * stay. */
static void
test_class_token_revocation_race (void)
{
  g_autoptr (CmSessionCache) cache = cm_session_cache_new (10);
  g_autoptr (CmSession) session = make ("a1", "@a:x", "1");
  guint64 epoch;
  g_assert_null (cm_session_cache_find (cache, "a1", &epoch));
  cm_session_cache_drop (cache, "@a:x", "1");
  cm_session_cache_add (cache, session, epoch);
  g_assert_false (has (cache, "a1"));
}

static void
test_least_recently_used_goes (void)
{
  g_autoptr (CmSessionCache) cache = cm_session_cache_new (3);
  add (cache, "1", "@a:x", "1");
  add (cache, "2", "@a:x", "2");
  add (cache, "3", "@b:x", "1");
  g_assert_true (has (cache, "1"));
  add (cache, "4", "@b:x", "2");
  g_assert_true (has (cache, "1"));
  g_assert_false (has (cache, "2"));
  g_assert_true (has (cache, "3"));
  g_assert_true (has (cache, "4"));
}

static void
test_one_hash_once (void)
{
  g_autoptr (CmSessionCache) cache = cm_session_cache_new (3);
  g_autoptr (CmSession) again = make ("1", "@a:x", "1");
  guint64 epoch;
  add (cache, "1", "@a:x", "1");
  cm_session_cache_find (cache, "none", &epoch);
  cm_session_cache_add (cache, again, epoch);
  cm_session_cache_drop (cache, "@a:x", NULL);
  g_assert_false (has (cache, "1"));
}

#define N_THREADS 4
#define N_TURNS   20000

static gpointer
churn (gpointer data)
{
  CmSessionCache *cache = data;
  for (guint i = 0; i < N_TURNS; i++) {
    g_autofree char *hash = g_strdup_printf ("%u", i % 50);
    g_autofree char *user_id = g_strdup_printf ("@u%u:x", i % 7);
    guint64 epoch;
    g_autoptr (CmSession) found = cm_session_cache_find (cache, hash, &epoch);
    g_autoptr (CmSession) session = make (hash, user_id, "1");
    if (!found)
      cm_session_cache_add (cache, session, epoch);
    if (i % 101 == 0)
      cm_session_cache_drop (cache, user_id, NULL);
  }
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr (CmSessionCache) cache = cm_session_cache_new (30);
  GThread *threads[N_THREADS];
  for (guint i = 0; i < N_THREADS; i++)
    threads[i] = g_thread_new ("churn", churn, cache);
  for (guint i = 0; i < N_THREADS; i++)
    g_thread_join (threads[i]);
  for (guint i = 0; i < 7; i++) {
    g_autofree char *user_id = g_strdup_printf ("@u%u:x", i);
    cm_session_cache_drop (cache, user_id, NULL);
  }
  for (guint i = 0; i < 50; i++) {
    g_autofree char *hash = g_strdup_printf ("%u", i);
    g_assert_false (has (cache, hash));
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/session-cache/drop", test_drop);
  g_test_add_func ("/session-cache/class-token-revocation-race", test_class_token_revocation_race);
  g_test_add_func ("/session-cache/least-recently-used-goes", test_least_recently_used_goes);
  g_test_add_func ("/session-cache/one-hash-once", test_one_hash_once);
  g_test_add_func ("/session-cache/threads", test_threads);
  return g_test_run ();
}
