/* The company's directory (LDAP): who somebody is, and whether the password is theirs. Searches as
 * the node, then binds as the person, always under TLS with a demanded certificate. Blocking:
 * CM_LANE_BLOCKING only. A directory that does not answer is left alone for some seconds, so that
 * it does not hold every thread of that lane. */
#pragma once

#include "server/config/config.h"

G_BEGIN_DECLS

typedef struct _CmDirectory CmDirectory;

/* @config stays the caller's. */
CmDirectory *cm_directory_new (const CmConfig *config);
void cm_directory_free (CmDirectory *directory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmDirectory, cm_directory_free)

typedef struct {
  char *dn;
  char *id;           /* entryUUID: stays the same when the entry is renamed or moved; nullable */
  char *display_name; /* nullable */
  char *mail;         /* nullable */
} CmPerson;

void cm_person_free (CmPerson *person);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmPerson, cm_person_free)

/**
 * cm_directory_sign_in: the one person whose localpart attribute is @localpart, if @password is
 * theirs. When nobody has that name, the entry with @id, which had it once.
 *
 * @localpart: of the grammar of user ids. @id: what cm_directory_sign_in told before; nullable.
 * @password: empty ones are refused before anything is
 * asked, since directories take them for an anonymous bind (RFC 4513, 5.1.2). Returns: (transfer
 * full) NULL with CM_ERROR_FORBIDDEN, the same for all that is wrong with the credentials; or
 * CM_ERROR_UNAVAILABLE.
 */
CmPerson *cm_directory_sign_in (CmDirectory *directory, const char *localpart, const char *id,
                                const char *password, GError **error);

/* Whether the directory has somebody of this name. */
gboolean
cm_directory_has (CmDirectory *directory, const char *localpart, gboolean *has, GError **error);

G_END_DECLS
