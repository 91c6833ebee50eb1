#include "schema/news.h"

#include "schema/db-private.h"

#include <glib-unix.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RETRY_MS 1000

static const CmSql sql_tell = { "news_tell", "SELECT pg_notify ($1, $2)" };

struct _CmNews {
  char *dsn;
  char *channel;
  CmNewsFunc func;
  gpointer data;
  int stop; /* an eventfd: readable once it is time to end */
  GThread *thread;
};

/* Waits for @fd (-1: nothing) or the end; FALSE when it is time to end. */
static gboolean
wait_for (CmNews *news, int fd, int milliseconds)
{
  struct pollfd fds[] = { { .fd = news->stop, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
  while (poll (fds, G_N_ELEMENTS (fds), milliseconds) < 0 && errno == EINTR)
    continue;
  return (fds[0].revents & POLLIN) == 0;
}

/* (transfer full) NULL when the database cannot be reached. */
static PGconn *
connect_and_listen (CmNews *news)
{
  PGconn *conn = PQconnectdb (news->dsn);
  g_autofree char *command = g_strdup_printf ("LISTEN %s", news->channel);
  PGresult *result = PQstatus (conn) == CONNECTION_OK ? PQexec (conn, command) : NULL;
  gboolean listening = result && PQresultStatus (result) == PGRES_COMMAND_OK;
  PQclear (result);
  if (listening)
    return conn;
  PQfinish (conn);
  return NULL;
}

/* Until the connection breaks (TRUE) or it is time to end (FALSE). */
static gboolean
listen_on (CmNews *news, PGconn *conn)
{
  while (wait_for (news, PQsocket (conn), -1)) {
    if (!PQconsumeInput (conn))
      return TRUE;
    for (PGnotify *told; (told = PQnotifies (conn)); PQfreemem (told))
      news->func (told->extra, news->data);
  }
  return FALSE;
}

static gpointer
run (gpointer data)
{
  CmNews *news = data;
  gboolean again = TRUE;
  gboolean missed = FALSE;
  while (again) {
    PGconn *conn = connect_and_listen (news);
    if (!conn) {
      again = wait_for (news, -1, RETRY_MS);
      missed = TRUE;
      continue;
    }
    if (missed)
      news->func (NULL, news->data);
    again = listen_on (news, conn);
    missed = TRUE;
    PQfinish (conn);
  }
  return NULL;
}

CmNews *
cm_news_new (CmPool *pool, const char *channel, CmNewsFunc func, gpointer data)
{
  CmNews *news = g_new0 (CmNews, 1);
  news->dsn = g_strdup (cm_pool_dsn (pool));
  news->channel = g_strdup (channel);
  news->func = func;
  news->data = data;
  news->stop = eventfd (0, EFD_CLOEXEC);
  if (news->stop < 0)
    g_error ("No descriptor left for an eventfd");
  news->thread = g_thread_new ("news", run, news);
  return news;
}

void
cm_news_free (CmNews *news)
{
  if (!news)
    return;
  eventfd_write (news->stop, 1);
  g_thread_join (news->thread);
  close (news->stop);
  g_free (news->dsn);
  g_free (news->channel);
  g_free (news);
}

gboolean
cm_news_tell (CmDb *db, const char *channel, const char *text, GError **error)
{
  return cm_db_run (db, &sql_tell, CM_ARGS (CM_TEXT (channel), CM_TEXT (text)), NULL, error);
}
