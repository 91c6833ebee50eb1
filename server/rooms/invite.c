#include "server/rooms/invite.h"

#include "crypto/id.h"
#include "federation/handshake.h"
#include "schema/account-data.h"

gboolean
cm_invite_is_blocked (GBytes *content)
{
  g_autoptr (CmJsonDoc) doc = content != NULL ? cm_json_parse_bytes (content, NULL) : NULL;

  return doc != NULL &&
         g_strcmp0 (cm_json_get_text (cm_json_doc_root (doc), "default_action"), "block") == 0;
}

gboolean
cm_invite_check_wanted (CmNode *node, const char *user_id, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (GBytes) content =
      db != NULL
          ? cm_account_data_get (db, user_id, "", "m.invite_permission_config", NULL, &failure)
          : NULL;

  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  else if (db != NULL && !cm_invite_is_blocked (content))
    return TRUE;
  else if (db != NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_INVITE_BLOCKED, "%s takes no invites", user_id);
  return FALSE;
}

CmEvent *
cm_room_invite (CmNode *node, CmRoom *room, const char *sender, const char *user_id,
                const CmJson *content, GError **error)
{
  CmDraft draft = {
    .type = "m.room.member", .state_key = user_id, .sender = sender, .content = content
  };

  if (cm_id_domain_is (user_id, node->server_name))
    return cm_invite_check_wanted (node, user_id, error) ? cm_room_append_one (room, &draft, error)
                                                         : NULL;
  if (node->intake != NULL)
    return cm_handshake_invite (node->intake, room, &draft, error);
  g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "This server does not federate");
  return NULL;
}
