/* Whose keys changed between two syncs. */
#include "server/e2ee/device-lists.h"
#include "server/routes.h"
#include "server/sync/token.h"

static gboolean
read_token (CmCall *call, const char *name, gint64 *position, GError **error)
{
  const char *text = cm_call_query (call, name);
  CmSyncToken token;

  if (text == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_MISSING_PARAM, "%s is missing", name);
    return FALSE;
  }
  if (!cm_sync_token_parse (text, &token, error))
    return FALSE;
  *position = token.position;
  return TRUE;
}

static void
put_users (CmJsonWriter *writer, const char *member, char **user_ids)
{
  cm_json_open_array (writer, member);
  for (gsize i = 0; user_ids[i] != NULL; i++)
    cm_json_put_text (writer, NULL, user_ids[i]);
  cm_json_close (writer);
}

/* GET /_matrix/client/v3/keys/changes */
static CmReply *
list_changes (CmCall *call, GError **error)
{
  g_auto (GStrv) changed = NULL;
  g_auto (GStrv) left = NULL;
  gint64 from, to;

  if (!read_token (call, "from", &from, error) || !read_token (call, "to", &to, error) ||
      !cm_device_lists_between (cm_call_node (call), cm_call_user (call), from, to, &changed, &left,
                                error))
    return NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  put_users (writer, "changed", changed);
  put_users (writer, "left", left);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

const CmRoute cm_routes_key_changes[] = {
  { "GET", "/_matrix/client/v3/keys/changes", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_NONE, list_changes, 0 },
  CM_ROUTES_END,
};
