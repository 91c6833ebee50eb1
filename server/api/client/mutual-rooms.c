/* The rooms that one shares with somebody (client-server, "Mutual Rooms"). */
#include "crypto/id.h"
#include "schema/ids.h"
#include "schema/membership.h"
#include "server/node.h"
#include "server/routes.h"

#include <string.h>

/* "400: the from token was invalid": all rooms are in one answer, so none was ever given out. */
static gboolean
check_query (CmCall *call, const char *user_id, GError **error)
{
  if (cm_call_query (call, "from") != NULL)
    return cm_fail (error, CM_ERROR_INVALID_PARAM, "This is no token of this server");
  if (user_id == NULL || !cm_id_is_user (user_id))
    return cm_fail (error, CM_ERROR_INVALID_PARAM, "user_id is no user id");
  if (strcmp (user_id, cm_call_user (call)) == 0)
    return cm_fail (error, CM_ERROR_INVALID_PARAM, "This is your own user id");
  return TRUE;
}

static CmReply *
reply (char **rooms)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "joined");
  for (gsize i = 0; rooms != NULL && rooms[i] != NULL; i++)
    cm_json_put_text (writer, NULL, rooms[i]);
  cm_json_close (writer);
  cm_json_put_integer (writer, "count", rooms != NULL ? g_strv_length (rooms) : 0);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /_matrix/client/v1/mutual_rooms */
static CmReply *
mutual_rooms (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *user_id = cm_call_query (call, "user_id");
  g_autoptr (GError) failure = NULL;

  if (!check_query (call, user_id, error))
    return NULL;
  gint64 other = cm_sym_lookup (node->ids, user_id, &failure);
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (other == 0)
    return reply (NULL);
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_auto (GStrv) rooms =
      db != NULL ? cm_membership_mutual_rooms (db, cm_call_requester (call)->user, other, error)
                 : NULL;
  return rooms != NULL ? reply (rooms) : NULL;
}

const CmRoute cm_routes_mutual_rooms[] = {
  { "GET", "/_matrix/client/v1/mutual_rooms", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_NONE, mutual_rooms },
  CM_ROUTES_END,
};
