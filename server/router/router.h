/* Matches raw path segments against the tables, authenticates, limits, parses the body, picks a
 * lane, runs the handler and turns its error into a reply. Unknown paths are 404 M_UNRECOGNIZED,
 * known paths with another method 405; OPTIONS and CORS as the client-server API says ("Web Browser
 * Clients"). */
#pragma once

#include "server/http/http-server.h"
#include "server/router/route.h"

G_BEGIN_DECLS

typedef struct _CmRouter CmRouter;

/* How the router learns who asks: filled in by server/accounts and federation's X-Matrix check,
 * handed over at construction. Each may run on the lane of the route (they may use the database)
 * and returns NULL with an error to refuse. */
typedef struct {
  CmRequester *(*token) (CmNode *node, CmCall *call, const char *token, CmAuth auth,
                         GError **error);
  CmRequester *(*federation) (CmNode *node, CmCall *call, GError **error);
  /* Whether federation() can tell without asking another server; if not, federation_meet() is
   * called first, and no body is read for whom it refuses. */
  gboolean (*federation_is_known) (CmNode *node, CmCall *call);
  gboolean (*federation_meet) (CmNode *node, CmCall *call, GError **error);
} CmAuthenticators;

CmRouter *cm_router_new (CmNode *node, const CmAuthenticators *authenticators,
                         const CmRoute *const *tables, gsize n_tables);
void cm_router_free (CmRouter *router);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmRouter, cm_router_free)

/* For cm_http_server_new. */
gssize cm_router_head (CmCall *call, CmReply **reply, gpointer router);
void cm_router_call (CmCall *call, gpointer router);

/* Reads the body of a call of another server anew, after cm_call_forget_doc.
 * CM_ERROR_LIMIT_EXCEEDED when there is no room for it. */
gboolean cm_router_read_again (CmCall *call, GError **error);

/* 0, or how long (ms) who asks must wait before he may have one more of @class. For handlers whose
 * request is of a class by what its body says. */
gint64 cm_call_take_limit (CmCall *call, CmLimitClass class);

G_END_DECLS
