/* What a request costs before any work is done: an edge with two trivial routes, one answered on
 * the loop and one on a lane. Run it and point a load generator at what it prints; the processor
 * time per request is in /proc/PID/stat. */
#include "server/http/http-server.h"
#include "server/node.h"
#include "server/router/lanes.h"
#include "server/router/router.h"

#include <stdlib.h>
#include <unistd.h>

static CmReply *
handle_hello (CmCall *call, GError **error)
{
  return cm_reply_empty ();
}

static const CmRoute routes[] = {
  { "GET", "/_matrix/client/v3/edge", CM_AUTH_NONE, 0, CM_LANE_EDGE, CM_BODY_NONE, handle_hello,
    0 },
  { "GET", "/_matrix/client/v3/lane", CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_NONE, handle_hello,
    0 },
  CM_ROUTES_END,
};

int
main (int argc, char **argv)
{
  static const guint threads[CM_LANE_LAST] = { 0, 2, 1, 1, 1 };
  static const CmAuthenticators nobody = { NULL, NULL };
  static const CmRoute *const tables[] = { routes };
  static const CmListener listener = { .name = "bench",
                                       .address = "127.0.0.1",
                                       .serve = CM_SERVE_CLIENT };
  guint loops = argc > 1 ? (guint) atoi (argv[1]) : g_get_num_processors ();
  g_autoptr (GError) error = NULL;
  CmNode node = { 0 };

  node.lanes = cm_lanes_new (threads);
  node.router = cm_router_new (&node, &nobody, tables, 1);
  node.http = cm_http_server_new (&node, loops, cm_router_head, cm_router_call, node.router);
  if (!cm_http_server_listen (node.http, &listener, &error))
    g_error ("%s", error->message);
  for (guint i = 0; routes[i].path != NULL; i++)
    g_print ("http://127.0.0.1:%u%s\n", cm_http_server_port (node.http, "bench"), routes[i].path);
  pause ();
  return 0;
}
