/* The inside of a call: for the edge, which fills in the request and takes the answer, and for the
 * router, which fills in the rest before a handler sees it. */
#pragma once

#include "server/http/budget.h"
#include "server/http/http-server.h"
#include "server/router/route.h"

G_BEGIN_DECLS

typedef struct _CmLoop CmLoop;
typedef struct _CmConn CmConn;

typedef struct {
  const char *name;
  const char *value;
} CmPair;

/* Takes the answer of a call that came from inside the house, or hears that there will be none: any
 * thread, once. */
typedef void (*CmCallAnswered) (CmCall *call, gpointer data);

struct _CmCall {
  gint refs;
  CmLoop *loop; /* a reference; NULL for a call from inside */
  CmCallAnswered answered;
  gpointer answered_data;
  CmNode *node;
  CmServe serve;
  gint64 started_us;

  /* The request, complete before any other thread sees the call. */
  const char *method; /* static */
  char *target;
  gsize path_length;
  char *address;
  CmPair *headers; /* one block with their text, like the next two */
  guint n_headers;
  CmPair *query;
  guint n_query;
  GBytes *body;
  CmCharge body_charge; /* for the body of a call that its client may have left */

  /* Filled in by the router. */
  const CmRoute *route;
  CmPair *params;
  guint n_params;
  const char *token; /* in a header or the query */
  CmRequester *requester;
  CmJsonDoc *doc;
  CmCharge doc_charge;

  /* The answer; any thread. */
  CmReply *reply; /* atomic: set once */
  gint gone;      /* atomic */
  gint lock;      /* bit 0 guards gone_funcs */
  GSList *gone_funcs;
  gint posted; /* atomic: stands in the loop's stack */
  CmCall *next_posted;

  /* Of the loop's thread only; NULL once the connection has let go. */
  CmConn *conn;
};

/* @method must be static; the address is copied, the loop referenced. */
CmCall *cm_call_new (CmLoop *loop, CmNode *node, CmServe serve, const char *target);

/* A call that no connection carries: @answered is called when it has its reply. */
CmCall *cm_call_new_inside (CmNode *node, const char *method, const char *target, GBytes *body,
                            CmCallAnswered answered, gpointer data);

/* Decodes the query. CM_ERROR_INVALID_PARAM when it does not decode. */
gboolean cm_call_parse_query (CmCall *call, GError **error);

/* Tells whoever asked for it, on the loop's thread, once. */
void cm_call_set_gone (CmCall *call);

CmReply *cm_call_get_reply (const CmCall *call);
/* Puts @reply (taken) in place of the one that is there: on the loop's thread, before that is sent.
 */
void cm_call_change_reply (CmCall *call, CmReply *reply);

G_END_DECLS
