#include "schema/committer.h"
#include "tests/support/test-cluster.h"

#include <signal.h>
#include <string.h>

static TestCluster *cluster;

typedef struct {
  CmPool *pool;
  CmCommitter *committer;
  GMutex mutex;
  GCond changed;
  GString *order; /* what was told, in order, e.g. "l1:3 c1:3 c2:! " */
  guint called;   /* how many callbacks have come */
  gboolean fallen;
} Fixture;

/* What a callback is told with: its fixture and a number. */
typedef struct {
  Fixture *fixture;
  guint number;
} Tag;

static const CmSql insert = { "insert", "INSERT INTO item (id, position) VALUES ($1, $2)" };
static const CmSql update = { "update", "UPDATE item SET position = -1 WHERE id = $1" };
static const CmSql insert_row = { "insert-row", "INSERT INTO blob (raw) VALUES ($1)" };

static void
run (CmPool *pool, const char *script)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmDb) db = cm_pool_get (pool, &error);
  g_assert_no_error (error);
  cm_db_script (db, script, &error);
  g_assert_no_error (error);
}

static gint64
query (CmPool *pool, const char *text)
{
  g_autoptr (GError) error = NULL;
  const CmSql sql = { text, text };
  g_autoptr (CmDb) db = cm_pool_get (pool, &error);
  g_assert_no_error (error);
  g_autoptr (CmRows) rows = cm_db_query (db, &sql, CM_NO_ARGS, &error);
  g_assert_no_error (error);
  return cm_rows_integer (rows, 0, 0);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  fixture->pool = test_cluster_pool (cluster, 12, TRUE);
  fixture->order = g_string_new (NULL);
  run (fixture->pool, "CREATE TABLE item (id bigint UNIQUE, position bigint);"
                      "CREATE TABLE late (id bigint UNIQUE DEFERRABLE INITIALLY DEFERRED);"
                      "CREATE TABLE blob (raw bytea)");
  fixture->committer = cm_committer_new (fixture->pool, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  cm_committer_free (fixture->committer);
  cm_pool_free (fixture->pool);
  g_string_free (fixture->order, TRUE);
}

static CmWrite *
write_item (gint64 id)
{
  CmWrite *write = cm_write_new ();
  gint64 offset = cm_write_take_positions (write, 1);
  cm_write_add (write, &insert, CM_ARGS (CM_INT (id), CM_POSITION (offset)));
  return write;
}

static void
on_committed (const CmWrite *write, gint64 position, const GError *error, gpointer data)
{
  Tag *tag = data;
  Fixture *fixture = tag->fixture;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&fixture->mutex);
  g_assert_true ((error != NULL) == (position < 0));
  if (error != NULL)
    g_string_append_printf (fixture->order, "c%u:%s ", tag->number,
                            error->code == CM_ERROR_CONFLICT      ? "conflict"
                            : error->code == CM_ERROR_UNAVAILABLE ? "unavailable"
                            : error->code == CM_ERROR_DATABASE    ? "failed"
                                                                  : "bad");
  else
    g_string_append_printf (fixture->order, "c%u:%" G_GINT64_FORMAT " ", tag->number, position);
  fixture->fallen |= error != NULL;
  fixture->called++;
  g_cond_signal (&fixture->changed);
  g_free (tag);
}

static void
submit (Fixture *fixture, guint number, CmWrite *write, CmWriteGuard guard)
{
  Tag *tag = g_new (Tag, 1);
  *tag = (Tag){ fixture, number };
  cm_committer_submit (fixture->committer, write, guard, on_committed, tag);
}

static void
wait_for (Fixture *fixture, guint calls)
{
  gint64 deadline = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&fixture->mutex);
  while (fixture->called < calls)
    g_assert_true (g_cond_wait_until (&fixture->changed, &fixture->mutex, deadline));
}

typedef struct {
  GMutex mutex;
  GCond changed;
  gboolean open;
  gboolean reached;
} Gate;

static gboolean
pass_gate (gpointer data)
{
  Gate *gate = data;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&gate->mutex);
  gate->reached = TRUE;
  g_cond_broadcast (&gate->changed);
  while (!gate->open)
    g_cond_wait (&gate->changed, &gate->mutex);
  return TRUE;
}

/* Keeps the committer busy, so that what is queued meanwhile becomes one batch. */
static void
close_gate (Fixture *fixture, Gate *gate)
{
  cm_committer_submit (fixture->committer, cm_write_new (), pass_gate, NULL, gate);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&gate->mutex);
  while (!gate->reached)
    g_cond_wait (&gate->changed, &gate->mutex);
}

static void
open_gate (Gate *gate)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&gate->mutex);
  gate->open = TRUE;
  g_cond_broadcast (&gate->changed);
}

static void
test_single (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmWrite *write = cm_write_new ();
  g_assert_cmpint (cm_write_take_positions (write, 2), ==, 0);
  g_assert_cmpint (cm_write_take_positions (write, 1), ==, 2);
  cm_write_add (write, &insert, CM_ARGS (CM_INT (1), CM_POSITION (0)));
  cm_write_add (write, &insert, CM_ARGS (CM_INT (2), CM_POSITION (2)));
  g_assert_cmpint (cm_committer_commit (fixture->committer, write, &error), ==, 1);
  g_assert_cmpint (cm_committer_position (fixture->committer), ==, 3);
  g_assert_cmpint (cm_committer_commit (fixture->committer, write_item (3), &error), ==, 4);
  g_assert_no_error (error);
  g_assert_cmpint (query (fixture->pool, "SELECT position FROM item WHERE id = 2"), ==, 3);
  g_assert_cmpint (query (fixture->pool, "SELECT position FROM item WHERE id = 3"), ==, 4);
  g_assert_cmpint (query (fixture->pool, "SELECT position FROM stream"), ==, 4);
}

static void
test_no_positions (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  CmWrite *write = cm_write_new ();
  cm_write_add (write, &insert, CM_ARGS (CM_INT (1), CM_INT (7)));
  g_assert_cmpint (cm_committer_commit (fixture->committer, write, &error), ==, 0);
  g_assert_no_error (error);
  g_assert_cmpint (cm_committer_position (fixture->committer), ==, 0);
  g_assert_cmpint (query (fixture->pool, "SELECT count(*) FROM item"), ==, 1);
}

static void
test_reopen (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (cm_committer_commit (fixture->committer, write_item (1), &error), ==, 1);
  g_clear_pointer (&fixture->committer, cm_committer_free);
  fixture->committer = cm_committer_new (fixture->pool, &error);
  g_assert_no_error (error);
  g_assert_cmpint (cm_committer_position (fixture->committer), ==, 1);
  g_assert_cmpint (cm_committer_commit (fixture->committer, write_item (2), &error), ==, 2);
}

static void
test_one_bad_write (Fixture *fixture, gconstpointer data)
{
  Gate gate = { .open = FALSE };
  close_gate (fixture, &gate);
  static const gint64 ids[] = { 1, 2, 1, 3, 2, 4 };
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    submit (fixture, i, write_item (ids[i]), NULL);
  open_gate (&gate);
  wait_for (fixture, 6);
  g_assert_cmpstr (fixture->order->str, ==, "c0:1 c1:2 c2:conflict c3:3 c4:conflict c5:4 ");
  g_assert_cmpint (query (fixture->pool, "SELECT count(*) FROM item WHERE position = id"), ==, 4);
  g_assert_cmpint (cm_committer_position (fixture->committer), ==, 4);
}

/* What is refused at COMMIT names nobody. */
static void
test_refused_commit (Fixture *fixture, gconstpointer data)
{
  static const CmSql late = { "late", "INSERT INTO late (id) VALUES ($1)" };
  static const gint64 ids[] = { 1, 2, 1, 3 };
  Gate gate = { .open = FALSE };
  close_gate (fixture, &gate);
  for (guint i = 0; i < G_N_ELEMENTS (ids); i++) {
    CmWrite *write = cm_write_new ();
    cm_write_add (write, &late, CM_ARGS (CM_INT (ids[i])));
    submit (fixture, i, write, NULL);
  }
  open_gate (&gate);
  wait_for (fixture, 4);
  g_assert_cmpstr (fixture->order->str, ==, "c0:0 c1:0 c2:conflict c3:0 ");
  g_assert_cmpint (query (fixture->pool, "SELECT count(*) FROM late"), ==, 3);
}

static void
test_bad_parameter (Fixture *fixture, gconstpointer data)
{
  static const CmSql text = { "text", "INSERT INTO item (id) VALUES (length ($1))" };
  Gate gate = { .open = FALSE };
  close_gate (fixture, &gate);
  CmWrite *write = cm_write_new ();
  cm_write_add (write, &insert, CM_ARGS (CM_INT (1), CM_INT (1)));
  cm_write_add (write, &text, CM_ARGS (CM_TEXT ("\xc0'")));
  submit (fixture, 1, write, NULL);
  submit (fixture, 2, write_item (2), NULL);
  open_gate (&gate);
  wait_for (fixture, 2);
  g_assert_cmpstr (fixture->order->str, ==, "c1:bad c2:1 ");
  g_assert_cmpint (query (fixture->pool, "SELECT count(*) FROM item WHERE id = 1"), ==, 0);
}

static void
test_fence (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (cm_committer_commit (fixture->committer, write_item (1), &error), ==, 1);
  Gate gate = { .open = FALSE };
  close_gate (fixture, &gate);
  for (gint64 i = 0; i < 3; i++) {
    CmWrite *write = write_item (10 + i);
    cm_write_add_fenced (write, &update, CM_ARGS (CM_INT (i)));
    submit (fixture, i, write, NULL);
  }
  submit (fixture, 3, write_item (13), NULL);
  open_gate (&gate);
  wait_for (fixture, 4);
  g_assert_cmpstr (fixture->order->str, ==, "c0:conflict c1:2 c2:conflict c3:3 ");
  g_assert_cmpint (query (fixture->pool, "SELECT count(*) FROM item WHERE id >= 10"), ==, 2);
  g_assert_cmpint (query (fixture->pool, "SELECT position FROM item WHERE id = 1"), ==, -1);
}

static gboolean
nothing_fell (gpointer data)
{
  Tag *tag = data;
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&tag->fixture->mutex);
  return !tag->fixture->fallen;
}

/* In one batch: what was built on a write that fails is not run, what is independent is. */
static void
test_guard (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (cm_committer_commit (fixture->committer, write_item (1), &error), ==, 1);
  Gate gate = { .open = FALSE };
  close_gate (fixture, &gate);
  submit (fixture, 0, write_item (2), nothing_fell);
  submit (fixture, 1, write_item (1), nothing_fell);
  submit (fixture, 2, write_item (3), nothing_fell);
  submit (fixture, 3, write_item (4), NULL);
  submit (fixture, 4, write_item (5), nothing_fell);
  open_gate (&gate);
  wait_for (fixture, 5);
  g_assert_cmpstr (fixture->order->str, ==, "c0:2 c1:conflict c2:conflict c3:3 c4:conflict ");
  g_assert_cmpint (query (fixture->pool, "SELECT count(*) FROM item WHERE id IN (3, 5)"), ==, 0);
}

static void
append_topic (CmTopicKind kind, const char *name, gpointer data)
{
  g_string_append_printf (data, "%d=%s ", kind, name);
}

static void
on_listen (const CmWrite *write, gint64 position, gpointer data)
{
  Fixture *fixture = data;
  const char *attached = cm_write_attached (write, "letter");
  /* Published before it is told. */
  g_assert_cmpint (cm_committer_position (fixture->committer), >=, position);
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&fixture->mutex);
  if (attached != NULL)
    g_string_append_printf (fixture->order, "l%s:%" G_GINT64_FORMAT " ", attached, position);
  cm_write_foreach_topic (write, append_topic, fixture->order);
}

static void
test_listener (Fixture *fixture, gconstpointer data)
{
  cm_committer_listen (fixture->committer, on_listen, fixture);
  Gate gate = { .open = FALSE };
  close_gate (fixture, &gate);
  for (gint64 i = 1; i <= 3; i++) {
    CmWrite *write = write_item (i == 2 ? 1 : i);
    cm_write_attach (write, "letter", g_strdup_printf ("%c", (char) ('a' + i)), g_free);
    if (i == 3)
      cm_write_topic (write, CM_TOPIC_ROOM, "!room:x");
    submit (fixture, i, write, NULL);
  }
  open_gate (&gate);
  wait_for (fixture, 3);
  g_assert_cmpstr (fixture->order->str, ==, "lb:1 c1:1 c2:conflict ld:2 1=!room:x c3:2 ");
}

/* Everything queued while the committer is busy is one transaction. */
static void
test_group_commit (Fixture *fixture, gconstpointer data)
{
  Gate gate = { .open = FALSE };
  close_gate (fixture, &gate);
  for (gint64 i = 1; i <= 400; i++)
    submit (fixture, i, write_item (i), NULL);
  open_gate (&gate);
  wait_for (fixture, 400);
  g_assert_cmpint (query (fixture->pool, "SELECT count(DISTINCT xmin::text) FROM item"), ==, 1);
  g_assert_cmpint (query (fixture->pool, "SELECT count(*) FROM item WHERE position = id"), ==, 400);
}

static void
test_free_finishes (Fixture *fixture, gconstpointer data)
{
  for (gint64 i = 1; i <= 1200; i++)
    submit (fixture, i, write_item (i), NULL);
  g_clear_pointer (&fixture->committer, cm_committer_free);
  g_assert_cmpuint (fixture->called, ==, 1200);
  g_assert_cmpint (query (fixture->pool, "SELECT count(*) FROM item WHERE position = id"), ==,
                   1200);
}

/* Two nodes on one database: positions stay unique, whoever comes second builds on the first. */
static void
test_two_committers (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmCommitter) other = cm_committer_new (fixture->pool, &error);
  g_assert_no_error (error);
  g_assert_cmpint (cm_committer_commit (other, write_item (1), &error), ==, 1);
  g_assert_cmpint (cm_committer_commit (fixture->committer, write_item (2), &error), ==, 2);
  g_assert_cmpint (cm_committer_commit (fixture->committer, write_item (3), &error), ==, 3);
  g_assert_cmpint (cm_committer_commit (other, write_item (4), &error), ==, 4);
  g_assert_no_error (error);
  g_assert_cmpint (query (fixture->pool, "SELECT count(*) FROM item WHERE position = id"), ==, 4);
}

/* Writers under load, while the server is stopped or killed. */
typedef struct {
  Fixture *fixture;
  gint64 first;
  gint64 end;
  gint stop;
  GArray *acknowledged; /* ids */
} Writer;

static gpointer
write_many (gpointer data)
{
  Writer *writer = data;
  while (!g_atomic_int_get (&writer->stop)) {
    g_autoptr (GError) error = NULL;
    gint64 id = writer->end++;
    CmWrite *write = write_item (id);
    if (id % 3 == 0)
      cm_write_add_fenced (write, &update, CM_ARGS (CM_INT (id)));
    gint64 position = cm_committer_commit (writer->fixture->committer, write, &error);
    g_assert_no_error (error);
    g_assert_cmpint (position, >, 0);
    g_array_append_val (writer->acknowledged, id);
  }
  return NULL;
}

static void
check_writer (Writer *writer)
{
  Fixture *fixture = writer->fixture;
  g_autofree char *text = g_strdup_printf ("SELECT count(*) FROM item WHERE id >= %" G_GINT64_FORMAT
                                           " AND id < %" G_GINT64_FORMAT,
                                           writer->first, writer->end);
  g_assert_cmpint (writer->acknowledged->len, ==, writer->end - writer->first);
  g_assert_cmpint (query (fixture->pool, text), ==, writer->acknowledged->len);
  g_array_unref (writer->acknowledged);
}

static void
test_restart (Fixture *fixture, gconstpointer signal)
{
  Writer writers[8];
  GThread *threads[G_N_ELEMENTS (writers)];
  cm_committer_set_patience (fixture->committer, 100000); /* this machine may be slow */
  for (gsize i = 0; i < G_N_ELEMENTS (writers); i++) {
    gint64 first = 1000000 * (gint64) (i + 1);
    writers[i] = (Writer){ fixture, first, first, 0, g_array_new (FALSE, FALSE, sizeof (gint64)) };
    threads[i] = g_thread_new ("writer", write_many, &writers[i]);
  }
  for (int round = 0; round < 3; round++) {
    g_usleep (300 * G_TIME_SPAN_MILLISECOND);
    test_cluster_signal (cluster, GPOINTER_TO_INT (signal));
    g_usleep (900 * G_TIME_SPAN_MILLISECOND);
  }
  for (gsize i = 0; i < G_N_ELEMENTS (writers); i++)
    g_atomic_int_set (&writers[i].stop, 1);
  for (gsize i = 0; i < G_N_ELEMENTS (writers); i++)
    g_thread_join (threads[i]);

  gint64 all = 0;
  for (gsize i = 0; i < G_N_ELEMENTS (writers); i++) {
    all += writers[i].acknowledged->len;
    check_writer (&writers[i]);
  }
  g_test_message ("%" G_GINT64_FORMAT " writes over 3 restarts", all);
  g_assert_cmpint (query (fixture->pool, "SELECT count(*) FROM item"), ==, all);
  g_assert_cmpint (
      query (fixture->pool,
             "SELECT count(*) - count(DISTINCT position) FROM item WHERE position > 0"),
      ==, 0);
  g_assert_cmpint (cm_committer_position (fixture->committer), ==,
                   query (fixture->pool, "SELECT position FROM stream"));
}

/* The reader of the row sees the same with and without the lost answer: kill only the committer's
 * backend, over and over. */
static void
test_terminated_backend (Fixture *fixture, gconstpointer data)
{
  Writer writer = { fixture, 1, 1, 0, g_array_new (FALSE, FALSE, sizeof (gint64)) };
  GThread *thread = g_thread_new ("writer", write_many, &writer);
  for (int i = 0; i < 40; i++) {
    g_usleep (40 * G_TIME_SPAN_MILLISECOND);
    run (fixture->pool, "SELECT pg_terminate_backend (pid) FROM pg_stat_activity"
                        " WHERE datname = current_database () AND pid <> pg_backend_pid ()");
  }
  g_atomic_int_set (&writer.stop, 1);
  g_thread_join (thread);
  g_assert_cmpuint (writer.acknowledged->len, >, 40);
  check_writer (&writer);
}

/* The committer's connection is not of the pool, not even after the first was lost. */
static void
test_no_wait_for_pool (Fixture *fixture, gconstpointer data)
{
  static const CmSql terminate = {
    "terminate", "SELECT pg_terminate_backend (pid) FROM pg_stat_activity"
                 " WHERE datname = current_database () AND pid <> pg_backend_pid ()"
  };
  g_autoptr (GError) error = NULL;
  CmDb *lent[12];
  for (gsize i = 0; i < G_N_ELEMENTS (lent); i++)
    g_assert_nonnull (lent[i] = cm_pool_get (fixture->pool, &error));
  g_assert_true (cm_db_run (lent[0], &terminate, CM_NO_ARGS, NULL, &error));
  g_assert_cmpint (cm_committer_commit (fixture->committer, write_item (1), &error), ==, 1);
  g_assert_no_error (error);
  for (gsize i = 0; i < G_N_ELEMENTS (lent); i++)
    cm_db_release (lent[i]);
}

/* With the database away for good a write fails in time, and later ones find their way. */
static void
test_gives_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  cm_committer_set_patience (fixture->committer, 300);
  g_autoptr (CmDb) db = cm_pool_get (fixture->pool, &error);
  cm_db_script (db, "ALTER TABLE stream RENAME TO away", &error);
  g_assert_cmpint (cm_committer_commit (fixture->committer, write_item (1), &error), ==, -1);
  g_assert_error (error, CM_ERROR, CM_ERROR_UNAVAILABLE);
  g_clear_error (&error);
  cm_db_script (db, "ALTER TABLE away RENAME TO stream", &error);
  cm_committer_set_patience (fixture->committer, 30000);
  g_assert_cmpint (cm_committer_commit (fixture->committer, write_item (2), &error), ==, 1);
  g_assert_no_error (error);
  g_assert_cmpint (query (fixture->pool, "SELECT count(*) FROM item"), ==, 1);
}

static gpointer
write_rows (gpointer data)
{
  Fixture *fixture = data;
  char row[1024];
  memset (row, 'x', sizeof row);
  for (int i = 0; i < 1000; i++) {
    g_autoptr (GError) error = NULL;
    CmWrite *write = cm_write_new ();
    cm_write_take_positions (write, 1);
    cm_write_add (write, &insert_row, CM_ARGS (CM_DATA (row, sizeof row)));
    cm_committer_commit (fixture->committer, write, &error);
    g_assert_no_error (error);
  }
  return NULL;
}

/* With -m perf: commits of 1 KiB rows with 64 threads waiting for theirs. */
static void
test_throughput (Fixture *fixture, gconstpointer data)
{
  GThread *threads[64];
  g_test_timer_start ();
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("writer", write_rows, fixture);
  for (gsize i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  double rate = 1000.0 * G_N_ELEMENTS (threads) / g_test_timer_elapsed ();
  g_test_maximized_result (rate, "%.0f commits a second", rate);
}

static const struct {
  const char *path;
  void (*test) (Fixture *fixture, gconstpointer data);
  gconstpointer data;
} tests[] = {
  { "/committer/single", test_single, NULL },
  { "/committer/no-positions", test_no_positions, NULL },
  { "/committer/reopen", test_reopen, NULL },
  { "/committer/one-bad-write", test_one_bad_write, NULL },
  { "/committer/refused-commit", test_refused_commit, NULL },
  { "/committer/CVE-2025-1094/bad-parameter", test_bad_parameter, NULL },
  { "/committer/fence", test_fence, NULL },
  { "/committer/guard", test_guard, NULL },
  { "/committer/listener", test_listener, NULL },
  { "/committer/group-commit", test_group_commit, NULL },
  { "/committer/free-finishes", test_free_finishes, NULL },
  { "/committer/two-committers", test_two_committers, NULL },
  { "/committer/terminated-backend", test_terminated_backend, NULL },
  { "/committer/no-wait-for-pool", test_no_wait_for_pool, NULL },
  { "/committer/gives-up", test_gives_up, NULL },
  { "/committer/restart", test_restart, GINT_TO_POINTER (SIGINT) },
  { "/committer/crash", test_restart, GINT_TO_POINTER (SIGKILL) },
};

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
  for (gsize i = 0; i < G_N_ELEMENTS (tests); i++)
    g_test_add (tests[i].path, Fixture, tests[i].data, set_up, tests[i].test, tear_down);
  if (g_test_perf ())
    g_test_add ("/committer/throughput", Fixture, NULL, set_up, test_throughput, tear_down);
  int status = g_test_run ();
  test_cluster_free (cluster);
  return status;
}
