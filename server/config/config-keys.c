#include "server/config/keys.h"

#include <string.h>

#define NODE(field)     G_STRUCT_OFFSET (CmConfig, field)
#define LISTENER(field) G_STRUCT_OFFSET (CmListener, field)
#define RATE(class)     G_STRUCT_OFFSET (CmConfig, limits.rates[class])

static const char *const log_levels[] = { "error", "warning", "info", "debug", NULL };
static const char *const password_costs[] = { "minimum", "interactive", NULL };

const CmConfigGroup cm_config_groups[] = {
  { "node", "Who this node is, and where it keeps what it knows." },
  { "listen",
    "A group [listen NAME] for each listener; NAME is free. Keys and well-known come with both "
    "client and federation." },
  { "database", "Where rooms and accounts are stored." },
  { "registration", "Accounts that people make themselves." },
  { "accounts", "Local accounts." },
  { "federation", "Talking to other companies' servers." },
  { "outbound",
    "Requests that the node makes on behalf of users: push gateways, application services, "
    "previews." },
  { "limits", "Rate limits by class, each as requests a second in the long run;requests at once." },
  { "ldap", "Sign-in against the company's directory. Needs ldaps:// or start_tls." },
  { "rooms", "What new rooms are like." },
  { "media", "Uploaded files." },
  { "appservices", "Bridges and bots." },
  { NULL, NULL },
};

const CmConfigKey cm_config_keys[] = {
  { "node", "server_name", CM_CONFIG_NAME, NULL, NODE (node.server_name),
    "What stands after the colon in user ids. Can never be changed.", .required = TRUE },
  { "node", "public_baseurl", CM_CONFIG_URL, NULL, NODE (node.public_baseurl),
    "Where clients reach this node: told to them and to other servers by well-known. Default: "
    "https://SERVER_NAME" },
  { "node", "data_dir", CM_CONFIG_PATH, NULL, NODE (node.data_dir),
    "Everything that the node keeps. Made if absent; belongs to the user whom the node runs as.",
    .required = TRUE },
  { "node", "signing_key", CM_CONFIG_PATH, NULL, NODE (node.signing_key),
    "The key that signs events, made if absent. Default: signing.key in data_dir" },
  { "node", "user", CM_CONFIG_TEXT, NULL, NODE (node.user),
    "Whom to become when started as root, which may not serve. This user must be able to reach "
    "data_dir." },
  { "node", "log_level", CM_CONFIG_CHOICE, "info", NODE (node.log_level),
    "error, warning, info or debug.", .choices = log_levels },
  { "node", "trusted_proxies", CM_CONFIG_RANGES, "", NODE (node.trusted_proxies),
    "Address ranges of reverse proxies whose X-Forwarded-For is believed, 127.0.0.1;10.0.0.0/8" },

  { "listen", "address", CM_CONFIG_TEXT, "127.0.0.1", LISTENER (address),
    "An IPv4 or IPv6 address; :: for all of both." },
  { "listen", "port", CM_CONFIG_PORT, NULL, LISTENER (port), "TCP port.", .required = TRUE },
  { "listen", "tls_certificate", CM_CONFIG_FILE, NULL, LISTENER (tls_certificate),
    "PEM file with the certificate and its chain. Without it and tls_key: plain HTTP." },
  { "listen", "tls_key", CM_CONFIG_FILE, NULL, LISTENER (tls_key),
    "PEM file with the private key." },
  { "listen", "serve", CM_CONFIG_SERVE, "client;federation", LISTENER (serve),
    "Any of client;federation;admin. The Synapse admin API (/_synapse/admin) is admin." },

  { "database", "dsn", CM_CONFIG_TEXT, NULL, NODE (database.dsn),
    "A libpq connection string. Empty: a private PostgreSQL cluster in data_dir, started and "
    "stopped with "
    "the node." },
  { "database", "connections", CM_CONFIG_NUMBER, "24", NODE (database.connections),
    "The most connections to hold open.", .min = 4, .max = 1000 },

  { "registration", "open", CM_CONFIG_FLAG, "false", NODE (registration.open),
    "Whether anybody may make an account." },
  { "registration", "guests", CM_CONFIG_FLAG, "false", NODE (registration.guests),
    "Whether guests may come in without an account." },
  { "registration", "shared_secret", CM_CONFIG_TEXT, NULL, NODE (registration.shared_secret),
    "Whoever knows it may make accounts, administrators too, at /_synapse/admin/v1/register of a "
    "listener that serves admin" },

  { "accounts", "password_cost", CM_CONFIG_CHOICE, "interactive", NODE (accounts.password_cost),
    "interactive, or minimum (for test suites only).", .choices = password_costs },
  { "accounts", "access_token_lifetime", CM_CONFIG_NUMBER, "3600",
    NODE (accounts.access_token_lifetime),
    "Seconds after which clients that can refresh their access token must do so.", .min = 1,
    .max = 31536000 },
  { "accounts", "refresh_token_lifetime", CM_CONFIG_NUMBER, "7776000",
    NODE (accounts.refresh_token_lifetime),
    "Seconds after which a client that has not refreshed its access token must sign in again; 0: "
    "never.",
    .min = 0, .max = 315360000 },
  { "accounts", "account_data_quota", CM_CONFIG_SIZE, "10M", NODE (accounts.account_data_quota),
    "How much clients of one user may keep as account data: settings, tags and the like.", .min = 1,
    .max = G_GINT64_CONSTANT (1) << 40 },

  { "federation", "enabled", CM_CONFIG_FLAG, "true", NODE (federation.enabled),
    "Whether to talk to other servers at all." },
  { "federation", "ca_file", CM_CONFIG_FILE, NULL, NODE (federation.ca_file),
    "PEM file of authorities to trust instead of the system's." },
  { "federation", "verify_tls", CM_CONFIG_FLAG, "true", NODE (federation.verify_tls),
    "Whether other servers' certificates are checked." },
  { "federation", "resolve", CM_CONFIG_MAP, "", NODE (federation.resolve),
    "Where to find servers without asking well-known or DNS: "
    "example.org=10.0.0.5:8448;other.org=host:443" },
  { "federation", "trusted_key_servers", CM_CONFIG_NAMES, "", NODE (federation.trusted_key_servers),
    "Servers that vouch for the keys of those that do not answer." },
  { "federation", "public_rooms", CM_CONFIG_FLAG, "false", NODE (federation.public_rooms),
    "Whether other servers, and people without a token, may read the room directory." },
  { "federation", "device_names", CM_CONFIG_FLAG, "false", NODE (federation.device_names),
    "Whether other servers see the names of devices." },

  { "outbound", "allow", CM_CONFIG_RANGES, "", NODE (outbound.allow),
    "Private address ranges that may be connected to all the same: 10.1.0.0/16;::1" },
  { "outbound", "verify_tls", CM_CONFIG_FLAG, "true", NODE (outbound.verify_tls),
    "Whether certificates are checked." },
  { "outbound", "ca_file", CM_CONFIG_FILE, NULL, NODE (outbound.ca_file),
    "PEM file of authorities to trust instead of the system's." },

  { "limits", "enabled", CM_CONFIG_FLAG, "true", NODE (limits.enabled),
    "Whether there are limits." },
  { "limits", "login", CM_CONFIG_RATE, "0.2;10", RATE (CM_LIMIT_LOGIN),
    "Sign-ins, by address and by account." },
  { "limits", "register", CM_CONFIG_RATE, "0.1;10", RATE (CM_LIMIT_REGISTER),
    "New accounts, by address." },
  { "limits", "send", CM_CONFIG_RATE, "20;200", RATE (CM_LIMIT_SEND),
    "Events and to-device messages, by user." },
  { "limits", "join", CM_CONFIG_RATE, "1;30", RATE (CM_LIMIT_JOIN), "Joins and knocks, by user." },
  { "limits", "invite", CM_CONFIG_RATE, "1;50", RATE (CM_LIMIT_INVITE),
    "Invites, by user who makes them; those of other servers by user who gets them." },
  { "limits", "read", CM_CONFIG_RATE, "50;500", RATE (CM_LIMIT_READ),
    "Everything that only reads, by user." },
  { "limits", "heavy", CM_CONFIG_RATE, "5;50", RATE (CM_LIMIT_HEAVY),
    "Search, directories, key claims, previews, by user." },
  { "limits", "media", CM_CONFIG_RATE, "10;100", RATE (CM_LIMIT_MEDIA),
    "Uploads and downloads, by user." },
  { "limits", "remote_media", CM_CONFIG_RATE, "10;1000", RATE (CM_LIMIT_REMOTE_MEDIA),
    "Megabytes fetched from other servers, each file one at least, by user." },
  { "limits", "federation", CM_CONFIG_RATE, "100;1000", RATE (CM_LIMIT_FEDERATION),
    "Requests of other servers, by server." },

  { "ldap", "uri", CM_CONFIG_TEXT, NULL, NODE (ldap.uri),
    "ldaps://directory.example.org; empty: no directory." },
  { "ldap", "start_tls", CM_CONFIG_FLAG, "false", NODE (ldap.start_tls),
    "Ask an ldap:// server for TLS first." },
  { "ldap", "ca_file", CM_CONFIG_FILE, NULL, NODE (ldap.ca_file),
    "PEM file of authorities to trust instead of the system's." },
  { "ldap", "bind_dn", CM_CONFIG_TEXT, NULL, NODE (ldap.bind_dn),
    "Who searches; empty: anonymous." },
  { "ldap", "bind_password_file", CM_CONFIG_FILE, NULL, NODE (ldap.bind_password_file),
    "A file whose first line is the password of bind_dn." },
  { "ldap", "user_base", CM_CONFIG_TEXT, NULL, NODE (ldap.user_base),
    "The subtree in which people stand. Required with uri." },
  { "ldap", "user_filter", CM_CONFIG_TEXT, "(objectClass=inetOrgPerson)", NODE (ldap.user_filter),
    "Who of them may sign in." },
  { "ldap", "localpart_attribute", CM_CONFIG_TEXT, "uid", NODE (ldap.localpart_attribute),
    "What people type as their name, and what stands before the colon in their user id." },
  { "ldap", "display_name_attribute", CM_CONFIG_TEXT, "displayName",
    NODE (ldap.display_name_attribute),
    "The display name of a new account; cn where it is absent." },
  { "ldap", "mail_attribute", CM_CONFIG_TEXT, "mail", NODE (ldap.mail_attribute),
    "The mail address of a new account." },

  { "rooms", "default_version", CM_CONFIG_TEXT, "12", NODE (rooms.default_version),
    "The room version of new rooms: 10, 11 or 12." },
  { "rooms", "encrypt_by_default", CM_CONFIG_FLAG, "false", NODE (rooms.encrypt_by_default),
    "Whether private rooms are made encrypted even when the client does not ask." },

  { "media", "max_upload", CM_CONFIG_SIZE, "50M", NODE (media.max_upload),
    "The largest upload: a number of bytes, K, M or G. It is held in memory as it comes.", .min = 1,
    .max = 256 << 20 },
  { "media", "user_quota", CM_CONFIG_SIZE, "20G", NODE (media.user_quota),
    "How much one user may have uploaded.", .min = 1, .max = G_GINT64_CONSTANT (1) << 50 },
  { "media", "remote_cache", CM_CONFIG_SIZE, "10G", NODE (media.remote_cache),
    "How much of other servers' files is kept; those longest unused go first.", .min = 1,
    .max = G_GINT64_CONSTANT (1) << 50 },
  { "media", "thumbnail_cache", CM_CONFIG_SIZE, "5G", NODE (media.thumbnail_cache),
    "How much thumbnails take; the oldest go first, and are made again when they are wanted.",
    .min = 1, .max = G_GINT64_CONSTANT (1) << 50 },
  { "media", "path", CM_CONFIG_PATH, NULL, NODE (media.path),
    "Where files lie. Default: media in data_dir" },

  { "appservices", "files", CM_CONFIG_FILES, "", NODE (appservices.files),
    "Registration files (YAML) of application services. This version does not read them, and says "
    "so at start." },
  { NULL, NULL, 0, NULL, 0, NULL },
};

const CmConfigKey *
cm_config_key_find (const char *group, const char *key)
{
  for (const CmConfigKey *row = cm_config_keys; row->group; row++) {
    if (strcmp (row->group, group) == 0 && strcmp (row->key, key) == 0)
      return row;
  }
  return NULL;
}
