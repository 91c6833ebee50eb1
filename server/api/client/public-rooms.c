/* The directory of public rooms, this server's and others'. */
#include "crypto/id.h"
#include "federation/fed-client.h"
#include "server/node.h"
#include "server/rooms/public-rooms.h"
#include "server/routes.h"

#include <string.h>

static CmReply *
reply_here (CmCall *call, const CmPublicRoomsQuery *query, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  if (!cm_public_rooms_put (cm_call_node (call), query, writer, error))
    return NULL;
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* Another server's answer is handed on, but for what a client might stumble over. */
static CmReply *
reply_with (const CmJson *answer)
{
  static const char *const texts[] = { "next_batch", "prev_batch" };
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gint64 estimate = cm_json_get_integer (answer, "total_room_count_estimate", -1);
  const CmJson *item;
  CmJsonIter iter;

  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "chunk");
  cm_json_iter_init (&iter, cm_json_get_array (answer, "chunk"));
  while (cm_json_iter_next (&iter, NULL, &item))
    if (cm_id_is_room (cm_json_get_text (item, "room_id")))
      cm_json_put_node (writer, NULL, item);
  cm_json_close (writer);
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    cm_json_put_text (writer, texts[i], cm_json_get_text (answer, texts[i]));
  if (estimate >= 0)
    cm_json_put_integer (writer, "total_room_count_estimate", estimate);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static CmReply *
ask (CmCall *call, const char *server, const CmFedRequest *request, GError **error)
{
  CmNode *node = cm_call_node (call);

  if (!cm_id_is_server_name (server)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "server is no server name");
    return NULL;
  }
  if (cm_call_user (call) == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_MISSING_TOKEN, "Sign in to ask other servers");
    return NULL;
  }
  if (node->fed_client == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "This server does not federate");
    return NULL;
  }
  g_autoptr (CmJsonDoc) answer = cm_fed_call (node->fed_client, server, request, NULL, error);
  return answer != NULL ? reply_with (cm_json_doc_root (answer)) : NULL;
}

/* NULL when the directory of this server is meant. */
static const char *
other_server (CmCall *call)
{
  const char *server = cm_call_query (call, "server");

  return server != NULL && strcmp (server, cm_call_node (call)->server_name) != 0 ? server : NULL;
}

/* GET /publicRooms */
static CmReply *
get_public_rooms (CmCall *call, GError **error)
{
  const char *server = other_server (call);
  const char *since = cm_call_query (call, "since");
  const char *limit = cm_call_query (call, "limit");
  CmPublicRoomsQuery query;

  if (server == NULL)
    return cm_public_rooms_query_set (&query, limit, since, error)
               ? reply_here (call, &query, error)
               : NULL;
  if (!cm_public_rooms_query_set (&query, limit, NULL, error))
    return NULL;
  g_autofree char *size = g_strdup_printf ("%" G_GSIZE_FORMAT, query.limit);
  g_autofree char *target =
      since != NULL
          ? cm_fed_path ("/_matrix/federation/v1/publicRooms?limit=%s&since=%s", size, since)
          : cm_fed_path ("/_matrix/federation/v1/publicRooms?limit=%s", size);
  CmFedRequest request = { .method = "GET", .target = target };
  return ask (call, server, &request, error);
}

/* POST /publicRooms */
static CmReply *
search_public_rooms (CmCall *call, GError **error)
{
  const char *server = other_server (call);
  CmFedRequest request = { .method = "POST",
                           .target = "/_matrix/federation/v1/publicRooms",
                           .content = cm_call_json (call) };
  CmPublicRoomsQuery query;

  if (server != NULL)
    return ask (call, server, &request, error);
  return cm_public_rooms_query_read (cm_call_json (call), &query, error)
             ? reply_here (call, &query, error)
             : NULL;
}

#define PATH "/_matrix/client/v3/publicRooms"

const CmRoute cm_routes_public_rooms[] = {
  { "GET", PATH, CM_AUTH_TOKEN_OPTIONAL, CM_LIMIT_HEAVY, CM_LANE_REMOTE, CM_BODY_NONE,
    get_public_rooms, 0 },
  { "POST", PATH, CM_AUTH_TOKEN, CM_LIMIT_HEAVY, CM_LANE_REMOTE, CM_BODY_JSON_OPTIONAL,
    search_public_rooms, 0 },
  CM_ROUTES_END,
};
