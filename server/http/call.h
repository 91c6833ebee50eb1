/* One request on its way through the house: what was asked (immutable once dispatched), who asks
 * (set by the router), and the one answer. Reference-counted; may be answered from any thread,
 * exactly once. */
#pragma once

#include "crypto/json.h"
#include "server/http/reply.h"

G_BEGIN_DECLS

typedef struct _CmCall CmCall;
typedef struct _CmNode CmNode; /* the composition root, server/node.h */

/* Who asks, as the router's authentication found out. Immutable. */
typedef struct {
  char *user_id;   /* NULL for anonymous and federation calls */
  char *device_id; /* NULL for application services without one */
  gint64 user;     /* sym of user_id, 0 when none */
  gint64 token;    /* row of the access token, 0 when none */
  gboolean guest;
  gboolean admin;
  gboolean suspended; /* and may call this route; its handler may have to look closer */
  char *appservice;   /* id of the application service whose token was used */
  char *origin;       /* the server that signed a federation request */
} CmRequester;

void cm_requester_free (CmRequester *requester);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmRequester, cm_requester_free)

CmCall *cm_call_ref (CmCall *call);
void cm_call_unref (CmCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmCall, cm_call_unref)

CmNode *cm_call_node (const CmCall *call);
const char *cm_call_method (const CmCall *call);
/* The raw request target, path and query, exactly as it stood in the request line (what federation
 * signs). */
const char *cm_call_target (const CmCall *call);
const char *cm_call_header (const CmCall *call, const char *name);
/* Every value of a header that may be repeated, in order (transfer container). */
GPtrArray *cm_call_headers (const CmCall *call, const char *name);
/* The client's address as text (after a trusted proxy's X-Forwarded-For). */
const char *cm_call_address (const CmCall *call);

/* A path parameter of the route ("roomId"), percent-decoded, valid UTF-8 without NUL. Never NULL
 * for a name of the route's pattern. */
const char *cm_call_param (const CmCall *call, const char *name);
/* The first value of a query parameter, decoded likewise; NULL when absent. */
const char *cm_call_query (const CmCall *call, const char *name);
/* All values of a query parameter (transfer container), for server_name=a&server_name=b. */
GPtrArray *cm_call_query_all (const CmCall *call, const char *name);
/* An integer query parameter within @min and @max (clamped to @max above it): @value gets it, or
 * @fallback when absent. FALSE with CM_ERROR_INVALID_PARAM otherwise. */
gboolean cm_call_query_integer (const CmCall *call, const char *name, gint64 fallback, gint64 min,
                                gint64 max, gint64 *value, GError **error);

/* A query parameter that is "true" or "false", which is also what an absent one means. FALSE with
 * CM_ERROR_INVALID_PARAM for anything else. */
gboolean
cm_call_query_boolean (const CmCall *call, const char *name, gboolean *value, GError **error);

GBytes *cm_call_body (const CmCall *call);
/* The root object of a JSON body; the router has parsed it for every route that says CM_BODY_JSON.
 */
const CmJson *cm_call_json (const CmCall *call);
CmJsonDoc *cm_call_doc (const CmCall *call);
/* Lets go of that, ahead of the call. */
void cm_call_forget_doc (CmCall *call);

const CmRequester *cm_call_requester (const CmCall *call);
const char *cm_call_user (const CmCall *call); /* requester's user id */
const char *cm_call_device (const CmCall *call);
const char *cm_call_origin (const CmCall *call);

/* Answers (transfer full). Later answers are dropped and logged. */
void cm_call_reply (CmCall *call, CmReply *reply);
/* Answers with what a handler returned: @reply (transfer full) or @error; not when it answers
 * later.
 */
void cm_call_finish (CmCall *call, CmReply *reply, const GError *error);
/* For a handler that will call cm_call_reply later, from anywhere: takes its own reference first,
 * then returns this. */
#define CM_REPLY_LATER (cm_reply_later ())
CmReply *cm_reply_later (void);

/* TRUE once the client hung up or the node is closing: whoever holds the call should let go. */
gboolean cm_call_is_gone (const CmCall *call);
/* @func runs once on the edge's thread when the client hangs up before the answer (soon, if it has
 * already), but never before this returns. It may run while another thread answers: @data must live
 * as long as anybody might answer. */
typedef void (*CmCallGone) (CmCall *call, gpointer data);
void cm_call_on_gone (CmCall *call, CmCallGone func, gpointer data);

G_END_DECLS
