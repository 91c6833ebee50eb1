/* Who signed a request of another server (server-server, "Request Authentication"). */
#pragma once

#include "server/node.h"
#include "server/http/call.h"

G_BEGIN_DECLS

/* CmAuthenticators.federation: the requester is the server whose key signed. May ask that server,
 * or a notary, for the key. CM_ERROR_UNAUTHORIZED. */
CmRequester *cm_federation_authenticate (CmNode *node, CmCall *call, GError **error);

/* CmAuthenticators.federation_is_known: the keys that the request names are in memory or in the
 * database. */
gboolean cm_federation_is_known (CmNode *node, CmCall *call);

G_END_DECLS
