#include "schema/ids.h"
#include "schema/sym-cache.h"
#include "tests/support/test-cluster.h"

#include <string.h>

#define THREADS 8

static TestCluster *cluster;

static CmIds *
open_ids (CmPool *pool)
{
  g_autoptr (GError) error = NULL;
  CmIds *ids = cm_ids_new (pool, &error);
  g_assert_no_error (error);
  return ids;
}

typedef struct {
  CmIds *ids;
  CmSequence sequence;
  gint64 taken[2500];
} Taker;

static gpointer
take (gpointer data)
{
  Taker *taker = data;
  for (gsize i = 0; i < G_N_ELEMENTS (taker->taken); i++) {
    g_autoptr (GError) error = NULL;
    taker->taken[i] = cm_ids_next (taker->ids, taker->sequence, &error);
    g_assert_no_error (error);
    g_assert_cmpint (taker->taken[i], >, i > 0 ? taker->taken[i - 1] : 0);
  }
  return NULL;
}

/* Two nodes, several threads each, and a third after both have ended. */
static void
test_unique (gconstpointer sequence)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, TRUE);
  g_autofree Taker *takers = g_new0 (Taker, THREADS + 1);
  GThread *threads[THREADS];
  g_autoptr (GHashTable) seen = g_hash_table_new (g_int64_hash, g_int64_equal);
  CmIds *nodes[] = { open_ids (pool), open_ids (pool) };
  for (gsize i = 0; i < THREADS; i++) {
    takers[i].ids = nodes[i % 2];
    takers[i].sequence = GPOINTER_TO_INT (sequence);
    threads[i] = g_thread_new ("taker", take, &takers[i]);
  }
  for (gsize i = 0; i < THREADS; i++)
    g_thread_join (threads[i]);
  cm_ids_free (nodes[0]);
  cm_ids_free (nodes[1]);

  g_autoptr (CmIds) again = open_ids (pool);
  takers[THREADS].ids = again;
  takers[THREADS].sequence = GPOINTER_TO_INT (sequence);
  take (&takers[THREADS]);
  for (gsize i = 0; i <= THREADS; i++) {
    for (gsize k = 0; k < G_N_ELEMENTS (takers[i].taken); k++)
      g_assert_true (g_hash_table_add (seen, &takers[i].taken[k]));
  }
}

static void
test_symbol (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, TRUE);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmIds) ids = open_ids (pool);
  const char *text = "@gr\xc3\xbc\xc3\x9f'e\\\"{}:example.org";
  g_assert_cmpint (cm_sym_lookup (ids, text, &error), ==, 0);
  g_assert_no_error (error);
  gint64 sym = cm_sym (ids, text, &error);
  g_assert_cmpint (sym, >, 0);
  g_assert_cmpint (sym, <, G_MAXINT32);
  g_assert_cmpint (cm_sym (ids, text, &error), ==, sym);
  g_assert_cmpint (cm_sym_lookup (ids, text, &error), ==, sym);
  gint64 empty = cm_sym (ids, "", &error);
  g_assert_cmpint (empty, >, 0);
  g_assert_cmpint (empty, !=, sym);

  /* Another node, which has nothing in memory. */
  g_autoptr (CmIds) other = open_ids (pool);
  g_autofree char *found = cm_sym_text (other, sym, &error);
  g_assert_cmpstr (found, ==, text);
  g_autofree char *found_empty = cm_sym_text (other, empty, &error);
  g_assert_cmpstr (found_empty, ==, "");
  g_autoptr (CmIds) third = open_ids (pool);
  g_assert_cmpint (cm_sym_lookup (third, text, &error), ==, sym);
  g_assert_no_error (error);
  g_assert_null (cm_sym_text (other, 123456, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_NOT_FOUND);
}

static void
test_bad_texts (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, TRUE);
  g_autoptr (CmIds) ids = open_ids (pool);
  g_autoptr (GError) error = NULL;
  g_autofree char *longest = g_strnfill (1024, 'x');
  g_autofree char *too_long = g_strnfill (1025, 'x');
  g_assert_cmpint (cm_sym (ids, longest, &error), >, 0);
  g_assert_no_error (error);
  g_assert_cmpint (cm_sym_lookup (ids, too_long, &error), ==, 0);
  g_assert_no_error (error);
  g_assert_cmpint (cm_sym (ids, too_long, &error), ==, 0);
  g_assert_error (error, CM_ERROR, CM_ERROR_TOO_LARGE);
  g_clear_error (&error);
  g_assert_cmpint (cm_sym (ids, "\xc0'", &error), ==, 0);
  g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
}

static void
test_many (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, TRUE);
  g_autoptr (CmIds) ids = open_ids (pool);
  g_autoptr (GError) error = NULL;
  const char *const texts[] = { "b", "a", "b", "c", "a" };
  gint64 b = cm_sym (ids, "b", &error);
  gint64 syms[G_N_ELEMENTS (texts)];
  for (int i = 0; i < 2; i++) {
    memset (syms, 0, sizeof syms);
    g_assert_true (cm_sym_many (ids, texts, G_N_ELEMENTS (texts), syms, &error));
    g_assert_cmpint (syms[0], ==, b);
    g_assert_cmpint (syms[2], ==, b);
    g_assert_cmpint (syms[1], ==, syms[4]);
    for (gsize k = 0; k < G_N_ELEMENTS (texts); k++) {
      g_autofree char *text = cm_sym_text (ids, syms[k], &error);
      g_assert_cmpstr (text, ==, texts[k]);
    }
  }
  g_assert_true (cm_sym_many (ids, NULL, 0, NULL, &error));
}

typedef struct {
  CmIds *ids;
  guint salt;
  gint64 syms[600];
} Interner;

/* Each thread meets the same texts in an order of its own, some alone and some together. */
static gpointer
intern (gpointer data)
{
  Interner *interner = data;
  g_autoptr (GError) error = NULL;
  const guint n = G_N_ELEMENTS (interner->syms);
  for (guint i = 0; i < n; i += 3) {
    char names[3][16];
    const char *texts[] = { names[0], names[1], names[2] };
    gint64 syms[3];
    guint at[3];
    for (guint k = 0; k < 3; k++) {
      at[k] = ((i + k) * 7 + interner->salt * 131) % n;
      g_snprintf (names[k], sizeof names[k], "text-%u", at[k]);
    }
    g_assert_true (cm_sym_many (interner->ids, texts, 3, syms, &error));
    g_assert_no_error (error);
    for (guint k = 0; k < 3; k++)
      interner->syms[at[k]] = syms[k];
  }
  return NULL;
}

static void
test_threads (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 2, TRUE);
  CmIds *nodes[] = { open_ids (pool), open_ids (pool) };
  g_autofree Interner *interners = g_new0 (Interner, THREADS);
  GThread *threads[THREADS];
  g_autoptr (GHashTable) seen = g_hash_table_new (g_int64_hash, g_int64_equal);
  for (guint i = 0; i < THREADS; i++) {
    interners[i].ids = nodes[i % 2];
    interners[i].salt = i;
    threads[i] = g_thread_new ("interner", intern, &interners[i]);
  }
  for (guint i = 0; i < THREADS; i++)
    g_thread_join (threads[i]);
  for (guint i = 1; i < THREADS; i++)
    g_assert_cmpmem (interners[i].syms, sizeof interners[i].syms, interners[0].syms,
                     sizeof interners[0].syms);
  for (guint i = 0; i < G_N_ELEMENTS (interners[0].syms); i++) {
    g_assert_cmpint (interners[0].syms[i], >, 0);
    g_assert_true (g_hash_table_add (seen, &interners[0].syms[i]));
  }
  cm_ids_free (nodes[0]);
  cm_ids_free (nodes[1]);
}

/* A handler that holds the only connection may still intern. */
static void
test_no_wait_for_pool (void)
{
  g_autoptr (CmPool) pool = test_cluster_pool (cluster, 1, TRUE);
  g_autoptr (GError) error = NULL;
  g_autoptr (CmIds) ids = open_ids (pool);
  g_autoptr (CmDb) db = cm_pool_get (pool, &error);
  g_assert_nonnull (db);
  g_assert_cmpint (cm_sym (ids, "x", &error), >, 0);
  g_assert_cmpint (cm_ids_next (ids, CM_SEQUENCE_EVENT, &error), ==, 1);
}

static void
test_cache (void)
{
  CmSymCache *cache = cm_sym_cache_new (10);
  for (gint64 i = 1; i <= 15; i++) {
    g_autofree char *text = g_strdup_printf ("t%" G_GINT64_FORMAT, i);
    cm_sym_cache_add (cache, i, text);
    cm_sym_cache_add (cache, i, text);
  }
  g_assert_cmpint (cm_sym_cache_id (cache, "t1"), ==, 1); /* met again: it becomes young */
  for (gint64 i = 16; i <= 21; i++) {
    g_autofree char *text = g_strdup_printf ("t%" G_GINT64_FORMAT, i);
    cm_sym_cache_add (cache, i, text);
  }
  g_assert_cmpint (cm_sym_cache_id (cache, "t1"), ==, 1);
  g_assert_cmpint (cm_sym_cache_id (cache, "t2"), ==, 0);
  g_assert_null (cm_sym_cache_text (cache, 2));
  g_autofree char *text = cm_sym_cache_text (cache, 15);
  g_assert_cmpstr (text, ==, "t15");
  cm_sym_cache_free (cache);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
  g_test_add_data_func ("/ids/unique/event", GINT_TO_POINTER (CM_SEQUENCE_EVENT), test_unique);
  g_test_add_data_func ("/ids/unique/state", GINT_TO_POINTER (CM_SEQUENCE_STATE), test_unique);
  g_test_add_data_func ("/ids/unique/backfill", GINT_TO_POINTER (CM_SEQUENCE_BACKFILL),
                        test_unique);
  g_test_add_func ("/ids/symbol", test_symbol);
  g_test_add_func ("/ids/bad-texts", test_bad_texts);
  g_test_add_func ("/ids/many", test_many);
  g_test_add_func ("/ids/threads", test_threads);
  g_test_add_func ("/ids/no-wait-for-pool", test_no_wait_for_pool);
  g_test_add_func ("/ids/cache", test_cache);
  int status = g_test_run ();
  test_cluster_free (cluster);
  return status;
}
