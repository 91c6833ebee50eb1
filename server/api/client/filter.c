#include "schema/account-data.h"
#include "server/api/own.h"
#include "server/node.h"
#include "server/routes.h"
#include "server/sync/filter.h"

#define MAX_FILTER (64 * 1024)

static CmReply *
put_filter (CmCall *call, GError **error)
{
  g_autoptr (CmSyncFilter) filter = NULL;
  g_autoptr (GBytes) stored = NULL;

  if (!cm_call_is_own (call, error))
    return NULL;
  filter = cm_sync_filter_new (cm_call_json (call), error);
  if (filter == NULL)
    return NULL;
  stored = cm_json_canonical_lenient (cm_call_json (call), NULL);
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  gint64 id = db != NULL ? cm_filter_add (db, cm_call_user (call), stored, error) : 0;
  if (id == 0)
    return NULL;
  g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, id);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "filter_id", text);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static CmReply *
get_filter (CmCall *call, GError **error)
{
  guint64 id = 0;

  if (!cm_call_is_own (call, error))
    return NULL;
  if (!g_ascii_string_to_unsigned (cm_call_param (call, "filterId"), 10, 1, G_MAXINT64, &id,
                                   NULL)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such filter");
    return NULL;
  }
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  GBytes *filter = db != NULL ? cm_filter_get (db, cm_call_user (call), (gint64) id, error) : NULL;
  return filter != NULL ? cm_reply_new (200, "application/json", filter) : NULL;
}

const CmRoute cm_routes_filter[] = {
  { "POST", "/_matrix/client/v3/user/{userId}/filter", CM_AUTH_TOKEN_GUEST, CM_LIMIT_READ,
    CM_LANE_CLIENT, CM_BODY_JSON, put_filter, MAX_FILTER },
  { "GET", "/_matrix/client/v3/user/{userId}/filter/{filterId}", CM_AUTH_TOKEN_GUEST, CM_LIMIT_READ,
    CM_LANE_CLIENT, CM_BODY_NONE, get_filter, 0 },
  CM_ROUTES_END,
};
