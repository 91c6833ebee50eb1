/* This server's keys, and those of others that it vouches for (server-server, "Retrieving server
 * keys"). */
#include "crypto/id.h"
#include "federation/key-ring.h"
#include "server/routes.h"
#include "server/node.h"

#define MAX_SERVERS 100
/* For so long other servers are asked on behalf of one request, then it gets what there is. */
#define ASKING_US (20 * G_TIME_SPAN_SECOND)

/* GET /_matrix/key/v2/server */
static CmReply *
own_keys (CmCall *call, GError **error)
{
  g_autoptr (CmJsonDoc) document = cm_key_ring_own_document (cm_call_node (call)->key_ring, error);

  if (document == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_put_node (writer, NULL, cm_json_doc_root (document));
  return cm_reply_json (writer);
}

/* What is known of a server, and nothing of one that cannot be had: the others are answered. */
static void
put_document (CmJsonWriter *writer, CmNode *node, const char *server, const char *key_id,
              gint64 valid_until, gint64 deadline_us)
{
  gboolean may_ask = g_get_monotonic_time () < deadline_us;
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmJsonDoc) document =
      cm_id_is_server_name (server)
          ? cm_key_ring_document (node->key_ring, server, key_id, valid_until, may_ask, &failure)
          : NULL;

  if (failure != NULL)
    g_debug ("No keys of %s: %s", server, failure->message);
  if (document != NULL)
    cm_json_put_node (writer, NULL, cm_json_doc_root (document));
}

/* GET /_matrix/key/v2/query/{serverName} */
static CmReply *
query_one (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gint64 valid_until;

  if (!cm_call_query_integer (call, "minimum_valid_until_ts", 0, 0, G_MAXINT64, &valid_until,
                              error))
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "server_keys");
  put_document (writer, cm_call_node (call), cm_call_param (call, "serverName"), NULL, valid_until,
                G_MAXINT64);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static void
put_wanted (CmJsonWriter *writer, CmNode *node, const char *server, const CmJson *wanted,
            gint64 deadline_us)
{
  const char *key_id;
  const CmJson *criteria;
  CmJsonIter iter;

  if (cm_json_length (wanted) == 0)
    put_document (writer, node, server, NULL, 0, deadline_us);
  cm_json_iter_init (&iter, wanted);
  for (guint i = 0; i < 4 && cm_json_iter_next (&iter, &key_id, &criteria); i++)
    put_document (writer, node, server, key_id,
                  cm_json_get_integer (criteria, "minimum_valid_until_ts", 0), deadline_us);
}

/* POST /_matrix/key/v2/query */
static CmReply *
query_many (CmCall *call, GError **error)
{
  const CmJson *servers = cm_json_get_object (cm_call_json (call), "server_keys");
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gint64 deadline_us = g_get_monotonic_time () + ASKING_US;
  const CmJson *wanted;
  CmJsonIter iter;

  if (servers == NULL || cm_json_length (servers) > MAX_SERVERS) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON,
                         "server_keys must be an object of at most 100 servers");
    return NULL;
  }
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "server_keys");
  cm_json_iter_init (&iter, servers);
  while (cm_json_iter_next (&iter, NULL, &wanted))
    put_wanted (writer, cm_call_node (call), cm_json_text (iter.key), wanted, deadline_us);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_federation_keys[] = {
  { "GET", "/_matrix/key/v2/server", CM_AUTH_NONE, CM_LIMIT_FEDERATION, CM_LANE_FEDERATION,
    CM_BODY_NONE, own_keys },
  { "GET", "/_matrix/key/v2/server/{keyId}", CM_AUTH_NONE, CM_LIMIT_FEDERATION, CM_LANE_FEDERATION,
    CM_BODY_NONE, own_keys },
  { "GET", "/_matrix/key/v2/query/{serverName}", CM_AUTH_NONE, CM_LIMIT_HEAVY, CM_LANE_STRANGERS,
    CM_BODY_NONE, query_one },
  { "GET", "/_matrix/key/v2/query/{serverName}/{keyId}", CM_AUTH_NONE, CM_LIMIT_HEAVY,
    CM_LANE_STRANGERS, CM_BODY_NONE, query_one },
  { "POST", "/_matrix/key/v2/query", CM_AUTH_NONE, CM_LIMIT_HEAVY, CM_LANE_STRANGERS, CM_BODY_JSON,
    query_many },
  CM_ROUTES_END,
};
