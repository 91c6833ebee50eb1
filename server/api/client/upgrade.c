/* POST /rooms/{roomId}/upgrade */
#include "crypto/id.h"
#include "server/api/body.h"
#include "server/node.h"
#include "server/rooms/find.h"
#include "server/rooms/upgrade.h"
#include "server/routes.h"

static gboolean
read_creators (const CmJson *body, CmUpgrade *upgrade, GError **error)
{
  const CmJson *list = cm_json_get (body, "additional_creators");
  const CmJson *item;
  CmJsonIter iter;
  gboolean good = list == NULL || cm_json_type (list) == CM_JSON_ARRAY;

  upgrade->additional_creators = list;
  cm_json_iter_init (&iter, list);
  while (good && cm_json_iter_next (&iter, NULL, &item))
    good = cm_id_is_user (cm_json_text (item));
  if (!good)
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                 "additional_creators must be a list of user ids");
  return good;
}

static CmReply *
upgrade_room (CmCall *call, GError **error)
{
  CmUpgrade upgrade = { .user_id = cm_call_user (call) };
  const char *name;

  if (!cm_body_need_text (cm_call_json (call), "new_version", CM_ID_MAX_BYTES, &name, error) ||
      !read_creators (cm_call_json (call), &upgrade, error))
    return NULL;
  upgrade.version = cm_room_version_find (name);
  if (upgrade.version == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_UNSUPPORTED_ROOM_VERSION,
                 "This room version is not supported");
    return NULL;
  }
  g_autoptr (CmRoom) room = cm_call_room (call, error);
  g_autofree char *replacement =
      room != NULL ? cm_room_upgrade (cm_call_node (call), room, &upgrade, error) : NULL;
  if (replacement == NULL)
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "replacement_room", replacement);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_upgrade[] = {
  { "POST", "/_matrix/client/v3/rooms/{roomId}/upgrade", CM_AUTH_TOKEN, CM_LIMIT_JOIN,
    CM_LANE_CLIENT, CM_BODY_JSON, upgrade_room, 0 },
  CM_ROUTES_END,
};
