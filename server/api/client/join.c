/* Joining and knocking. */
#include "crypto/id.h"
#include "server/api/body.h"
#include "server/node.h"
#include "server/rooms/alias.h"
#include "server/rooms/enter.h"
#include "server/routes.h"

#define MAX_REASON 4096

/* (transfer full) what the path and the query say: a room, and through whom to get there. */
static CmAliasTarget *
find_target (CmCall *call, const char *name, GError **error)
{
  g_autoptr (GPtrArray) via = cm_call_query_all (call, "via");
  g_autoptr (GPtrArray) older = cm_call_query_all (call, "server_name");
  g_autoptr (GStrvBuilder) servers = g_strv_builder_new ();

  for (guint i = 0; i < via->len; i++)
    g_strv_builder_add (servers, via->pdata[i]);
  for (guint i = 0; i < older->len; i++)
    g_strv_builder_add (servers, older->pdata[i]);
  return cm_alias_target_named (cm_call_node (call), name, g_strv_builder_end (servers), error);
}

typedef gboolean (*EnterFunc) (CmNode *node, const CmEntry *entry, GError **error);

static CmReply *
enter (CmCall *call, const char *name, EnterFunc func, GError **error)
{
  g_autoptr (CmAliasTarget) target = find_target (call, name, error);
  CmEntry entry = { .user_id = cm_call_user (call), .guest = cm_call_requester (call)->guest };

  if (target == NULL ||
      !cm_body_text (cm_call_json (call), "reason", MAX_REASON, &entry.reason, error))
    return NULL;
  entry.room_id = target->room_id;
  entry.via = (const char *const *) target->servers;
  if (!func (cm_call_node (call), &entry, error))
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "room_id", target->room_id);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* POST /rooms/{roomId}/join */
static CmReply *
join_room (CmCall *call, GError **error)
{
  return enter (call, cm_call_param (call, "roomId"), cm_room_join, error);
}

/* POST /join/{roomIdOrAlias} */
static CmReply *
join_room_or_alias (CmCall *call, GError **error)
{
  return enter (call, cm_call_param (call, "roomIdOrAlias"), cm_room_join, error);
}

/* POST /knock/{roomIdOrAlias} */
static CmReply *
knock_room (CmCall *call, GError **error)
{
  return enter (call, cm_call_param (call, "roomIdOrAlias"), cm_room_knock, error);
}

#define BLOCKING CM_LIMIT_JOIN, CM_LANE_REMOTE, CM_BODY_JSON_OPTIONAL

const CmRoute cm_routes_join[] = {
  { "POST", "/_matrix/client/v3/rooms/{roomId}/join", CM_AUTH_TOKEN_GUEST, BLOCKING, join_room, 0 },
  { "POST", "/_matrix/client/v3/join/{roomIdOrAlias}", CM_AUTH_TOKEN_GUEST, BLOCKING,
    join_room_or_alias, 0 },
  { "POST", "/_matrix/client/v3/knock/{roomIdOrAlias}", CM_AUTH_TOKEN, BLOCKING, knock_room, 0 },
  CM_ROUTES_END,
};
