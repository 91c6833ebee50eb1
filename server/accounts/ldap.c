#include "server/accounts/ldap.h"

#include <string.h>

#define TIMEOUT_S       4
#define CONVERSATION_MS 4000
#define SYSTEM_CA_FILE  "/etc/ssl/certs/ca-certificates.crt"

void
cm_ldap_close (CmLdap *ldap)
{
  if (!ldap)
    return;
  ldap_unbind_ext_s (ldap->handle, NULL, NULL);
  cm_watchdog_remove (ldap->watchdog, ldap->watch);
  g_free (ldap);
}

typedef struct {
  int option;
  const void *value;
} Option;

/* Called by libldap when the connection is made, before TLS. */
static int
on_connected (LDAP *ld, Sockbuf *socket, LDAPURLDesc *url, struct sockaddr *address,
              struct ldap_conncb *callbacks)
{
  CmLdap *ldap = callbacks->lc_arg;
  ber_socket_t fd = -1;
  ber_sockbuf_ctrl (socket, LBER_SB_OPT_GET_FD, &fd);
  cm_watchdog_remove (ldap->watchdog, ldap->watch);
  ldap->watch = cm_watchdog_add (ldap->watchdog, fd, CONVERSATION_MS);
  return ldap->watch ? 0 : -1;
}

static void
on_disconnected (LDAP *ld, Sockbuf *socket, struct ldap_conncb *callbacks)
{
}

static int
set_options (CmLdap *ldap, const Option *options, gsize n)
{
  for (gsize i = 0; i < n; i++) {
    int code = ldap_set_option (ldap->handle, options[i].option, options[i].value);
    if (code != LDAP_OPT_SUCCESS)
      return LDAP_LOCAL_ERROR;
  }
  return LDAP_SUCCESS;
}

/* Everything is said for each handle, so that neither a file nor the environment of the process has
 * a say. */
static int
configure (const CmConfig *config, CmLdap *ldap)
{
  static const int version = LDAP_VERSION3;
  static const int size_limit = CM_LDAP_SIZE_LIMIT;
  static const int time_limit = TIMEOUT_S;
  static const int deref = LDAP_DEREF_NEVER;
  static const int demand = LDAP_OPT_X_TLS_DEMAND;
  static const int tls_1_2 = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2;
  static const int client = 0;
  static const struct timeval timeout = { .tv_sec = TIMEOUT_S };
  const char *ca_file = config->ldap.ca_file ? config->ldap.ca_file : SYSTEM_CA_FILE;
  const Option options[] = {
    { LDAP_OPT_CONNECT_CB, &ldap->callbacks },
    { LDAP_OPT_PROTOCOL_VERSION, &version },
    { LDAP_OPT_REFERRALS, LDAP_OPT_OFF },
    { LDAP_OPT_RESTART, LDAP_OPT_ON },
    { LDAP_OPT_DEREF, &deref },
    { LDAP_OPT_SIZELIMIT, &size_limit },
    { LDAP_OPT_TIMELIMIT, &time_limit },
    { LDAP_OPT_NETWORK_TIMEOUT, &timeout },
    { LDAP_OPT_TIMEOUT, &timeout },
    { LDAP_OPT_X_TLS_REQUIRE_CERT, &demand },
    { LDAP_OPT_X_TLS_REQUIRE_SAN, &demand },
    { LDAP_OPT_X_TLS_PROTOCOL_MIN, &tls_1_2 },
    { LDAP_OPT_X_TLS_CACERTFILE, ca_file },
    { LDAP_OPT_X_TLS_NEWCTX, &client }, /* takes up those above, so it comes last */
  };
  return set_options (ldap, options, G_N_ELEMENTS (options));
}

CmLdap *
cm_ldap_open (const CmConfig *config, CmWatchdog *watchdog, int *code)
{
  LDAP *handle = NULL;
  *code = ldap_initialize (&handle, config->ldap.uri);
  if (*code != LDAP_SUCCESS)
    return NULL;
  g_autoptr (CmLdap) ldap = g_new0 (CmLdap, 1);
  ldap->handle = handle;
  ldap->watchdog = watchdog;
  ldap->callbacks =
      (struct ldap_conncb){ .lc_add = on_connected, .lc_del = on_disconnected, .lc_arg = ldap };
  *code = configure (config, ldap);
  /* Whatever the configuration says: what is not TLS from the start becomes so, or ends here. */
  if (*code == LDAP_SUCCESS && g_ascii_strncasecmp (config->ldap.uri, "ldap:", 5) == 0)
    *code = ldap_start_tls_s (handle, NULL, NULL);
  return *code == LDAP_SUCCESS ? g_steal_pointer (&ldap) : NULL;
}

int
cm_ldap_bind (CmLdap *ldap, const char *dn, const char *password)
{
  struct berval credentials = { .bv_len = strlen (password), .bv_val = (char *) password };
  return ldap_sasl_bind_s (ldap->handle, dn, LDAP_SASL_SIMPLE, &credentials, NULL, NULL, NULL);
}
