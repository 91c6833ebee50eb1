/* Who fetches the keys of which server: one thread at a time, and none for a while after a fetch
 * that did not bring what was wanted. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CmKeyClaims CmKeyClaims;

CmKeyClaims *cm_key_claims_new (void);
void cm_key_claims_free (CmKeyClaims *claims);

/* TRUE: the caller fetches @server now, and calls cm_key_claims_release. */
gboolean cm_key_claims_take (CmKeyClaims *claims, const char *server);
/* @satisfied: what was wanted is there; @answered: the server spoke at least. */
void cm_key_claims_release (CmKeyClaims *claims, const char *server, gboolean satisfied,
                            gboolean answered);
/* Until nobody fetches @server. */
void cm_key_claims_wait (CmKeyClaims *claims, const char *server);

G_END_DECLS
