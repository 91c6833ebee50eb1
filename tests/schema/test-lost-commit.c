/* A COMMIT whose answer, or which itself, is lost with the connection: a proxy before the socket of
 * PostgreSQL cuts it there. */
#include "schema/committer.h"
#include "tests/support/test-cluster.h"

#include <gio/gio.h>
#include <gio/gunixsocketaddress.h>
#include <libpq-fe.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static TestCluster *cluster;

typedef struct {
  char *dir; /* of its own socket */
  char *server;
  char *dsn;
  GSocketService *service;
  GMainContext *context;
  GMainLoop *loop;
  GThread *thread;
  gint lose_answers;  /* how many COMMITs are done and not answered */
  gint lose_requests; /* how many do not reach the server */
  gint lost;
  gint refuse; /* no new connections for now */
  gint open;   /* connections that a thread serves, or will */
} Proxy;

static gboolean
contains (const char *data, gsize length, const char *word)
{
  return memmem (data, length, word, strlen (word) + 1) != NULL;
}

static gboolean
is_to_be_lost (Proxy *proxy, gint *left, const char *data, gsize length, const char *word)
{
  if (g_atomic_int_get (left) == 0 || !contains (data, length, word))
    return FALSE;
  g_atomic_int_add (left, -1);
  g_atomic_int_inc (&proxy->lost);
  return TRUE;
}

/* Moves what @from has to @to; FALSE at the end, or where the line is cut. */
static gboolean
move_some (Proxy *proxy, int from, int to, gint *left, const char *word)
{
  char data[65536];
  gssize length = read (from, data, sizeof data);
  if (length <= 0 || is_to_be_lost (proxy, left, data, length, word))
    return FALSE;
  for (gssize done = 0; done < length;) {
    gssize n = write (to, data + done, length - done);
    if (n <= 0)
      return FALSE;
    done += n;
  }
  return TRUE;
}

static void
carry (Proxy *proxy, GSocketConnection *client)
{
  g_autoptr (GSocketClient) connector = g_socket_client_new ();
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (proxy->server);
  if (g_atomic_int_get (&proxy->refuse))
    return;
  g_autoptr (GSocketConnection) server =
      g_socket_client_connect (connector, G_SOCKET_CONNECTABLE (address), NULL, NULL);
  if (server == NULL)
    return;
  struct pollfd fds[] = {
    { .fd = g_socket_get_fd (g_socket_connection_get_socket (client)), .events = POLLIN },
    { .fd = g_socket_get_fd (g_socket_connection_get_socket (server)), .events = POLLIN },
  };
  g_socket_set_blocking (g_socket_connection_get_socket (client), TRUE);
  for (gboolean going = TRUE; going && poll (fds, 2, -1) > 0;) {
    /* The statement is prepared under its own name, and its tag is the word in capitals. */
    if (fds[0].revents != 0)
      going = move_some (proxy, fds[0].fd, fds[1].fd, &proxy->lose_requests, "commit");
    if (going && fds[1].revents != 0)
      going = move_some (proxy, fds[1].fd, fds[0].fd, &proxy->lose_answers, "COMMIT");
  }
}

/* Comes before the service hands the connection to a thread. */
static gboolean
count (GThreadedSocketService *service, GSocketConnection *client, GObject *source, gpointer data)
{
  g_atomic_int_inc (&((Proxy *) data)->open);
  return FALSE;
}

static gboolean
serve (GThreadedSocketService *service, GSocketConnection *client, GObject *source, gpointer data)
{
  Proxy *proxy = data;
  carry (proxy, client);
  g_atomic_int_add (&proxy->open, -1);
  return TRUE;
}

static gpointer
run_loop (gpointer data)
{
  Proxy *proxy = data;
  g_main_context_push_thread_default (proxy->context);
  g_main_loop_run (proxy->loop);
  g_main_context_pop_thread_default (proxy->context);
  return NULL;
}

static char *
option_of (const char *dsn, const char *keyword)
{
  PQconninfoOption *options = PQconninfoParse (dsn, NULL);
  char *value = NULL;
  for (PQconninfoOption *option = options; option->keyword != NULL; option++) {
    if (strcmp (option->keyword, keyword) == 0)
      value = g_strdup (option->val);
  }
  PQconninfoFree (options);
  return value;
}

static void
start_proxy (Proxy *proxy, const char *dsn)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *host = option_of (dsn, "host");
  g_autofree char *database = option_of (dsn, "dbname");
  proxy->dir = test_make_dir ();
  proxy->server = g_build_filename (host, ".s.PGSQL.5432", NULL);
  proxy->dsn = g_strdup_printf ("host=%s port=5432 user=comity dbname=%s", proxy->dir, database);
  proxy->context = g_main_context_new ();
  proxy->loop = g_main_loop_new (proxy->context, FALSE);
  g_main_context_push_thread_default (proxy->context);
  proxy->service = g_threaded_socket_service_new (8);
  g_autofree char *path = g_build_filename (proxy->dir, ".s.PGSQL.5432", NULL);
  g_autoptr (GSocketAddress) address = g_unix_socket_address_new (path);
  g_socket_listener_add_address (G_SOCKET_LISTENER (proxy->service), address, G_SOCKET_TYPE_STREAM,
                                 G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, &error);
  g_assert_no_error (error);
  g_signal_connect (proxy->service, "incoming", G_CALLBACK (count), proxy);
  g_signal_connect (proxy->service, "run", G_CALLBACK (serve), proxy);
  g_main_context_pop_thread_default (proxy->context);
  proxy->thread = g_thread_new ("proxy", run_loop, proxy);
}

/* Comes after the pools are gone, so that no thread has anything left to carry. */
static void
stop_proxy (Proxy *proxy)
{
  g_socket_service_stop (proxy->service);
  g_main_loop_quit (proxy->loop);
  g_thread_join (proxy->thread);
  while (g_atomic_int_get (&proxy->open) > 0)
    g_usleep (1000);
  g_object_unref (proxy->service);
  g_main_loop_unref (proxy->loop);
  g_main_context_unref (proxy->context);
  g_free (proxy->dir);
  g_free (proxy->server);
  g_free (proxy->dsn);
}

typedef struct {
  Proxy proxy;
  CmPool *pool;  /* through the proxy */
  CmPool *plain; /* past it */
  CmCommitter *committer;
} Fixture;

static const CmSql insert = { "insert", "INSERT INTO item (id, position) VALUES ($1, $2)" };
static const CmSql touch = { "touch", "UPDATE item SET id = id WHERE id = $1" };

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *dsn = test_cluster_database (cluster, TRUE);
  start_proxy (&fixture->proxy, dsn);
  fixture->plain = cm_pool_new (dsn, 4, &error);
  fixture->pool = cm_pool_new (fixture->proxy.dsn, 2, &error);
  g_assert_no_error (error);
  g_autoptr (CmDb) db = cm_pool_get (fixture->plain, &error);
  cm_db_script (db, "CREATE TABLE item (id bigint, position bigint)", &error);
  g_assert_no_error (error);
  fixture->committer = cm_committer_new (fixture->pool, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  cm_committer_free (fixture->committer);
  cm_pool_free (fixture->pool);
  cm_pool_free (fixture->plain);
  stop_proxy (&fixture->proxy);
}

static CmWrite *
write_item (gint64 id, gboolean fenced)
{
  CmWrite *write = cm_write_new ();
  cm_write_take_positions (write, 1);
  cm_write_add (write, &insert, CM_ARGS (CM_INT (id), CM_POSITION (0)));
  if (fenced)
    cm_write_add_fenced (write, &touch, CM_ARGS (CM_INT (id)));
  return write;
}

static gint64
query (Fixture *fixture, const char *text)
{
  const CmSql sql = { text, text };
  g_autoptr (CmDb) db = cm_pool_get (fixture->plain, NULL);
  g_autoptr (CmRows) rows = cm_db_query (db, &sql, CM_NO_ARGS, NULL);
  g_assert_nonnull (rows);
  return cm_rows_integer (rows, 0, 0);
}

/* Acknowledged, once, at its position, whatever was lost on the way. */
static void
commit_with_losses (Fixture *fixture, gint *left, gint losses)
{
  for (gint64 id = 1; id <= 4; id++) {
    g_autoptr (GError) error = NULL;
    g_atomic_int_set (&fixture->proxy.lost, 0);
    g_atomic_int_set (left, losses);
    gint64 position =
        cm_committer_commit (fixture->committer, write_item (id, id % 2 == 0), &error);
    g_assert_no_error (error);
    g_assert_cmpint (position, ==, id);
    g_assert_cmpint (g_atomic_int_get (&fixture->proxy.lost), >=, 1);
    g_atomic_int_set (left, 0);
    g_assert_cmpint (query (fixture, "SELECT count(*) FROM item WHERE position = id"), ==, id);
    g_assert_cmpint (query (fixture, "SELECT count(*) FROM item"), ==, id);
  }
}

static void
test_answer (Fixture *fixture, gconstpointer data)
{
  commit_with_losses (fixture, &fixture->proxy.lose_answers, 1);
}

static void
test_request (Fixture *fixture, gconstpointer data)
{
  commit_with_losses (fixture, &fixture->proxy.lose_requests, 1);
}

static void
test_requests (Fixture *fixture, gconstpointer data)
{
  commit_with_losses (fixture, &fixture->proxy.lose_requests, 3);
}

static void
note_code (const CmWrite *write, gint64 position, const GError *error, gpointer data)
{
  g_atomic_int_set ((gint *) data, error != NULL ? error->code : -1);
}

/* Another node moves the row before the lost one can look: whether its batch is in cannot be told,
 * and so it is not told. */
static void
test_unknown (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  gint code = G_MAXINT;
  g_atomic_int_set (&fixture->proxy.lose_answers, 1);
  g_atomic_int_set (&fixture->proxy.refuse, 1);
  cm_committer_submit (fixture->committer, write_item (1, FALSE), NULL, note_code, &code);
  while (g_atomic_int_get (&fixture->proxy.lost) == 0)
    g_usleep (1000);
  g_autoptr (CmCommitter) other = cm_committer_new (fixture->plain, &error);
  g_assert_cmpint (cm_committer_commit (other, write_item (2, FALSE), &error), ==, 2);
  g_atomic_int_set (&fixture->proxy.refuse, 0);
  while (g_atomic_int_get (&code) == G_MAXINT)
    g_usleep (1000);
  g_assert_cmpint (code, ==, CM_ERROR_UNAVAILABLE);
  g_assert_cmpint (cm_committer_commit (fixture->committer, write_item (3, FALSE), &error), ==, 3);
  g_assert_no_error (error);
  g_assert_cmpint (query (fixture, "SELECT count(*) FROM item WHERE position = id"), ==, 3);
}

int
main (int argc, char **argv)
{
  test_cluster_init (&argc, &argv);
  cluster = test_cluster_new ();
  g_test_add ("/lost-commit/answer", Fixture, NULL, set_up, test_answer, tear_down);
  g_test_add ("/lost-commit/request", Fixture, NULL, set_up, test_request, tear_down);
  g_test_add ("/lost-commit/requests", Fixture, NULL, set_up, test_requests, tear_down);
  g_test_add ("/lost-commit/unknown", Fixture, NULL, set_up, test_unknown, tear_down);
  int status = g_test_run ();
  test_cluster_free (cluster);
  return status;
}
