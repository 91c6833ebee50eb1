/* Who signed a request of another server (server-server, "Request Authentication"). */
#pragma once

#include "server/node.h"
#include "server/http/call.h"

G_BEGIN_DECLS

/* CmAuthenticators.federation: the requester is the server whose key signed. Nobody is asked for
 * keys. CM_ERROR_UNAUTHORIZED. */
CmRequester *cm_federation_authenticate (CmNode *node, CmCall *call, GError **error);

/* CmAuthenticators.federation_is_known: every key that the request names is in memory or in the
 * database. */
gboolean cm_federation_is_known (CmNode *node, CmCall *call);
/* CmAuthenticators.federation_meet: fetches one that is not. Blocking. CM_ERROR_UNAUTHORIZED. */
gboolean cm_federation_meet (CmNode *node, CmCall *call, GError **error);

G_END_DECLS
