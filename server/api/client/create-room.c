#include "schema/room-directory.h"
#include "server/node.h"
#include "server/rooms/invite.h"
#include "server/rooms/member-content.h"
#include "server/rooms/recipe.h"
#include "server/router/router.h"
#include "server/routes.h"

/* The alias and the directory's entry are committed with the room. */
static void
directory_entries (CmWrite *write, const char *room_id, gint64 room, gpointer data)
{
  const CmRecipe *recipe = data;

  if (cm_recipe_alias (recipe) != NULL)
    cm_alias_add (write, cm_recipe_alias (recipe), room, cm_recipe_create_event (recipe)->sender);
  if (cm_recipe_is_listed (recipe))
    cm_room_set_listed (write, room, TRUE);
}

static gboolean
check_alias_is_free (CmNode *node, const char *alias, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (CmAlias) taken = NULL;
  GError *local = NULL;

  if (db == NULL)
    return FALSE;
  taken = cm_alias_find (db, alias, &local);
  if (local != NULL)
    g_propagate_error (error, local);
  else if (taken != NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_ROOM_IN_USE, "Room alias %s is taken", alias);
  return taken == NULL && local == NULL;
}

/* The room is there, whoever could not be reached. But a direct chat without anybody to talk to is
 * of no use: its creator leaves it again and is told why. */
static gboolean
invite_elsewhere (CmCall *call, CmRoom *room, const CmRecipe *recipe, GError **error)
{
  const CmJson *body = cm_call_json (call);
  gsize wanted = cm_json_length (cm_json_get_array (body, "invite"));
  g_autoptr (GError) first = NULL;
  gsize count, failed = 0;
  const CmDraft *invites = cm_recipe_remote_invites (recipe, &count);

  for (gsize i = 0; i < count; i++) {
    g_autoptr (GError) failure = NULL;
    g_autoptr (CmEvent) invite =
        cm_room_invite (cm_call_node (call), room, invites[i].sender, invites[i].state_key,
                        invites[i].content, &failure);
    if (invite != NULL)
      continue;
    g_message ("Inviting %s to a new room failed: %s", invites[i].state_key, failure->message);
    failed++;
    if (first == NULL)
      first = g_steal_pointer (&failure);
  }
  if (failed == 0 || failed < wanted || !cm_json_get_boolean (body, "is_direct", FALSE))
    return TRUE;
  if (cm_member_append_own (cm_call_node (call), room, cm_call_user (call), "leave", error))
    g_propagate_error (error, g_steal_pointer (&first));
  return FALSE;
}

/* (transfer full) the room with the events of @recipe. What the rules of rooms do not allow among
 * them is not the user's lack of a right but a mistake in the request. */
static CmRoom *
make_room (CmNode *node, CmRecipe *recipe, GError **error)
{
  g_autoptr (GError) failure = NULL;
  gsize count;
  const CmDraft *drafts = cm_recipe_drafts (recipe, &count);
  CmRoom *room =
      cm_rooms_create (node->rooms, cm_recipe_version (recipe), cm_recipe_create_event (recipe),
                       drafts, count, directory_entries, recipe, &failure);

  if (room != NULL)
    return room;
  if (g_error_matches (failure, CM_ERROR, CM_ERROR_FORBIDDEN))
    failure->code = CM_ERROR_INVALID_ROOM_STATE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return NULL;
}

/* An invite is one however it is sent (class rate-limit-bypass). */
static gint64
take_invites (CmCall *call)
{
  gsize count = cm_json_length (cm_json_get_array (cm_call_json (call), "invite"));
  gint64 wait_ms = 0;

  for (gsize i = 0; i < count && wait_ms == 0; i++)
    wait_ms = cm_call_take_limit (call, CM_LIMIT_INVITE);
  return wait_ms;
}

static CmReply *
create_room (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (CmRecipe) recipe =
      cm_recipe_new (node, cm_call_user (call), cm_call_json (call), error);

  if (recipe == NULL)
    return NULL;
  gint64 wait_ms = take_invites (call);
  if (wait_ms > 0)
    return cm_reply_limited (wait_ms);
  if (cm_recipe_alias (recipe) != NULL &&
      !check_alias_is_free (node, cm_recipe_alias (recipe), error))
    return NULL;
  g_autoptr (CmRoom) room = make_room (node, recipe, error);
  if (room == NULL || !invite_elsewhere (call, room, recipe, error))
    return NULL;

  g_autoptr (CmRoomView) view = cm_room_view (room);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "room_id", view->room_id);
  cm_json_put_text (writer, "room_alias", cm_recipe_alias (recipe));
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* Invites may go to other servers, hence the lane. */
const CmRoute cm_routes_create_room[] = {
  { "POST", "/_matrix/client/v3/createRoom", CM_AUTH_TOKEN, CM_LIMIT_JOIN, CM_LANE_REMOTE,
    CM_BODY_JSON, create_room, 0 },
  CM_ROUTES_END,
};
