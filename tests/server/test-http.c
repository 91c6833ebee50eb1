#include "http-support.h"

#include <string.h>
#include <unistd.h>

static CmReply *
handle_hello (CmCall *call, GError **error)
{
  return cm_reply_empty ();
}

static const CmRoute routes[] = {
  { "GET", "/_matrix/client/v3/edge", CM_AUTH_NONE, CM_LIMIT_NONE, CM_LANE_EDGE, CM_BODY_NONE,
    handle_hello, 0 },
  { "GET", "/_matrix/client/v3/lane", CM_AUTH_NONE, CM_LIMIT_NONE, CM_LANE_CLIENT, CM_BODY_NONE,
    handle_hello, 0 },
  CM_ROUTES_END,
};

static void
test_hello (void)
{
  g_autoptr (TestEdge) edge = test_edge_new (2, routes, NULL);
  g_autoptr (TestAnswer) quick = test_ask (edge->port, "GET", "/_matrix/client/v3/edge", NULL);
  g_assert_nonnull (quick);
  g_test_message ("%s", quick->head);
  g_assert_cmpuint (quick->status, ==, 200);
  g_assert_cmpstr (quick->body, ==, "{}");
  g_autoptr (TestAnswer) lane = test_ask (edge->port, "GET", "/_matrix/client/v3/lane", NULL);
  g_assert_nonnull (lane);
  g_assert_cmpstr (lane->body, ==, "{}");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/http/hello", test_hello);
  if (g_getenv ("BENCH")) {
    TestEdge *edge = test_edge_new (atoi (g_getenv ("BENCH")), routes, NULL);
    g_print ("port %u\n", edge->port);
    pause ();
  }
  return g_test_run ();
}
