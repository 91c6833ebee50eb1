#include "schema/account-data.h"

#include "crypto/id.h"
#include "schema/committer.h"
#include "server/api/data-quota.h"
#include "server/api/own.h"
#include "server/node.h"
#include "server/push/push-rules.h"
#include "server/routes.h"

#include <string.h>

/* What the path names: whose, of which room ("": global), of which type. */
typedef struct {
  const char *user_id;
  const char *room_id;
  const char *type;
} Place;

static gboolean
read_place (CmCall *call, gboolean of_room, Place *place, GError **error)
{
  *place = (Place){ cm_call_user (call), of_room ? cm_call_param (call, "roomId") : "",
                    cm_call_param (call, "type") };
  if (!cm_call_is_own (call, error))
    return FALSE;
  if ((!of_room || cm_id_is_room (place->room_id)) && strlen (place->type) <= CM_ID_MAX_BYTES)
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM,
                       "The room id is not valid, or the type is too long");
  return FALSE;
}

/* These are the server's to keep, by APIs of their own ("Server Behaviour" of Client Config). */
static gboolean
is_kept_by_server (const Place *place)
{
  return strcmp (place->type, "m.push_rules") == 0 || strcmp (place->type, "m.fully_read") == 0;
}

static CmReply *
put (CmCall *call, gboolean of_room, GError **error)
{
  CmNode *node = cm_call_node (call);
  Place place;

  if (!read_place (call, of_room, &place, error))
    return NULL;
  if (is_kept_by_server (&place))
    return cm_reply_error_status (405, "M_BAD_JSON", "This type is controlled by the server");
  g_autoptr (GBytes) content = cm_json_canonical_lenient (cm_call_json (call), NULL);
  if (!cm_call_check_data_quota (call, place.room_id, place.type, content, error))
    return NULL;
  CmWrite *write = cm_write_new ();
  cm_account_data_put (write, place.user_id, place.room_id, place.type, content);
  return cm_committer_commit (node->committer, write, error) > 0 ? cm_reply_empty () : NULL;
}

static CmReply *
get (CmCall *call, gboolean of_room, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (GError) failure = NULL;
  GBytes *content = NULL;
  Place place;

  if (!read_place (call, of_room, &place, error))
    return NULL;
  if (!of_room && strcmp (place.type, "m.push_rules") == 0) {
    content = cm_push_rules_document (node, place.user_id, error);
    return content != NULL ? cm_reply_new (200, "application/json", content) : NULL;
  }
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  if (db == NULL)
    return NULL;
  content = cm_account_data_get (db, place.user_id, place.room_id, place.type, NULL, &failure);
  if (content != NULL)
    return cm_reply_new (200, "application/json", content);
  if (failure != NULL)
    g_propagate_error (error, g_steal_pointer (&failure));
  else
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such account data");
  return NULL;
}

static CmReply *
put_global (CmCall *call, GError **error)
{
  return put (call, FALSE, error);
}

static CmReply *
get_global (CmCall *call, GError **error)
{
  return get (call, FALSE, error);
}

static CmReply *
put_of_room (CmCall *call, GError **error)
{
  return put (call, TRUE, error);
}

static CmReply *
get_of_room (CmCall *call, GError **error)
{
  return get (call, TRUE, error);
}

#define USER "/_matrix/client/v3/user/{userId}"

const CmRoute cm_routes_account_data[] = {
  { "PUT", USER "/account_data/{type}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON,
    put_global, 0 },
  { "GET", USER "/account_data/{type}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_NONE,
    get_global, 0 },
  { "PUT", USER "/rooms/{roomId}/account_data/{type}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_JSON, put_of_room, 0 },
  { "GET", USER "/rooms/{roomId}/account_data/{type}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_NONE, get_of_room, 0 },
  CM_ROUTES_END,
};
