/* Profiles: one's own to change, everybody's to look at, those of other servers' users through
 * their servers. */
#include "server/accounts/profile.h"

#include "crypto/id.h"
#include "federation/fed-client.h"
#include "server/router/hand-over.h"
#include "server/routes.h"

#include <string.h>

/* --- Looking --- */

/* Other servers may say null for these two when they are not set (server-server, "Querying for
 * information"). */
static gboolean
is_unset (const char *key, const CmJson *value)
{
  return cm_json_type (value) == CM_JSON_NULL &&
         (g_strcmp0 (key, "displayname") == 0 || g_strcmp0 (key, "avatar_url") == 0);
}

/* What a profile (an object of all keys) looks like to who asks for @key, or for all of it (NULL).
 */
static CmReply *
show (const CmJson *profile, const char *key, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gboolean found = key == NULL;
  const CmJson *value;
  const char *name;
  CmJsonIter iter;

  cm_json_open_object (writer, NULL);
  cm_json_iter_init (&iter, profile);
  while (cm_json_iter_next (&iter, &name, &value))
    if ((key == NULL || g_strcmp0 (key, name) == 0) && !is_unset (name, value)) {
      cm_json_put_member (writer, iter.key, value);
      found = TRUE;
    }
  cm_json_close (writer);
  if (found)
    return cm_reply_json (writer);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such key");
  return NULL;
}

/* "{keyName}" of the route, or NULL for the whole profile. */
static const char *
key_of (const CmCall *call)
{
  return strstr (cm_call_route (call)->path, "{keyName}") ? cm_call_param (call, "keyName") : NULL;
}

static CmJsonDoc *
ask_server (CmCall *call, const char *user_id, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *key = key_of (call);
  gboolean well_known =
      key && (strcmp (key, "displayname") == 0 || strcmp (key, "avatar_url") == 0);
  g_autofree char *target =
      well_known
          ? cm_fed_path ("/_matrix/federation/v1/query/profile?user_id=%s&field=%s", user_id, key)
          : cm_fed_path ("/_matrix/federation/v1/query/profile?user_id=%s", user_id);
  const CmFedRequest request = {
    .method = "GET", .target = target, .max_bytes = 128 * 1024, .timeout_ms = 10000
  };
  if (!node->fed_client) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such user");
    return NULL;
  }
  return cm_fed_call (node->fed_client, cm_id_domain (user_id), &request, NULL, error);
}

static CmReply *
show_remote (CmCall *call, GError **error)
{
  g_autoptr (CmJsonDoc) doc = ask_server (call, cm_call_param (call, "userId"), error);
  return doc ? show (cm_json_doc_root (doc), key_of (call), error) : NULL;
}

static CmReply *
show_remote_later (CmCall *call, GError **error)
{
  /* Nobody makes this server call another without saying who they are. */
  if (!cm_call_user (call)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_MISSING_TOKEN, "Missing access token");
    return NULL;
  }
  return cm_call_hand_over (call, CM_LANE_REMOTE, show_remote, error);
}

/* GET /_matrix/client/v3/profile/{userId} and its {keyName} */
static CmReply *
get_profile (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  const char *user_id = cm_call_param (call, "userId");
  if (!cm_id_is_user (user_id)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "This is no user id");
    return NULL;
  }
  if (!cm_id_domain_is (user_id, node->server_name))
    return show_remote_later (call, error);
  g_autoptr (CmJsonDoc) profile = cm_profile_get (node, user_id, error);
  return profile ? show (cm_json_doc_root (profile), key_of (call), error) : NULL;
}

/* --- Changing --- */

/* "Guest users may only modify their display name" ("Guest Access"). */
static gboolean
check_may_change (const CmCall *call, GError **error)
{
  if (strcmp (cm_call_param (call, "userId"), cm_call_user (call)) != 0)
    return cm_fail (error, CM_ERROR_FORBIDDEN, "This is another user's profile");
  if (cm_call_requester (call)->guest &&
      strcmp (cm_call_param (call, "keyName"), "displayname") != 0)
    return cm_fail (error, CM_ERROR_GUEST_ACCESS_FORBIDDEN,
                    "Guests may change their display name only");
  return TRUE;
}

/* PUT /_matrix/client/v3/profile/{userId}/{keyName} */
static CmReply *
put_key (CmCall *call, GError **error)
{
  const char *key = cm_call_param (call, "keyName");
  const CmJson *value = cm_json_get (cm_call_json (call), key);
  if (!check_may_change (call, error))
    return NULL;
  if (!value) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_MISSING_PARAM, "The key is missing in the body");
    return NULL;
  }
  if (!cm_profile_set (cm_call_node (call), cm_call_user (call), key, value, error))
    return NULL;
  return cm_reply_empty ();
}

/* DELETE /_matrix/client/v3/profile/{userId}/{keyName} */
static CmReply *
delete_key (CmCall *call, GError **error)
{
  const char *key = cm_call_param (call, "keyName");
  if (!check_may_change (call, error) ||
      !cm_profile_set (cm_call_node (call), cm_call_user (call), key, NULL, error))
    return NULL;
  return cm_reply_empty ();
}

const CmRoute cm_routes_profile[] = {
  { "GET", "/_matrix/client/v3/profile/{userId}", CM_AUTH_TOKEN_OPTIONAL, CM_LIMIT_READ,
    CM_LANE_CLIENT, CM_BODY_NONE, get_profile },
  { "GET", "/_matrix/client/v3/profile/{userId}/{keyName}", CM_AUTH_TOKEN_OPTIONAL, CM_LIMIT_READ,
    CM_LANE_CLIENT, CM_BODY_NONE, get_profile },
  { "PUT", "/_matrix/client/v3/profile/{userId}/{keyName}", CM_AUTH_TOKEN_GUEST, CM_LIMIT_SEND,
    CM_LANE_CLIENT, CM_BODY_JSON, put_key },
  { "DELETE", "/_matrix/client/v3/profile/{userId}/{keyName}", CM_AUTH_TOKEN_GUEST, CM_LIMIT_SEND,
    CM_LANE_CLIENT, CM_BODY_NONE, delete_key },
  CM_ROUTES_END,
};
