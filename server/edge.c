#include "server/edge.h"

#include "server/accounts/accounts.h"
#include "server/config/config.h"
#include "server/federation-auth.h"
#include "server/federation.h"
#include "server/http/http-server.h"
#include "server/rooms/follow-up.h"
#include "server/router/lanes.h"
#include "server/router/limits.h"
#include "server/router/router.h"
#include "server/routes.h"

/* What is left of the five seconds of a stop after this is for the database. */
#define HTTP_STOP_MS 2000

/* Threads wait for the database more than they compute, so there are more of them than cores. */
gboolean
cm_edge_start_lanes (CmNode *node, GError **error)
{
  guint cores = g_get_num_processors ();
  const guint threads[CM_LANE_LAST] = {
    [CM_LANE_CLIENT] = 4 + 2 * cores, [CM_LANE_FEDERATION] = 6 + cores,
    [CM_LANE_INBOX] = 6 + cores,      [CM_LANE_BACKGROUND] = 2,
    [CM_LANE_BLOCKING] = 4 + cores,   [CM_LANE_REMOTE] = 12 + cores,
    [CM_LANE_STRANGERS] = 12,
  };
  node->lanes = cm_lanes_new (threads);
  cm_follow_ups_set_lanes (node->follow_ups, node->lanes);
  return TRUE;
}

void
cm_edge_stop_lanes (CmNode *node)
{
  if (node->follow_ups != NULL)
    cm_follow_ups_set_lanes (node->follow_ups, NULL);
  if (cm_lanes_free (node->lanes))
    node->lanes = NULL;
  else
    node->abandoned = TRUE;
}

gboolean
cm_edge_start_limits (CmNode *node, GError **error)
{
  node->limits = cm_limits_new (node->config->limits.enabled, node->config->limits.rates);
  return TRUE;
}

void
cm_edge_stop_limits (CmNode *node)
{
  g_clear_pointer (&node->limits, cm_limits_free);
}

gboolean
cm_edge_start_router (CmNode *node, GError **error)
{
  static const CmAuthenticators authenticators = { cm_accounts_authenticate,
                                                   cm_federation_authenticate,
                                                   cm_federation_is_known, cm_federation_meet };
  node->router = cm_router_new (node, &authenticators, cm_route_tables, cm_n_route_tables);
  return TRUE;
}

void
cm_edge_stop_router (CmNode *node)
{
  g_clear_pointer (&node->router, cm_router_free);
}

gboolean
cm_edge_start_http (CmNode *node, GError **error)
{
  node->http = cm_http_server_new (node, g_get_num_processors (), cm_router_head, cm_router_call,
                                   node->router);
  cm_http_server_trust (node->http, node->config->node.trusted_proxies);
  return TRUE;
}

void
cm_edge_stop_http (CmNode *node)
{
  g_clear_pointer (&node->http, cm_http_server_free);
}

gboolean
cm_edge_open (CmNode *node, GError **error)
{
  for (gsize i = 0; i < node->config->n_listeners; i++) {
    const CmListener *listener = &node->config->listeners[i];
    if (!cm_http_server_listen (node->http, listener, error))
      return FALSE;
    g_message ("Listening on %s port %u (%s)", listener->address, listener->port,
               listener->tls_key ? "TLS" : "plain");
  }
  return TRUE;
}

void
cm_edge_close (CmNode *node)
{
  cm_federation_stop_calls (node);
  if (node->http)
    cm_http_server_stop (node->http, HTTP_STOP_MS);
}
