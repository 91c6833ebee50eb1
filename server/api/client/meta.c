/* What the node says about itself: versions, capabilities, well-known. */
#include "federation/room-version.h"
#include "server/config/config.h"
#include "server/node.h"
#include "server/routes.h"

#include <string.h>

/* Every version whose client-server API this node serves, oldest first. */
static const char *const spec_versions[] = {
  "r0.6.1", "v1.1",  "v1.2",  "v1.3",  "v1.4",  "v1.5",  "v1.6",  "v1.7",  "v1.8",
  "v1.9",   "v1.10", "v1.11", "v1.12", "v1.13", "v1.14", "v1.15", "v1.16", "v1.17",
};

/* GET /_matrix/client/versions */
static CmReply *
versions (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_open_array (writer, "versions");
  for (gsize i = 0; i < G_N_ELEMENTS (spec_versions); i++)
    cm_json_put_text (writer, NULL, spec_versions[i]);
  cm_json_close (writer);
  cm_json_open_object (writer, "unstable_features");
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static void
put_capability (CmJsonWriter *writer, const char *name, gboolean enabled)
{
  cm_json_open_object (writer, name);
  cm_json_put_boolean (writer, "enabled", enabled);
  cm_json_close (writer);
}

static void
put_room_versions (CmJsonWriter *writer, const char *default_version)
{
  cm_json_open_object (writer, "m.room_versions");
  cm_json_put_text (writer, "default", default_version);
  cm_json_open_object (writer, "available");
  for (const CmRoomVersion *version = cm_room_versions (); version->name; version++)
    cm_json_put_text (writer, version->name, "stable");
  cm_json_close (writer);
  cm_json_close (writer);
}

/* Left out for who may do neither. */
static void
put_account_moderation (CmJsonWriter *writer)
{
  cm_json_open_object (writer, "m.account_moderation");
  cm_json_put_boolean (writer, "suspend", TRUE);
  cm_json_put_boolean (writer, "lock", TRUE);
  cm_json_close (writer);
}

/* GET /_matrix/client/v3/capabilities */
static CmReply *
capabilities (CmCall *call, GError **error)
{
  const CmConfig *config = cm_call_node (call)->config;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "capabilities");
  put_room_versions (writer, config->rooms.default_version);
  /* Where a directory keeps the passwords, they are changed there. */
  put_capability (writer, "m.change_password", config->ldap.uri == NULL);
  put_capability (writer, "m.profile_fields", TRUE);
  put_capability (writer, "m.set_displayname", TRUE);
  put_capability (writer, "m.set_avatar_url", TRUE);
  put_capability (writer, "m.3pid_changes", FALSE);
  put_capability (writer, "m.get_login_token", TRUE);
  if (cm_call_requester (call)->admin)
    put_account_moderation (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /.well-known/matrix/client */
static CmReply *
well_known_client (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "m.homeserver");
  cm_json_put_text (writer, "base_url", cm_call_node (call)->config->node.public_baseurl);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /.well-known/matrix/server: other servers come to where public_baseurl points. */
static CmReply *
well_known_server (CmCall *call, GError **error)
{
  const CmConfig *config = cm_call_node (call)->config;
  if (!config->federation.enabled) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "This server does not federate");
    return NULL;
  }
  g_autoptr (GUri) uri =
      g_uri_parse (config->node.public_baseurl, G_URI_FLAGS_SCHEME_NORMALIZE, error);
  if (!uri)
    return NULL;
  const char *host = g_uri_get_host (uri);
  gboolean ipv6 = strchr (host, ':') != NULL;
  g_autofree char *server =
      g_strdup_printf ("%s%s%s:%d", ipv6 ? "[" : "", host, ipv6 ? "]" : "", g_uri_get_port (uri));
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "m.server", server);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

/* GET /_matrix/federation/v1/version */
static CmReply *
federation_version (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "server");
  cm_json_put_text (writer, "name", "Comity");
  cm_json_put_text (writer, "version", CM_VERSION);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_reply_json (writer);
}

#define PUBLIC CM_AUTH_NONE, CM_LIMIT_NONE, CM_LANE_EDGE, CM_BODY_NONE

const CmRoute cm_routes_meta[] = {
  { "GET", "/_matrix/client/versions", PUBLIC, versions },
  { "GET", "/_matrix/client/v3/capabilities", CM_AUTH_TOKEN_GUEST, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_NONE, capabilities },
  { "GET", "/.well-known/matrix/client", PUBLIC, well_known_client },
  { "GET", "/.well-known/matrix/server", PUBLIC, well_known_server },
  { "GET", "/_matrix/federation/v1/version", PUBLIC, federation_version },
  CM_ROUTES_END,
};
