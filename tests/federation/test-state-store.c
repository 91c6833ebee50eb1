#include "federation/state-store.h"

#include "schema/committer.h"
#include "tests/federation/fixture.h"
#include "tests/support/test-cluster.h"

static TestCluster *cluster;

typedef struct {
  CmPool *pool;
  CmIds *ids;
  CmCommitter *committer;
  CmStateStore *store;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  fixture->pool = test_cluster_pool (cluster, 4, TRUE);
  fixture->ids = cm_ids_new (fixture->pool, &error);
  g_assert_no_error (error);
  fixture->committer = cm_committer_new (fixture->pool, &error);
  g_assert_no_error (error);
  fixture->store = cm_state_store_new (fixture->pool, fixture->ids, 10000);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  cm_state_store_free (fixture->store);
  cm_committer_free (fixture->committer);
  cm_ids_free (fixture->ids);
  cm_pool_free (fixture->pool);
}

/* A store that knows nothing, with room for @capacity entries. */
static void
forget_all (Fixture *fixture, gsize capacity)
{
  cm_state_store_free (fixture->store);
  fixture->store = cm_state_store_new (fixture->pool, fixture->ids, capacity);
}

static gint64
add (Fixture *fixture, gint64 parent, const CmStateMap *parent_map, CmStateMap *map)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmWrite) write = cm_write_new ();
  gint64 id = cm_state_store_add (fixture->store, write, parent, parent_map, map, &error);
  g_assert_no_error (error);
  cm_committer_commit (fixture->committer, g_steal_pointer (&write), &error);
  g_assert_no_error (error);
  return id;
}

/* (type, key) from 1 to @count, each with the event 1000 + key. */
static CmStateMap *
make_map (guint count)
{
  GArray *entries = g_array_new (FALSE, FALSE, sizeof (CmStateEntry));
  for (guint i = 1; i <= count; i++) {
    CmStateEntry entry = { 7, i, 1000 + i };
    g_array_append_val (entries, entry);
  }
  return cm_state_map_new (entries);
}

static void
assert_stored (Fixture *fixture, gint64 id, const CmStateMap *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmStateMap) map = cm_state_store_get (fixture->store, id, &error);
  g_assert_no_error (error);
  g_assert_true (cm_state_map_equal (map, expected));
}

static gint64
query_integer (Fixture *fixture, const CmSql *sql, gint64 argument)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmDb) db = cm_pool_get (fixture->pool, &error);
  g_assert_no_error (error);
  g_autoptr (CmRows) rows = cm_db_query (db, sql, CM_ARGS (CM_INT (argument)), &error);
  g_assert_no_error (error);
  return cm_rows_integer (rows, 0, 0);
}

static void
test_round_trip (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmStateMap) map = make_map (50);
  gint64 id = add (fixture, 0, NULL, map);
  g_assert_cmpint (id, >, 0);
  assert_stored (fixture, id, map);
  forget_all (fixture, 10000);
  assert_stored (fixture, id, map);
}

static void
test_empty_is_zero (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmStateMap) nothing = cm_state_map_new_empty ();
  g_assert_cmpint (add (fixture, 0, NULL, nothing), ==, 0);
  assert_stored (fixture, 0, nothing);
}

static void
test_equal_is_parent (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmStateMap) map = make_map (50), same = make_map (50);
  gint64 id = add (fixture, 0, NULL, map);
  g_assert_cmpint (add (fixture, id, map, same), ==, id);
}

/* A hundred changes one upon the other: each row is a short delta, every dozen hops a full copy,
 * and each state is read back from nothing. */
static void
test_chain (Fixture *fixture, gconstpointer data)
{
  static const CmSql longest = { "test-longest", "SELECT max (hops) FROM state WHERE id > $1" };
  static const CmSql full = { "test-full",
                              "SELECT count (*) FROM state WHERE parent IS NULL AND id > $1" };
  static const CmSql bytes = { "test-bytes",
                               "SELECT sum (length (entries)) FROM state WHERE id > $1" };
  g_autoptr (GPtrArray) maps = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_state_map_unref);
  gint64 ids[100];
  g_ptr_array_add (maps, make_map (200));
  ids[0] = add (fixture, 0, NULL, maps->pdata[0]);
  for (guint i = 1; i < G_N_ELEMENTS (ids); i++) {
    g_ptr_array_add (maps, cm_state_map_with (maps->pdata[i - 1], 7, i % 30 + 1, 5000 + i));
    ids[i] = add (fixture, ids[i - 1], maps->pdata[i - 1], maps->pdata[i]);
  }
  g_assert_cmpint (query_integer (fixture, &longest, 0), ==, CM_STATE_MAX_HOPS);
  g_assert_cmpint (query_integer (fixture, &full, 0), ==, 8);
  g_assert_cmpint (query_integer (fixture, &bytes, 0), ==, (8 * 200 + 92) * 16);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++) {
    forget_all (fixture, 10000);
    assert_stored (fixture, ids[i], maps->pdata[i]);
  }

  g_autoptr (GError) error = NULL;
  forget_all (fixture, 10000);
  g_autoptr (GPtrArray) many =
      cm_state_store_get_many (fixture->store, ids, G_N_ELEMENTS (ids), &error);
  g_assert_no_error (error);
  for (guint i = 0; i < many->len; i++)
    g_assert_true (cm_state_map_equal (many->pdata[i], maps->pdata[i]));
}

/* A delta cannot say that a key is gone. */
static void
test_removal (Fixture *fixture, gconstpointer data)
{
  static const CmSql parent = { "test-parent", "SELECT count (parent) FROM state WHERE id = $1" };
  g_autoptr (CmStateMap) map = make_map (50), less = make_map (49);
  gint64 first = add (fixture, 0, NULL, map);
  gint64 second = add (fixture, first, map, less);
  g_assert_cmpint (query_integer (fixture, &parent, second), ==, 0);
  forget_all (fixture, 10000);
  assert_stored (fixture, second, less);
}

static void
test_small_cache (Fixture *fixture, gconstpointer data)
{
  g_autoptr (CmStateMap) a = make_map (100), b = make_map (90);
  gint64 first = add (fixture, 0, NULL, a), second = add (fixture, 0, NULL, b);
  forget_all (fixture, 50);
  for (guint i = 0; i < 3; i++) {
    assert_stored (fixture, first, a);
    assert_stored (fixture, second, b);
  }
}

static void
test_unknown (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (cm_state_store_get (fixture->store, 4711, &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
}

/* What a failed write had made is not there. */
static void
test_forget (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmWrite) write = cm_write_new ();
  g_autoptr (CmStateMap) map = make_map (5);
  gint64 id = cm_state_store_add (fixture->store, write, 0, NULL, map, &error);
  g_assert_no_error (error);
  assert_stored (fixture, id, map);
  cm_state_store_forget (fixture->store, id);
  g_assert_null (cm_state_store_get (fixture->store, id, &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
}

/* Until its write is committed a state can be had from memory only. */
static void
test_pending_stays (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmStateMap) a = make_map (100), b = make_map (90), c = make_map (80);
  gint64 first = add (fixture, 0, NULL, a), second = add (fixture, 0, NULL, b);
  forget_all (fixture, 50);
  g_autoptr (CmWrite) write = cm_write_new ();
  gint64 pending = cm_state_store_add (fixture->store, write, 0, NULL, c, &error);
  assert_stored (fixture, first, a);
  assert_stored (fixture, second, b);
  assert_stored (fixture, pending, c);
  cm_state_store_settle (fixture->store, pending);
  assert_stored (fixture, first, a);
  g_assert_null (cm_state_store_get (fixture->store, pending, &error));
  fixture_assert_error (&error, CM_ERROR_NOT_FOUND);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)
  ADD ("/state-store/round-trip", test_round_trip);
  ADD ("/state-store/empty-is-zero", test_empty_is_zero);
  ADD ("/state-store/equal-is-parent", test_equal_is_parent);
  ADD ("/state-store/chain", test_chain);
  ADD ("/state-store/removal", test_removal);
  ADD ("/state-store/small-cache", test_small_cache);
  ADD ("/state-store/unknown", test_unknown);
  ADD ("/state-store/forget", test_forget);
  ADD ("/state-store/pending-stays", test_pending_stays);
  int result = g_test_run ();
  test_cluster_free (cluster);
  return result;
}
