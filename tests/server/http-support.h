/* A whole edge (server, router, lanes) on a port of its own, and a client of bare sockets which can
 * misbehave as it likes. */
#pragma once

#include "server/http/http-server.h"
#include "server/node.h"
#include "server/router/lanes.h"
#include "server/router/limits.h"
#include "server/router/router.h"

typedef struct {
  CmNode node;
  guint16 port;
} TestEdge;

/* @rates: (nullable): limits are off. */
TestEdge *test_edge_new (guint loops, const CmRoute *routes, const CmRate *rates);
void test_edge_free (TestEdge *edge);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestEdge, test_edge_free)

typedef struct {
  guint status;
  char *head; /* with its lines' ends */
  char *body;
  gsize length;
} TestAnswer;

void test_answer_free (TestAnswer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestAnswer, test_answer_free)

int test_connect (guint16 port);
/* The client is 127.0.0.@host. */
int test_connect_from (guint host, guint16 port);
/* FALSE when the other side does not take it all. */
gboolean test_send (int fd, const char *text, gsize length);
gboolean test_print (int fd, const char *format, ...) G_GNUC_PRINTF (2, 3);
/* NULL when there is none within five seconds. Reads no further than this answer. */
TestAnswer *test_read (int fd, gboolean without_body);
/* A request on a connection of its own. */
TestAnswer *test_ask (guint16 port, const char *method, const char *target, const char *body);
/* Whether the other side ends the connection in time; discards what it still sends. */
gboolean test_is_closed (int fd, guint timeout_ms);
/* Polls for @flag. */
gboolean test_wait_for (gint *flag, gint value, guint timeout_ms);
