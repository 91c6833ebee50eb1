/* Who a user of this server is, where an alias of its points, and what a room is that it knows
 * (server-server, "Querying for information", "OpenID", "Published Room Directory", "Spaces"). */
#include "crypto/id.h"
#include "server/accounts/openid.h"
#include "server/accounts/profile.h"
#include "server/api/federation/room.h"
#include "server/config/config.h"
#include "server/rooms/alias.h"
#include "server/rooms/public-rooms.h"
#include "server/rooms/space.h"
#include "server/rooms/summary.h"
#include "server/routes.h"

#include <string.h>

#define MAX_CHILDREN 50

/* What a profile is asked for; NULL with CM_ERROR_NOT_FOUND for users that are not this server's
 * own, whatever it may know of them (CVE-2023-43796). */
static CmJsonDoc *
find_profile (CmNode *node, const char *user_id, GError **error)
{
  if (!cm_id_is_user (user_id)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "user_id is no user id");
    return NULL;
  }
  if (cm_id_domain_is (user_id, node->server_name))
    return cm_profile_get (node, user_id, error);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "That is no user of this server");
  return NULL;
}

/* GET /_matrix/federation/v1/query/profile */
static CmReply *
query_profile (CmCall *call, GError **error)
{
  const char *field = cm_call_query (call, "field");
  g_autoptr (CmJsonDoc) profile =
      find_profile (cm_call_node (call), cm_call_query (call, "user_id"), error);

  if (profile == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  if (field == NULL) {
    cm_json_put_node (writer, NULL, cm_json_doc_root (profile));
    return cm_reply_json (writer);
  }
  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, field, cm_json_get (cm_json_doc_root (profile), field));
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /_matrix/federation/v1/query/directory */
static CmReply *
query_directory (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *alias = cm_call_query (call, "room_alias");

  if (!cm_id_is_alias (alias) || !cm_id_domain_is (alias, node->server_name)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "That is no alias of this server");
    return NULL;
  }
  g_autoptr (CmAliasTarget) target = cm_alias_resolve (node, alias, error);
  return target != NULL ? cm_alias_target_reply (target) : NULL;
}

static CmReply *
list_public_rooms (CmCall *call, const CmPublicRoomsQuery *query, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (!node->config->federation.public_rooms) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN,
                         "This server does not show its directory to others");
    return NULL;
  }
  cm_json_open_object (writer, NULL);
  if (!cm_public_rooms_put (node, query, writer, error))
    return NULL;
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /_matrix/federation/v1/publicRooms */
static CmReply *
get_public_rooms (CmCall *call, GError **error)
{
  CmPublicRoomsQuery query = { 0 };

  return cm_public_rooms_query_set (&query, cm_call_query (call, "limit"),
                                    cm_call_query (call, "since"), error)
             ? list_public_rooms (call, &query, error)
             : NULL;
}

/* POST /_matrix/federation/v1/publicRooms */
static CmReply *
search_public_rooms (CmCall *call, GError **error)
{
  CmPublicRoomsQuery query = { 0 };

  return cm_public_rooms_query_read (cm_call_json (call), &query, error)
             ? list_public_rooms (call, &query, error)
             : NULL;
}

/* Puts what is known of @children into the object that @writer has open; those of no use to the
 * caller are named in inaccessible_children. */
static void
put_children (CmJsonWriter *writer, CmCall *call, const CmJson *children)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (GPtrArray) shut = g_ptr_array_new_with_free_func (g_free);
  const CmJson *child;
  CmJsonIter iter;

  cm_json_open_array (writer, "children");
  cm_json_iter_init (&iter, children);
  for (guint i = 0; i < MAX_CHILDREN && cm_json_iter_next (&iter, NULL, &child); i++) {
    const char *room_id = cm_json_get_text (child, "state_key");
    g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, room_id, NULL);
    if (view == NULL)
      continue;
    if (!cm_room_is_open_to_server (node, view, cm_call_origin (call))) {
      g_ptr_array_add (shut, g_strdup (room_id));
      continue;
    }
    cm_json_open_object (writer, NULL);
    cm_room_summary_put (writer, view, CM_SUMMARY_DETAILS | CM_SUMMARY_ALLOWED);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_open_array (writer, "inaccessible_children");
  for (guint i = 0; i < shut->len; i++)
    cm_json_put_text (writer, NULL, shut->pdata[i]);
  cm_json_close (writer);
}

/* GET /_matrix/federation/v1/hierarchy/{roomId} */
static CmReply *
get_hierarchy (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  gboolean suggested = g_strcmp0 (cm_call_query (call, "suggested_only"), "true") == 0;
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, cm_call_param (call, "roomId"), error);

  if (view == NULL)
    return NULL;
  /* Who may not look in does not learn that there is such a room (CVE-2021-39163). */
  if (!cm_room_is_open_to_server (node, view, cm_call_origin (call))) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Room not found");
    return NULL;
  }
  g_autoptr (CmJsonDoc) room = cm_space_room (view, suggested, error);
  if (room == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, "room", cm_json_doc_root (room));
  put_children (writer, call, cm_json_get_array (cm_json_doc_root (room), "children_state"));
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /_matrix/federation/v1/openid/userinfo */
static CmReply *
openid_userinfo (CmCall *call, GError **error)
{
  const char *token = cm_call_query (call, "access_token");

  if (token == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_MISSING_TOKEN, "access_token is missing");
    return NULL;
  }
  g_autofree char *user_id = cm_openid_user (cm_call_node (call), token, error);
  if (user_id == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "sub", user_id);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

#define SIGNED CM_AUTH_FEDERATION, CM_LIMIT_FEDERATION, CM_LANE_FEDERATION

const CmRoute cm_routes_federation_query[] = {
  { "GET", "/_matrix/federation/v1/query/profile", SIGNED, CM_BODY_NONE, query_profile },
  { "GET", "/_matrix/federation/v1/query/directory", SIGNED, CM_BODY_NONE, query_directory },
  { "GET", "/_matrix/federation/v1/publicRooms", CM_AUTH_FEDERATION, CM_LIMIT_HEAVY,
    CM_LANE_FEDERATION, CM_BODY_NONE, get_public_rooms },
  { "POST", "/_matrix/federation/v1/publicRooms", CM_AUTH_FEDERATION, CM_LIMIT_HEAVY,
    CM_LANE_FEDERATION, CM_BODY_JSON, search_public_rooms },
  { "GET", "/_matrix/federation/v1/hierarchy/{roomId}", CM_AUTH_FEDERATION, CM_LIMIT_HEAVY,
    CM_LANE_FEDERATION, CM_BODY_NONE, get_hierarchy },
  { "GET", "/_matrix/federation/v1/openid/userinfo", CM_AUTH_NONE, CM_LIMIT_FEDERATION,
    CM_LANE_FEDERATION, CM_BODY_NONE, openid_userinfo },
  CM_ROUTES_END,
};
