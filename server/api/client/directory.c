/* Room aliases, and which rooms the directory lists. */
#include "crypto/id.h"
#include "federation/append.h"
#include "schema/room-directory.h"
#include "server/api/body.h"
#include "server/node.h"
#include "server/rooms/alias.h"
#include "server/rooms/find.h"
#include "server/rooms/power.h"
#include "server/routes.h"

#include <string.h>

static gboolean
check_local_alias (CmCall *call, GError **error)
{
  const char *alias = cm_call_param (call, "roomAlias");

  if (cm_id_is_alias (alias) && cm_id_domain_is (alias, cm_call_node (call)->server_name))
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "This is no alias of this server");
  return FALSE;
}

/* PUT /directory/room/{roomAlias} */
static CmReply *
put_alias (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *alias = cm_call_param (call, "roomAlias");
  g_autoptr (GError) failure = NULL;
  const char *room_id;

  if (!check_local_alias (call, error) ||
      !cm_body_need_text (cm_call_json (call), "room_id", CM_ID_MAX_BYTES, &room_id, error))
    return NULL;
  if (!cm_id_is_room (room_id)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "room_id is no room id");
    return NULL;
  }
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, room_id, NULL);
  if (view == NULL || cm_room_membership (view, cm_call_user (call)) != CM_MEMBERSHIP_JOIN) {
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "You are not in this room");
    return NULL;
  }
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (db == NULL)
    return NULL;
  if (cm_alias_create (db, alias, view->room, cm_call_user (call), &failure))
    return cm_reply_empty ();
  if (g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT)) {
    g_autofree char *taken = g_strdup_printf ("Room alias %s already exists", alias);
    return cm_reply_error_status (409, "M_UNKNOWN", taken);
  }
  g_propagate_error (error, g_steal_pointer (&failure));
  return NULL;
}

/* GET /directory/room/{roomAlias} */
static CmReply *
get_alias (CmCall *call, GError **error)
{
  g_autoptr (CmAliasTarget) target =
      cm_alias_resolve (cm_call_node (call), cm_call_param (call, "roomAlias"), error);

  return target != NULL ? cm_alias_target_reply (target) : NULL;
}

/* CVE-2024-6303: who made it, who has power in the room that it points to, or an administrator. */
static gboolean
may_delete (CmCall *call, const CmAlias *alias)
{
  if (strcmp (alias->creator, cm_call_user (call)) == 0 || cm_call_requester (call)->admin)
    return TRUE;
  g_autoptr (CmRoomView) view = cm_rooms_view (cm_call_node (call)->rooms, alias->room_id, NULL);
  return view != NULL &&
         cm_room_may_send_state (view, cm_call_user (call), "m.room.canonical_alias");
}

/* Content of m.room.canonical_alias without @alias; NULL when it is not in there. */
static CmJsonDoc *
content_without (const CmJson *content, const char *alias)
{
  const CmJson *others = cm_json_get_array (content, "alt_aliases");
  gboolean main = g_strcmp0 (cm_json_get_text (content, "alias"), alias) == 0;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gsize kept = 0;
  const CmJson *item;
  CmJsonIter iter;

  cm_json_open_object (writer, NULL);
  if (!main)
    cm_json_put_node (writer, "alias", cm_json_get (content, "alias"));
  cm_json_open_array (writer, "alt_aliases");
  cm_json_iter_init (&iter, others);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    if (g_strcmp0 (cm_json_text (item), alias) == 0)
      continue;
    cm_json_put_node (writer, NULL, item);
    kept++;
  }
  cm_json_close (writer);
  cm_json_close (writer);
  CmJsonDoc *doc = cm_json_writer_end_doc (writer);
  if (main || kept < cm_json_length (others))
    return doc;
  cm_json_doc_unref (doc);
  return NULL;
}

/* The room should not go on showing the alias, if he who deleted it may say so there. */
static void
drop_from_room (CmCall *call, const char *room_id, const char *alias)
{
  g_autoptr (CmRoom) room = cm_rooms_get (cm_call_node (call)->rooms, room_id, NULL);
  g_autoptr (CmRoomView) view = room != NULL ? cm_room_view (room) : NULL;
  g_autoptr (CmEvent) present =
      view != NULL ? cm_room_state_event (view, "m.room.canonical_alias", "", NULL) : NULL;
  g_autoptr (CmJsonDoc) content =
      present != NULL ? content_without (present->content, alias) : NULL;

  if (content == NULL ||
      !cm_room_may_send_state (view, cm_call_user (call), "m.room.canonical_alias"))
    return;
  CmDraft draft = { .type = "m.room.canonical_alias",
                    .state_key = "",
                    .sender = cm_call_user (call),
                    .content = cm_json_doc_root (content) };
  g_autoptr (GError) error = NULL;
  g_autoptr (CmEvent) event = cm_room_append_one (room, &draft, &error);
  if (event == NULL)
    g_message ("The deleted alias %s still stands in its room: %s", alias, error->message);
}

static CmAlias *
find_alias (CmNode *node, const char *name, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  if (db == NULL)
    return NULL;
  CmAlias *alias = cm_alias_find (db, name, &failure);
  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  else if (alias == NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such alias");
  return alias;
}

/* DELETE /directory/room/{roomAlias} */
static CmReply *
delete_alias (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *name = cm_call_param (call, "roomAlias");

  if (!check_local_alias (call, error))
    return NULL;
  g_autoptr (CmAlias) alias = find_alias (node, name, error);
  if (alias == NULL)
    return NULL;
  if (!may_delete (call, alias)) {
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "You may not delete this alias");
    return NULL;
  }
  {
    g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
    if (db == NULL || !cm_alias_delete (db, name, error))
      return NULL;
  }
  drop_from_room (call, alias->room_id, name);
  return cm_reply_empty ();
}

/* GET /rooms/{roomId}/aliases: for members, and for everybody where history is world-readable */
static CmReply *
get_aliases (CmCall *call, GError **error)
{
  g_auto (CmReadableRoom) room = { 0 };
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (!cm_call_readable_room (call, &room, error))
    return NULL;
  if (room.until != G_MAXINT64) {
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "You are not in this room");
    return NULL;
  }
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_auto (GStrv) aliases = db != NULL ? cm_aliases_of (db, room.view->room, error) : NULL;
  if (aliases == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "aliases");
  for (gsize i = 0; aliases[i] != NULL; i++)
    cm_json_put_text (writer, NULL, aliases[i]);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* (transfer full) CM_ERROR_NOT_FOUND, as the directory has it. */
static CmRoomView *
find_listed (CmCall *call, GError **error)
{
  const char *room_id = cm_call_param (call, "roomId");

  return cm_rooms_view (cm_call_node (call)->rooms, room_id, error);
}

/* GET /directory/list/room/{roomId} */
static CmReply *
get_visibility (CmCall *call, GError **error)
{
  g_autoptr (CmRoomView) view = find_listed (call, error);
  g_autoptr (CmDb) db = view != NULL ? cm_pool_get (cm_call_node (call)->pool, error) : NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gboolean listed;

  if (db == NULL || !cm_room_is_listed (db, view->room, &listed, error))
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "visibility", listed ? "public" : "private");
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* PUT /directory/list/room/{roomId} */
static CmReply *
put_visibility (CmCall *call, GError **error)
{
  g_autoptr (CmRoomView) view = find_listed (call, error);
  const char *visibility = NULL;

  if (view == NULL || !cm_body_text (cm_call_json (call), "visibility", 16, &visibility, error))
    return NULL;
  if (visibility != NULL && strcmp (visibility, "public") != 0 &&
      strcmp (visibility, "private") != 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "visibility must be public or private");
    return NULL;
  }
  if (!cm_call_requester (call)->admin &&
      !cm_room_may_send_state (view, cm_call_user (call), "m.room.canonical_alias")) {
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "You may not publish this room");
    return NULL;
  }
  g_autoptr (CmWrite) write = cm_write_new ();
  cm_room_set_listed (write, view->room, g_strcmp0 (visibility, "private") != 0);
  if (cm_committer_commit (cm_call_node (call)->committer, g_steal_pointer (&write), error) < 0)
    return NULL;
  return cm_reply_empty ();
}

#define ALIAS "/_matrix/client/v3/directory/room/{roomAlias}"
#define LIST  "/_matrix/client/v3/directory/list/room/{roomId}"

const CmRoute cm_routes_directory[] = {
  { "PUT", ALIAS, CM_AUTH_TOKEN, CM_LIMIT_HEAVY, CM_LANE_CLIENT, CM_BODY_JSON, put_alias, 0 },
  { "GET", ALIAS, CM_AUTH_NONE, CM_LIMIT_HEAVY, CM_LANE_REMOTE, CM_BODY_NONE, get_alias, 0 },
  { "DELETE", ALIAS, CM_AUTH_TOKEN, CM_LIMIT_HEAVY, CM_LANE_CLIENT, CM_BODY_NONE, delete_alias, 0 },
  { "GET", "/_matrix/client/v3/rooms/{roomId}/aliases", CM_AUTH_TOKEN, CM_LIMIT_READ,
    CM_LANE_CLIENT, CM_BODY_NONE, get_aliases, 0 },
  { "GET", LIST, CM_AUTH_NONE, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE, get_visibility, 0 },
  { "PUT", LIST, CM_AUTH_TOKEN, CM_LIMIT_HEAVY, CM_LANE_CLIENT, CM_BODY_JSON, put_visibility, 0 },
  CM_ROUTES_END,
};
