#include "crypto/id.h"
#include "schema/push.h"
#include "server/api/body.h"
#include "server/node.h"
#include "server/push/sender.h"
#include "server/routes.h"
#include "server/sync/hub.h"

#include <string.h>

/* "Max length, 64 chars" and "512 bytes". */
#define MAX_APP_ID  64
#define MAX_PUSHKEY 512
#define MAX_TEXT    1024

static CmReply *
get_pushers (CmCall *call, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  g_autoptr (CmRows) rows = db != NULL ? cm_pushers_get (db, cm_call_user (call), error) : NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (rows == NULL)
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "pushers");
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    g_autoptr (GBytes) pusher = cm_rows_bytes (rows, i, 2);
    cm_json_put_bytes (writer, NULL, pusher);
  }
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static gboolean
check_data (const CmJson *body, GError **error)
{
  const CmJson *data = cm_json_get_object (body, "data");
  const char *url = cm_json_get_text (data, "url");

  if (data == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_MISSING_PARAM, "data is missing");
    return FALSE;
  }
  if (url != NULL && cm_push_url_is_valid (url))
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                       "data.url must be an https URL with the path /_matrix/push/v1/notify");
  return FALSE;
}

/* (transfer full) the pusher as it is shown again. */
static GBytes *
read_pusher (const CmJson *body, GError **error)
{
  static const char *const needed[] = { "app_display_name", "device_display_name", "lang" };
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const char *text;

  cm_json_open_object (writer, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (needed); i++) {
    if (!cm_body_need_text (body, needed[i], MAX_TEXT, &text, error))
      return NULL;
    cm_json_put_text (writer, needed[i], text);
  }
  if (!cm_body_text (body, "profile_tag", MAX_TEXT, &text, error) || !check_data (body, error))
    return NULL;
  cm_json_put_text (writer, "profile_tag", text);
  cm_json_put_text (writer, "app_id", cm_json_get_text (body, "app_id"));
  cm_json_put_text (writer, "kind", "http");
  cm_json_put_text (writer, "pushkey", cm_json_get_text (body, "pushkey"));
  cm_json_put_node (writer, "data", cm_json_get (body, "data"));
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

static CmReply *
set_pusher (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const CmJson *body = cm_call_json (call);
  const char *app_id, *pushkey, *kind;
  g_autoptr (GBytes) pusher = NULL;
  gboolean append;

  if (!cm_body_need_text (body, "app_id", MAX_APP_ID, &app_id, error) ||
      !cm_body_need_text (body, "pushkey", MAX_PUSHKEY, &pushkey, error) ||
      !cm_body_text (body, "kind", MAX_TEXT, &kind, error) ||
      !cm_body_boolean (body, "append", FALSE, &append, error))
    return NULL;
  if (cm_json_get (body, "kind") == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_MISSING_PARAM, "kind is missing");
    return NULL;
  }
  if (kind != NULL && strcmp (kind, "http") != 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "This kind is not supported");
    return NULL;
  }
  if (kind != NULL && (pusher = read_pusher (body, error)) == NULL)
    return NULL;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (db == NULL)
    return NULL;
  gboolean done = pusher != NULL
                      ? cm_pusher_put (db, cm_call_user (call), app_id, pushkey,
                                       cm_call_requester (call)->token, pusher, !append, error)
                      : cm_pusher_delete (db, cm_call_user (call), app_id, pushkey, error);
  if (!done)
    return NULL;
  cm_sync_hub_forget_profile (node->sync, cm_call_user (call));
  return cm_reply_empty ();
}

const CmRoute cm_routes_pushers[] = {
  { "GET", "/_matrix/client/v3/pushers", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE,
    get_pushers, 0 },
  { "POST", "/_matrix/client/v3/pushers/set", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_JSON, set_pusher, 64 * 1024 },
  CM_ROUTES_END,
};
