#include "server/router/router.h"

#include "server/config/config.h"
#include "server/http/call-private.h"
#include "server/http/percent.h"
#include "server/node.h"
#include "server/router/hand-over.h"
#include "server/router/lanes.h"
#include "server/router/limits.h"
#include "server/router/trie.h"

#include <string.h>

#define LARGE_BODY (512 * 1024)

/* A document beyond this counts towards what documents of other servers may take at a time, beside
 * the one that is being read. There is room for two of the largest, one of an address. */
#define SMALL_DOC ((gsize) 1024 * 1024)
#define MAX_DOCS  ((gsize) 288 * 1024 * 1024)

struct _CmRouter {
  CmNode *node;
  GMutex large_bodies; /* held by whoever reads one */
  CmBudget *docs;
  CmAuthenticators authenticators;
  CmTrie *trie;
};

CmRouter *
cm_router_new (CmNode *node, const CmAuthenticators *authenticators, const CmRoute *const *tables,
               gsize n_tables)
{
  CmRouter *router = g_new0 (CmRouter, 1);

  router->node = node;
  router->authenticators = *authenticators;
  g_mutex_init (&router->large_bodies);
  router->docs = cm_budget_new (MAX_DOCS, MAX_DOCS / 2);
  router->trie = cm_trie_new ();
  for (gsize i = 0; i < n_tables; i++)
    for (const CmRoute *route = tables[i]; route->path != NULL; route++)
      cm_trie_add (router->trie, route);
  return router;
}

void
cm_router_free (CmRouter *router)
{
  if (router == NULL)
    return;
  cm_trie_free (router->trie);
  cm_budget_unref (router->docs);
  g_mutex_clear (&router->large_bodies);
  g_free (router);
}

static gboolean
decode_params (CmCall *call, const CmMatch *match, const CmSegment *segments, GError **error)
{
  guint n = g_strv_length (match->names);
  gsize size = n * sizeof (CmPair);

  for (guint i = 0; i < n; i++)
    size += segments[i].length + 1;
  call->params = g_malloc (size);
  char *out = (char *) (call->params + n);
  for (guint i = 0; i < n; i++) {
    gssize written = cm_percent_decode (segments[i].text, segments[i].length, FALSE, out);
    if (written < 0) {
      g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "%s is not percent-encoded UTF-8",
                   match->names[i]);
      return FALSE;
    }
    call->params[i] = (CmPair){ match->names[i], out };
    out += written + 1;
  }
  call->n_params = n;
  return TRUE;
}

static const CmMatch *
match_call (CmRouter *router, CmCall *call, GError **error)
{
  CmSegment segments[CM_TRIE_MAX_SEGMENTS];
  gboolean known, known_as_get = FALSE;
  const CmMatch *match = cm_trie_match (router->trie, call->method, call->serve, call->target,
                                        call->path_length, segments, &known);

  if (match == NULL && strcmp (call->method, "HEAD") == 0)
    match = cm_trie_match (router->trie, "GET", call->serve, call->target, call->path_length,
                           segments, &known_as_get);
  if (match == NULL && (known || known_as_get)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_WRONG_METHOD, "Wrong method for this path");
    return NULL;
  }
  if (match == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNRECOGNIZED, "Unrecognized request");
    return NULL;
  }
  return decode_params (call, match, segments, error) ? match : NULL;
}

static gboolean
is_token_auth (CmAuth auth)
{
  return auth != CM_AUTH_NONE && auth != CM_AUTH_FEDERATION;
}

/* The value of an Authorization header of @scheme, which is compared as RFC 9110, 11.1 says. */
static const char *
credentials (const CmCall *call, const char *scheme)
{
  const char *value = cm_call_header (call, "Authorization");
  gsize length = strlen (scheme);

  if (value == NULL || g_ascii_strncasecmp (value, scheme, length) != 0 || value[length] != ' ')
    return NULL;
  value += length;
  return value + strspn (value, " ");
}

/* Decides about credentials as far as can be seen without looking them up, so that who has none
 * sends no body. */
static gboolean
find_credentials (CmCall *call, CmAuth auth, GError **error)
{
  if (call->requester != NULL)
    return TRUE;
  if (auth == CM_AUTH_FEDERATION) {
    if (credentials (call, "X-Matrix") != NULL)
      return TRUE;
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNAUTHORIZED, "Missing X-Matrix authorization");
    return FALSE;
  }
  if (!is_token_auth (auth))
    return TRUE;

  const char *header = credentials (call, "Bearer");
  const char *query = cm_call_query (call, "access_token");
  if (header != NULL && query != NULL && strcmp (header, query) != 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNKNOWN_TOKEN, "Two different access tokens");
    return FALSE;
  }
  call->token = header != NULL ? header : query;
  if (call->token == NULL && auth != CM_AUTH_TOKEN_OPTIONAL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_MISSING_TOKEN, "Missing access token");
    return FALSE;
  }
  return TRUE;
}

/* How large a file may be is configured, all else is in the table. */
static gsize
max_body_of (const CmRouter *router, const CmMatch *match)
{
  if (match->route->body == CM_BODY_RAW && router->node->config != NULL)
    return (gsize) router->node->config->media.max_upload;
  return match->max_body;
}

gssize
cm_router_head (CmCall *call, CmReply **reply, gpointer data)
{
  CmRouter *router = data;
  g_autoptr (GError) error = NULL;

  /* "Web Browser Clients": a preflight has no other effect, whatever its path. */
  if (strcmp (call->method, "OPTIONS") == 0) {
    *reply = cm_reply_new (204, NULL, NULL);
    return -1;
  }
  const CmMatch *match = match_call (router, call, &error);
  if (match == NULL || !cm_call_parse_query (call, &error) ||
      !find_credentials (call, match->route->auth, &error)) {
    *reply = cm_reply_error (error);
    return -1;
  }
  call->route = match->route;
  return (gssize) max_body_of (router, match);
}

static gboolean
authenticate (CmRouter *router, CmCall *call, GError **error)
{
  CmAuth auth = call->route->auth;
  const CmAuthenticators *authenticators = &router->authenticators;

  /* A call from inside the house comes with its requester. */
  if (call->requester != NULL || (auth != CM_AUTH_FEDERATION && call->token == NULL))
    return TRUE;
  if (auth == CM_AUTH_FEDERATION && authenticators->federation != NULL)
    call->requester = authenticators->federation (router->node, call, error);
  else if (auth != CM_AUTH_FEDERATION && authenticators->token != NULL)
    call->requester = authenticators->token (router->node, call, call->token, auth, error);
  else
    g_set_error_literal (error, CM_ERROR, CM_ERROR_UNKNOWN_TOKEN, "Unknown access token");
  return call->requester != NULL;
}

/* Application services are trusted with their own pace. */
gint64
cm_call_take_limit (CmCall *call, CmLimitClass class)
{
  const CmRequester *requester = call->requester;
  CmLimits *limits = call->node->limits;

  if (call->loop == NULL || (requester != NULL && requester->appservice != NULL))
    return 0;
  if (requester != NULL && requester->user_id != NULL)
    return cm_limits_take (limits, class, requester->user_id);
  if (requester != NULL && requester->origin != NULL)
    return cm_limits_take (limits, class, requester->origin);
  g_autofree char *key = cm_limits_address_key (call->address);
  return cm_limits_take (limits, class, key);
}

static gboolean
parse_body (CmCall *call, GError **error)
{
  gsize length = 0;
  const char *text = call->body != NULL ? g_bytes_get_data (call->body, &length) : "";

  if (call->route->body == CM_BODY_JSON_OPTIONAL && length == 0) {
    text = "{}";
    length = 2;
  } else if (call->route->body != CM_BODY_JSON && call->route->body != CM_BODY_JSON_OPTIONAL) {
    return TRUE;
  }
  call->doc = cm_json_parse_object (text, length, error);
  return call->doc != NULL;
}

static gboolean
charge_doc (CmRouter *router, CmCall *call, GError **error)
{
  gsize size = cm_json_doc_size (call->doc);

  if (size <= SMALL_DOC || cm_charge_take (&call->doc_charge, router->docs, call->address, size))
    return TRUE;
  return cm_fail (error, CM_ERROR_LIMIT_EXCEEDED, "Too many large requests at a time");
}

/* What a server signed includes the body, so there it must be read first: of anybody, and JSON of
 * the wrong kind takes many times its length. So of large ones only one is looked at at a time, and
 * no more than some are kept (class fed-body-memory). */
static gboolean
prove_server (CmRouter *router, CmCall *call, GError **error)
{
  gboolean large = call->body != NULL && g_bytes_get_size (call->body) > LARGE_BODY;

  if (large)
    g_mutex_lock (&router->large_bodies);
  gboolean good = parse_body (call, error) && authenticate (router, call, error) &&
                  charge_doc (router, call, error);
  if (!good)
    cm_call_forget_doc (call);
  if (large)
    g_mutex_unlock (&router->large_bodies);
  return good;
}

gboolean
cm_router_read_again (CmCall *call, GError **error)
{
  return call->doc != NULL || prove_server (call->node->router, call, error);
}

static CmReply *
run_call (CmRouter *router, CmCall *call, GError **error)
{
  gboolean federation = call->route->auth == CM_AUTH_FEDERATION;

  if (federation ? !prove_server (router, call, error) : !authenticate (router, call, error))
    return NULL;
  gint64 wait_ms = cm_call_take_limit (call, call->route->limit);
  if (wait_ms > 0)
    return cm_reply_limited (wait_ms);
  if (!federation && !parse_body (call, error))
    return NULL;
  /* Who asks had to be known first. */
  if (call->route->lane == CM_LANE_REMOTE)
    return cm_call_hand_over (call, CM_LANE_REMOTE, call->route->handler, error);
  return call->route->handler (call, error);
}

static void
answer_call (CmCall *call)
{
  g_autoptr (GError) error = NULL;
  CmReply *reply = run_call (call->node->router, call, &error);

  /* A client may take its time to read the answer. */
  if (reply != CM_REPLY_LATER)
    cm_call_forget_doc (call);
  cm_call_finish (call, reply, error);
}

static void
answer_busy (CmCall *call)
{
  g_autoptr (GError) error =
      g_error_new_literal (CM_ERROR, CM_ERROR_UNAVAILABLE, "The server is too busy");

  cm_call_reply (call, cm_reply_error (error));
}

static void
work_on_stranger (gpointer data)
{
  g_autoptr (CmCall) call = data;
  const CmAuthenticators *authenticators = &call->node->router->authenticators;
  g_autoptr (GError) error = NULL;

  if (call->route->auth == CM_AUTH_FEDERATION &&
      !authenticators->federation_meet (call->node, call, &error))
    cm_call_finish (call, NULL, error);
  else
    answer_call (call);
}

/* Whoever makes this server look for a key waits with others of his address, and in nobody's way
 * who is known (class fed-key-starvation). */
static void
push_stranger (CmCall *call)
{
  g_autofree char *key = cm_limits_address_key (call->address);

  if (cm_lanes_push_fair (call->node->lanes, CM_LANE_STRANGERS, key, work_on_stranger,
                          cm_call_ref (call)))
    return;
  cm_call_unref (call);
  answer_busy (call);
}

static gboolean
is_stranger (CmCall *call)
{
  const CmAuthenticators *authenticators = &call->node->router->authenticators;

  return call->route->auth == CM_AUTH_FEDERATION && call->requester == NULL &&
         authenticators->federation_is_known != NULL &&
         !authenticators->federation_is_known (call->node, call);
}

static void
work_on_call (gpointer data)
{
  g_autoptr (CmCall) call = data;

  /* Nobody waits any more for what was to be read; what was to be written is written all the same.
   */
  if (cm_call_is_gone (call) && strcmp (call->route->method, "GET") == 0)
    answer_busy (call);
  else if (is_stranger (call))
    push_stranger (call);
  else
    answer_call (call);
}

/* Calls of fair lanes are looked at where there is no waiting for anybody. */
static CmLane
first_lane (const CmCall *call)
{
  return call->route->lane == CM_LANE_REMOTE ? CM_LANE_CLIENT : call->route->lane;
}

void
cm_router_call (CmCall *call, gpointer data)
{
  CmRouter *router = data;

  if (call->route->lane == CM_LANE_EDGE) {
    answer_call (call);
    return;
  }
  if (call->route->lane == CM_LANE_STRANGERS) {
    push_stranger (call);
    return;
  }
  if (cm_lanes_push (router->node->lanes, first_lane (call), work_on_call, cm_call_ref (call)))
    return;
  cm_call_unref (call);
  answer_busy (call);
}
