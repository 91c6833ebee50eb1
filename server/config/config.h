/* The node's configuration: a GKeyFile read once, checked as a whole and immutable from then on.
 * One const table (config-keys.c) says which groups and keys there are, of which type, with which
 * default; reading, the generated sample, the manual page's check and the errors all come from it.
 * To add a key: a field here, a row there. */
#pragma once

#include "crypto/password.h"
#include "server/http/http-server.h"
#include "server/log.h"
#include "server/router/limits.h"

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _CmConfig CmConfig;
struct _CmConfig {
  struct {
    char *server_name;
    char *public_baseurl; /* without a slash at its end */
    char *data_dir;
    char *signing_key;
    char *user; /* nullable */
    CmLogLevel log_level;
    GPtrArray *trusted_proxies; /* of GInetAddressMask */
  } node;
  CmListener *listeners;
  gsize n_listeners;
  struct {
    char *dsn; /* NULL: the private cluster */
    gint64 connections;
  } database;
  struct {
    gboolean open;
    gboolean guests;
    char *shared_secret; /* nullable */
  } registration;
  struct {
    CmPasswordCost password_cost;
    gint64 access_token_lifetime;  /* seconds */
    gint64 refresh_token_lifetime; /* seconds; 0: no end */
    gint64 account_data_quota;     /* bytes, of one user */
  } accounts;
  struct {
    gboolean enabled;
    char *ca_file; /* nullable: the system's authorities */
    gboolean verify_tls;
    GHashTable *resolve; /* server name -> "host:port" */
    char **trusted_key_servers;
    gboolean public_rooms;
    gboolean device_names;
  } federation;
  struct {
    GPtrArray *allow; /* of GInetAddressMask */
    gboolean verify_tls;
    char *ca_file; /* nullable */
  } outbound;
  struct {
    gboolean enabled;
    CmRate rates[CM_LIMIT_LAST];
  } limits;
  struct {
    char *uri; /* NULL: no directory */
    gboolean start_tls;
    char *ca_file;            /* nullable */
    char *bind_dn;            /* nullable: anonymous search */
    char *bind_password_file; /* nullable */
    char *user_base;
    char *user_filter;
    char *localpart_attribute;
    char *display_name_attribute;
    char *mail_attribute;
  } ldap;
  struct {
    char *default_version;
    gboolean encrypt_by_default;
  } rooms;
  struct {
    gint64 max_upload;      /* bytes, as the rest */
    gint64 user_quota;      /* of all uploads of one user */
    gint64 remote_cache;    /* of copies of other servers' files */
    gint64 thumbnail_cache; /* of thumbnails */
    char *path;
  } media;
  struct {
    char **files;
  } appservices;
};

/* CM_ERROR_CONFIG; the message has one line for every fault, each naming its group and key. */
CmConfig *cm_config_load (const char *path, GError **error);
CmConfig *cm_config_parse (const char *text, GError **error);
void cm_config_free (CmConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmConfig, cm_config_free)

/* (transfer container) of static texts: what in @config weakens security, for the log at start. */
GPtrArray *cm_config_weaknesses (const CmConfig *config);
/* (transfer container) of static texts: what @config asks for and this version does not do. */
GPtrArray *cm_config_unheeded (const CmConfig *config);

/* (transfer full) a commented file that runs as it is, every other key shown with its default. */
char *cm_config_generate (const char *server_name, const char *data_dir);

/* Whether @address (text, without brackets or port) is in one of @ranges (of GInetAddressMask). */
gboolean cm_config_ranges_match (const GPtrArray *ranges, const char *address);

G_END_DECLS
