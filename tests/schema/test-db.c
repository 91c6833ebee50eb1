#include "tests/support/test-cluster.h"

#include <string.h>

static TestCluster *cluster;

typedef struct {
  CmPool *pool;
  CmDb *db;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  fixture->pool = test_cluster_pool (cluster, 4, FALSE);
  fixture->db = cm_pool_get (fixture->pool, &error);
  g_assert_no_error (error);
  cm_db_script (fixture->db,
                "CREATE TABLE item (id bigint PRIMARY KEY, small integer, name text, raw bytea,"
                " yes boolean, many bigint[], words text[]);"
                "CREATE TABLE other (id bigint PRIMARY KEY)",
                &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  cm_db_release (fixture->db);
  cm_pool_free (fixture->pool);
}

static const CmSql insert_all = { "insert-all",
                                  "INSERT INTO item (id, small, name, raw, yes, many, words)"
                                  " VALUES ($1, $2, $3, $4, $5, $6, $7)" };
static const CmSql select_all = { "select-all",
                                  "SELECT small, name, raw, yes, many, array_length (words, 1),"
                                  " words[1], words[2], small::smallint FROM item WHERE id = $1" };
static const CmSql insert_id = { "insert-id", "INSERT INTO item (id) VALUES ($1)" };
static const CmSql count_items = { "count-items", "SELECT count(*) FROM item" };

static gint64
count (CmDb *db)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmRows) rows = cm_db_query (db, &count_items, CM_NO_ARGS, &error);
  g_assert_no_error (error);
  return cm_rows_integer (rows, 0, 0);
}

static void
test_round_trip (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  static const gint64 many[] = { G_MININT64, -1, 0, G_MAXINT64 };
  static const char *const words[] = { "a \"quoted\\ {word},", "NULL", NULL };
  static const char raw[] = "\0\xff\xc0'\\\0";
  const char *name = "gr\xc3\xbc\xc3\x9f' OR 1=1; -- \\x \xf0\x9f\x8e\x89";
  g_assert_true (cm_db_run (fixture->db, &insert_all,
                            CM_ARGS (CM_INT (G_MININT64), CM_INT (-7), CM_TEXT (name),
                                     CM_DATA (raw, sizeof raw), CM_BOOL (TRUE),
                                     CM_INTS (many, G_N_ELEMENTS (many)), CM_TEXTS (words)),
                            NULL, &error));
  g_autoptr (CmRows) rows =
      cm_db_query (fixture->db, &select_all, CM_ARGS (CM_INT (G_MININT64)), &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cm_rows_count (rows), ==, 1);
  g_assert_cmpint (cm_rows_integer (rows, 0, 0), ==, -7);
  g_assert_cmpstr (cm_rows_text (rows, 0, 1), ==, name);
  g_autoptr (GBytes) bytes = cm_rows_bytes (rows, 0, 2);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), raw, sizeof raw);
  g_assert_true (cm_rows_boolean (rows, 0, 3));
  g_autoptr (GArray) integers = cm_rows_integers (rows, 0, 4);
  g_assert_cmpmem (integers->data, integers->len * sizeof (gint64), many, sizeof many);
  g_assert_cmpint (cm_rows_integer (rows, 0, 5), ==, 2);
  g_assert_cmpstr (cm_rows_text (rows, 0, 6), ==, words[0]);
  g_assert_cmpstr (cm_rows_text (rows, 0, 7), ==, words[1]);
  g_assert_cmpint (cm_rows_integer (rows, 0, 8), ==, -7);
}

static void
test_nulls (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (cm_db_run (fixture->db, &insert_all,
                            CM_ARGS (CM_INT (1), CM_SQL_NULL, CM_TEXT (NULL), CM_BYTES (NULL),
                                     CM_SQL_NULL, CM_SQL_NULL, CM_SQL_NULL),
                            NULL, &error));
  g_autoptr (GBytes) empty = g_bytes_new (NULL, 0);
  g_assert_true (cm_db_run (fixture->db, &insert_all,
                            CM_ARGS (CM_INT (2), CM_INT (0), CM_TEXT (""), CM_BYTES (empty),
                                     CM_BOOL (FALSE), CM_INTS (NULL, 0), CM_TEXTS (NULL)),
                            NULL, &error));
  g_autoptr (CmRows) nulls = cm_db_query (fixture->db, &select_all, CM_ARGS (CM_INT (1)), &error);
  g_autoptr (CmRows) empties = cm_db_query (fixture->db, &select_all, CM_ARGS (CM_INT (2)), &error);
  g_assert_no_error (error);
  for (int column = 0; column < 5; column++) {
    g_assert_true (cm_rows_is_null (nulls, 0, column));
    g_assert_false (cm_rows_is_null (empties, 0, column));
  }
  g_assert_null (cm_rows_text (nulls, 0, 1));
  g_assert_null (cm_rows_bytes (nulls, 0, 2));
  g_assert_cmpint (cm_rows_integer (nulls, 0, 0), ==, 0);
  g_assert_cmpstr (cm_rows_text (empties, 0, 1), ==, "");
  g_autoptr (GArray) none = cm_rows_integers (nulls, 0, 4);
  g_autoptr (GArray) zero = cm_rows_integers (empties, 0, 4);
  g_assert_cmpuint (none->len, ==, 0);
  g_assert_cmpuint (zero->len, ==, 0);
}

/* CVE-2025-1094: invalid multibyte text must not even reach the server. */
static void
test_invalid_text (Fixture *fixture, gconstpointer data)
{
  static const CmSql echo = { "echo", "SELECT $1::text" };
  static const CmSql echo_array = { "echo-array", "SELECT ($1::text[])[1]" };
  static const char *const bad[] = { "\xc0'",        "\xc0\x27 OR 1=1",  "a\xff",
                                     "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82" };
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (cm_db_query (fixture->db, &echo, CM_ARGS (CM_TEXT (bad[i])), &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
    g_clear_error (&error);
    const char *const array[] = { bad[i], NULL };
    g_assert_null (cm_db_query (fixture->db, &echo_array, CM_ARGS (CM_TEXTS (array)), &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
  }
}

/* U+0000 is legal in Matrix and not in PostgreSQL: refused, never cut. */
static void
test_nul_text (Fixture *fixture, gconstpointer data)
{
  static const CmSql echo = { "echo", "SELECT $1::text" };
  g_autoptr (GError) error = NULL;
  g_assert_null (cm_db_query (fixture->db, &echo, CM_ARGS (CM_STRING ("a\0b", 3)), &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
  g_clear_error (&error);
  g_autoptr (CmRows) rows =
      cm_db_query (fixture->db, &echo, CM_ARGS (CM_STRING ("ab-not-this", 2)), &error);
  g_assert_no_error (error);
  g_assert_cmpstr (cm_rows_text (rows, 0, 0), ==, "ab");
}

/* CVE-2021-27219: sizes that do not fit 32 bits are refused, not cut. */
static void
test_oversize (Fixture *fixture, gconstpointer data)
{
  static const CmSql raw = { "raw-length", "SELECT length($1::bytea)" };
  static const CmSql two = { "raw-lengths", "SELECT length($1::bytea) + length($2::bytea)" };
  static const CmSql sum = { "ints-length", "SELECT array_length($1::bigint[], 1)" };
  const gsize sizes[] = { (gsize) 1 << 29, ((gsize) 1 << 31) - 1, (gsize) 1 << 31,
                          (gsize) 1 << 32, ((gsize) 1 << 32) + 3, G_MAXSIZE };
  for (gsize i = 0; i < G_N_ELEMENTS (sizes); i++) {
    g_autoptr (GError) error = NULL;
    if (sizes[i] > (gsize) 1 << 29) {
      g_assert_null (cm_db_query (fixture->db, &raw, CM_ARGS (CM_DATA ("abc", sizes[i])), &error));
      g_assert_error (error, CM_ERROR, CM_ERROR_TOO_LARGE);
      g_clear_error (&error);
    }
    g_assert_null (cm_db_query (
        fixture->db, &two, CM_ARGS (CM_DATA ("abc", sizes[i]), CM_DATA ("abc", sizes[i])), &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_TOO_LARGE);
    g_clear_error (&error);
    g_assert_null (cm_db_query (fixture->db, &sum, CM_ARGS (CM_INTS (&sizes, sizes[i])), &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_TOO_LARGE);
  }
}

static void
test_transaction (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  {
    g_autoptr (CmTransaction) tx = cm_transaction_begin (fixture->db, &error);
    g_assert_true (cm_db_run (fixture->db, &insert_id, CM_ARGS (CM_INT (1)), NULL, &error));
    g_assert_cmpint (count (fixture->db), ==, 1);
  }
  g_assert_cmpint (count (fixture->db), ==, 0);
  {
    g_autoptr (CmTransaction) tx = cm_transaction_begin (fixture->db, &error);
    g_assert_true (cm_db_run (fixture->db, &insert_id, CM_ARGS (CM_INT (1)), NULL, &error));
    g_assert_true (cm_transaction_commit (tx, &error));
  }
  {
    g_autoptr (CmTransaction) empty = cm_transaction_begin (fixture->db, &error);
    g_assert_nonnull (empty);
  }
  g_assert_cmpint (count (fixture->db), ==, 1);
}

/* PostgreSQL answers COMMIT after a failure with a quiet ROLLBACK: that is no success. */
static void
test_failed_transaction (Fixture *fixture, gconstpointer data)
{
  static const CmSql divide = { "divide", "SELECT 1 / $1::integer" };
  g_autoptr (GError) error = NULL;
  g_autoptr (CmTransaction) tx = cm_transaction_begin (fixture->db, &error);
  g_assert_true (cm_db_run (fixture->db, &insert_id, CM_ARGS (CM_INT (1)), NULL, &error));
  g_assert_null (cm_db_query (fixture->db, &divide, CM_ARGS (CM_INT (0)), &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_DATABASE);
  g_assert_cmpstr (error->message, ==, "The database failed");
  g_clear_error (&error);
  g_assert_false (cm_transaction_commit (tx, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_DATABASE);
  g_assert_cmpint (count (fixture->db), ==, 0);
}

static void
test_release_rolls_back (Fixture *fixture, gconstpointer data)
{
  static const CmSql begin = { "test-begin", "BEGIN" };
  g_autoptr (GError) error = NULL;
  CmDb *other = cm_pool_get (fixture->pool, &error);
  g_assert_true (cm_db_run (other, &begin, CM_NO_ARGS, NULL, &error));
  g_assert_true (cm_db_send (other, &insert_id, CM_ARGS (CM_INT (5)), &error));
  cm_db_release (other);
  other = cm_pool_get (fixture->pool, &error);
  g_assert_cmpint (count (other), ==, 0);
  cm_db_release (other);
}

static void
test_conflict (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint64 affected = -1;
  static const CmSql delete = { "delete", "DELETE FROM item WHERE id = $1" };
  g_assert_true (cm_db_run (fixture->db, &insert_id, CM_ARGS (CM_INT (1)), &affected, &error));
  g_assert_cmpint (affected, ==, 1);
  g_assert_false (cm_db_run (fixture->db, &insert_id, CM_ARGS (CM_INT (1)), NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFLICT);
  g_clear_error (&error);
  g_assert_true (cm_db_run (fixture->db, &delete, CM_ARGS (CM_INT (2)), &affected, &error));
  g_assert_cmpint (affected, ==, 0);
}

/* What fails at the commit of a single statement comes after its own success. */
static void
test_late_conflict (Fixture *fixture, gconstpointer data)
{
  static const CmSql insert = { "insert-late", "INSERT INTO late (id) VALUES ($1)" };
  g_autoptr (GError) error = NULL;
  cm_db_script (fixture->db, "CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
                &error);
  g_assert_true (cm_db_run (fixture->db, &insert, CM_ARGS (CM_INT (1)), NULL, &error));
  g_assert_no_error (error);
  g_assert_false (cm_db_run (fixture->db, &insert, CM_ARGS (CM_INT (1)), NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFLICT);
  g_clear_error (&error);
  g_assert_true (cm_db_run (fixture->db, &insert, CM_ARGS (CM_INT (2)), NULL, &error));
}

/* Fails in the Parse step: the name must not count as prepared afterwards. */
static void
test_bad_statement (Fixture *fixture, gconstpointer data)
{
  static const CmSql bad = { "bad", "SELECT FROM nowhere" };
  for (int i = 0; i < 2; i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (cm_db_query (fixture->db, &bad, CM_NO_ARGS, &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_DATABASE);
  }
  g_assert_cmpint (count (fixture->db), ==, 0);
}

static void
test_pipeline (Fixture *fixture, gconstpointer data)
{
  static const CmSql echo = { "echo-int", "SELECT $1::bigint" };
  g_autoptr (GError) error = NULL;
  for (gint64 i = 0; i < 10000; i++)
    g_assert_true (cm_db_send (fixture->db, &echo, CM_ARGS (CM_INT (i)), &error));
  for (gint64 i = 0; i < 10000; i++) {
    g_autoptr (CmRows) rows = cm_db_receive (fixture->db, &error);
    g_assert_no_error (error);
    g_assert_cmpint (cm_rows_integer (rows, 0, 0), ==, i);
  }
}

/* Both directions carry more than any socket buffer holds. */
static void
test_pipeline_large (Fixture *fixture, gconstpointer data)
{
  static const CmSql echo = { "echo-raw", "SELECT $1::bytea" };
  const gsize size = 1024 * 1024;
  g_autofree char *row = g_malloc (size);
  g_autoptr (GError) error = NULL;
  for (int i = 0; i < 40; i++) {
    memset (row, i, size);
    g_assert_true (cm_db_send (fixture->db, &echo, CM_ARGS (CM_DATA (row, size)), &error));
  }
  for (int i = 0; i < 40; i++) {
    gsize length;
    g_autoptr (CmRows) rows = cm_db_receive (fixture->db, &error);
    g_assert_no_error (error);
    memset (row, i, size);
    const void *value = cm_rows_data (rows, 0, 0, &length);
    g_assert_cmpmem (value, length, row, size);
  }
}

static void
test_pipeline_failure (Fixture *fixture, gconstpointer data)
{
  static const CmSql late = { "late", "SELECT 17" };
  g_autoptr (GError) error = NULL;
  g_assert_true (cm_db_send (fixture->db, &insert_id, CM_ARGS (CM_INT (1)), &error));
  g_assert_true (cm_db_send (fixture->db, &insert_id, CM_ARGS (CM_INT (1)), &error));
  g_assert_true (cm_db_send (fixture->db, &late, CM_NO_ARGS, &error));
  g_autoptr (CmRows) first = cm_db_receive (fixture->db, &error);
  g_assert_no_error (error);
  for (int i = 0; i < 2; i++) {
    g_assert_null (cm_db_receive (fixture->db, &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_CONFLICT);
    g_clear_error (&error);
  }
  g_assert_cmpint (count (fixture->db), ==, 0);
  g_autoptr (CmRows) rows = cm_db_query (fixture->db, &late, CM_NO_ARGS, &error);
  g_assert_no_error (error);
  g_assert_cmpint (cm_rows_integer (rows, 0, 0), ==, 17);
}

static void
test_unreceived (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (cm_db_send (fixture->db, &insert_id, CM_ARGS (CM_INT (1)), &error));
  g_assert_true (cm_db_send (fixture->db, &insert_id, CM_ARGS (CM_INT (2)), &error));
  g_assert_cmpint (count (fixture->db), ==, 2);
}

static gboolean
is_setting (CmDb *db, const CmSql *sql, const char *expected)
{
  g_autoptr (CmRows) rows = cm_db_query (db, sql, CM_NO_ARGS, NULL);
  return rows != NULL && g_strcmp0 (cm_rows_text (rows, 0, 0), expected) == 0;
}

static void
test_session (Fixture *fixture, gconstpointer data)
{
  static const CmSql path = { "show-path", "SHOW search_path" };
  static const CmSql timeout = { "show-timeout", "SHOW statement_timeout" };
  static const CmSql sync = { "show-sync", "SHOW synchronous_commit" };
  static const CmSql name = { "show-name", "SHOW application_name" };
  g_assert_true (is_setting (fixture->db, &path, "public"));
  g_assert_true (is_setting (fixture->db, &timeout, "1min"));
  g_assert_true (is_setting (fixture->db, &sync, "on"));
  g_assert_true (is_setting (fixture->db, &name, "comity"));
}

static void
test_deadlock (Fixture *fixture, gconstpointer data)
{
  static const CmSql raise = { "raise", "DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$" };
  static const CmSql shut = { "shut", "DO $$ BEGIN RAISE SQLSTATE '57P03'; END $$" };
  g_autoptr (GError) error = NULL;
  g_assert_false (cm_db_run (fixture->db, &raise, CM_NO_ARGS, NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_CONFLICT);
  g_clear_error (&error);
  g_assert_false (cm_db_run (fixture->db, &shut, CM_NO_ARGS, NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE);
}

static void
test_same_name (void)
{
  static const CmSql one = { "same", "SELECT 1" };
  static const CmSql two = { "same", "SELECT 2" };
  if (g_test_subprocess ()) {
    g_autoptr (CmPool) pool = cm_pool_new (g_getenv ("TEST_DSN"), 1, NULL);
    g_autoptr (CmDb) db = cm_pool_get (pool, NULL);
    cm_rows_free (cm_db_query (db, &one, CM_NO_ARGS, NULL));
    cm_rows_free (cm_db_query (db, &two, CM_NO_ARGS, NULL));
    return;
  }
  g_autofree char *dsn = test_cluster_database (cluster, FALSE);
  g_setenv ("TEST_DSN", dsn, TRUE);
  g_test_trap_subprocess (NULL, 0, 0);
  g_test_trap_assert_failed ();
  g_test_trap_assert_stderr ("*Two statements are called same*");
}

static const struct {
  const char *path;
  void (*test) (Fixture *fixture, gconstpointer data);
} tests[] = {
  { "/db/round-trip", test_round_trip },
  { "/db/nulls", test_nulls },
  { "/db/CVE-2025-1094/invalid-text", test_invalid_text },
  { "/db/nul-text", test_nul_text },
  { "/db/CVE-2021-27219/oversize", test_oversize },
  { "/db/transaction", test_transaction },
  { "/db/failed-transaction", test_failed_transaction },
  { "/db/release-rolls-back", test_release_rolls_back },
  { "/db/conflict", test_conflict },
  { "/db/late-conflict", test_late_conflict },
  { "/db/sqlstates", test_deadlock },
  { "/db/bad-statement", test_bad_statement },
  { "/db/pipeline", test_pipeline },
  { "/db/pipeline-large", test_pipeline_large },
  { "/db/pipeline-failure", test_pipeline_failure },
  { "/db/unreceived", test_unreceived },
  { "/db/session", test_session },
};

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  if (!g_test_subprocess ())
    cluster = test_cluster_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
  g_test_add_func ("/db/same-name", test_same_name);
  int status = g_test_run ();
  test_cluster_free (cluster);
  return status;
}
