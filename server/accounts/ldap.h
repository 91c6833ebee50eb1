/* One conversation with a directory, bounded as a whole. Libldap's own limits do not cover all of
 * it (a TLS handshake that is never answered, answers that come in drops). */
#pragma once

#include "server/accounts/watchdog.h"
#include "server/config/config.h"

#include <ldap.h>

G_BEGIN_DECLS

/* One is wanted, two tell that a name is not unique. */
#define CM_LDAP_SIZE_LIMIT 2

typedef struct {
  LDAP *handle;
  struct ldap_conncb callbacks;
  CmWatchdog *watchdog;
  CmWatch *watch; /* NULL before the connection is made */
} CmLdap;

/* (transfer full) not yet bound as anybody, but set to TLS with a demanded certificate (or a unix
 * socket); StartTLS has been done, ldaps connects with the first request. NULL with an LDAP result
 * code in *@code. */
CmLdap *cm_ldap_open (const CmConfig *config, CmWatchdog *watchdog, int *code);
void cm_ldap_close (CmLdap *ldap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmLdap, cm_ldap_close)

/* A simple bind; returns an LDAP result code. */
int cm_ldap_bind (CmLdap *ldap, const char *dn, const char *password);

G_END_DECLS
