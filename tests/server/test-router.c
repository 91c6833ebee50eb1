#include "http-support.h"

#include "server/router/trie.h"

#include <string.h>
#include <unistd.h>

/* Says which handler ran, on whose behalf, and with what. */
static CmReply *
reply_with (CmCall *call, const char *handler)
{
  static const char *const names[] = { "roomId", "eventType", "stateKey", "userId" };
  g_autoptr (GString) text = g_string_new (handler);

  g_string_append_printf (text, " %s", cm_call_user (call) ? cm_call_user (call) : "-");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (cm_call_param (call, names[i]) != NULL)
      g_string_append_printf (text, " %s=<%s>", names[i], cm_call_param (call, names[i]));
  gsize length = text->len;
  return cm_reply_new (200, "text/plain",
                       g_bytes_new_take (g_string_free (g_steal_pointer (&text), FALSE), length));
}

#define HANDLER(name)                                                                              \
  static CmReply *handle_##name (CmCall *call, GError **error)                                     \
  {                                                                                                \
    return reply_with (call, #name);                                                               \
  }

HANDLER (get_type)
HANDLER (get_state)
HANDLER (put_state)
HANDLER (members)
HANDLER (any_event)
HANDLER (rules)
HANDLER (hello)
HANDLER (admin)

static CmReply *
handle_json (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, "got", cm_call_json (call));
  cm_json_close (writer);
  return cm_reply_json (writer);
}

static CmReply *
handle_fail (CmCall *call, GError **error)
{
  const char *what = cm_call_query (call, "what");

  if (g_strcmp0 (what, "own") == 0)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "You may not");
  else if (g_strcmp0 (what, "database") == 0)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_DATABASE, "SELECT secret FROM t");
  else if (g_strcmp0 (what, "foreign") == 0)
    g_set_error_literal (error, G_FILE_ERROR, 1, "/etc/secret: no such file");
  return NULL;
}

static CmReply *
handle_numbers (CmCall *call, GError **error)
{
  g_autoptr (GPtrArray) names = cm_call_query_all (call, "name");
  gint64 limit;

  if (!cm_call_query_integer (call, "limit", 10, 1, 100, &limit, error))
    return NULL;
  char *text = g_strdup_printf ("%" G_GINT64_FORMAT " %u %s", limit, names->len,
                                names->len > 1 ? (char *) names->pdata[1] : "-");
  return cm_reply_new (200, "text/plain", g_bytes_new_take (text, strlen (text)));
}

#define V3    "/_matrix/client/v3/"
#define ROOM  V3 "rooms/{roomId}/"
#define PLAIN CM_LIMIT_NONE, CM_LANE_CLIENT, CM_BODY_NONE

static const CmRoute routes[] = {
  { "GET", ROOM "state/{eventType}", CM_AUTH_NONE, PLAIN, handle_get_type, 0 },
  { "GET", ROOM "state/{eventType}/{stateKey}", CM_AUTH_NONE, PLAIN, handle_get_state, 0 },
  { "PUT", ROOM "state/{eventType}/{stateKey}", CM_AUTH_NONE, PLAIN, handle_put_state, 0 },
  { "GET", ROOM "members", CM_AUTH_NONE, PLAIN, handle_members, 0 },
  { "PUT", ROOM "{eventType}", CM_AUTH_NONE, PLAIN, handle_any_event, 0 },
  { "GET", V3 "pushrules/", CM_AUTH_NONE, PLAIN, handle_rules, 0 },
  { "GET", "/_matrix/client/v1/hello", CM_AUTH_NONE, PLAIN, handle_hello, 0 },
  { "GET", V3 "token", CM_AUTH_TOKEN, PLAIN, handle_hello, 0 },
  { "GET", V3 "optional", CM_AUTH_TOKEN_OPTIONAL, PLAIN, handle_hello, 0 },
  { "GET", V3 "quick", CM_AUTH_TOKEN, CM_LIMIT_NONE, CM_LANE_EDGE, CM_BODY_NONE, handle_hello, 0 },
  { "POST", V3 "json", CM_AUTH_TOKEN, CM_LIMIT_NONE, CM_LANE_CLIENT, CM_BODY_JSON, handle_json, 0 },
  { "POST", V3 "maybe", CM_AUTH_NONE, CM_LIMIT_NONE, CM_LANE_CLIENT, CM_BODY_JSON_OPTIONAL,
    handle_json, 0 },
  { "GET", V3 "fail", CM_AUTH_NONE, PLAIN, handle_fail, 0 },
  { "GET", V3 "numbers", CM_AUTH_NONE, PLAIN, handle_numbers, 0 },
  { "GET", V3 "limited", CM_AUTH_TOKEN_OPTIONAL, CM_LIMIT_SEND, CM_LANE_CLIENT, CM_BODY_NONE,
    handle_hello, 0 },
  { "PUT", "/_matrix/federation/v1/send", CM_AUTH_FEDERATION, CM_LIMIT_NONE, CM_LANE_FEDERATION,
    CM_BODY_JSON, handle_json, 0 },
  { "GET", "/_matrix/key/v2/server", CM_AUTH_NONE, PLAIN, handle_hello, 0 },
  { "GET", "/_synapse/admin/v1/register", CM_AUTH_NONE, PLAIN, handle_admin, 0 },
  CM_ROUTES_END,
};

typedef struct {
  const char *method, *target, *body;
  guint status;
  const char *expected; /* a part of the body */
} Ask;

static void
ask_all (const Ask *table, guint n, const CmRate *rates)
{
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, rates);

  for (guint i = 0; i < n; i++) {
    g_autoptr (TestAnswer) answer =
        test_ask (edge->port, table[i].method, table[i].target, table[i].body);
    g_test_message ("%s %s", table[i].method, table[i].target);
    g_assert_nonnull (answer);
    g_test_message ("%s %s: %u %s", table[i].method, table[i].target, answer->status, answer->body);
    g_assert_cmpuint (answer->status, ==, table[i].status);
    if (table[i].expected != NULL)
      g_assert_nonnull (strstr (answer->body, table[i].expected));
  }
}

static void
test_match (void)
{
  static const Ask table[] = {
    { "GET", V3 "rooms/!r:a/state/m.name", NULL, 200,
      "get_type - roomId=<!r:a> eventType=<m.name>" },
    { "GET", V3 "rooms/!r:a/state/m.name/", NULL, 200,
      "get_state - roomId=<!r:a> eventType=<m.name> stateKey=<>" },
    { "GET", V3 "rooms/!r:a/state/m.name/k", NULL, 200, "stateKey=<k>" },
    { "PUT", V3 "rooms/!r:a/state/m.name/k", NULL, 200, "put_state" },
    { "GET", "/_matrix/client/r0/rooms/!r:a/members", NULL, 200, "members" },
    { "GET", "/_matrix/client/v1/rooms/!r:a/members", NULL, 404, "M_UNRECOGNIZED" },
    { "GET", V3 "rooms/!r:a/members?x=/y", NULL, 200, "members" },
    { "GET", V3 "rooms/!r:a/members/", NULL, 404, "M_UNRECOGNIZED" },
    { "GET", V3 "rooms//members", NULL, 404, "M_UNRECOGNIZED" },
    { "GET", V3 "rooms/!r:a/m%65mbers", NULL, 405, "M_UNRECOGNIZED" },
    /* A literal beats a parameter, but not when its method is another. */
    { "PUT", V3 "rooms/!r:a/members", NULL, 200, "any_event - roomId=<!r:a> eventType=<members>" },
    { "POST", V3 "rooms/!r:a/members", NULL, 405, "M_UNRECOGNIZED" },
    { "GET", V3 "pushrules/", NULL, 200, "rules" },
    { "GET", V3 "pushrules", NULL, 404, "M_UNRECOGNIZED" },
    { "GET", "/_matrix/client/v1/hello", NULL, 200, "hello" },
    { "GET", "/_matrix/client/r0/hello", NULL, 404, "M_UNRECOGNIZED" },
    { "GET", "/", NULL, 404, "M_UNRECOGNIZED" },
    { "GET", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t", NULL, 404, "M_UNRECOGNIZED" },
    { "OPTIONS", V3 "token", NULL, 204, NULL },
    { "OPTIONS", "/anything", NULL, 204, NULL },
    /* Decoded after the split, and once. */
    { "GET", V3 "rooms/!a%2Fb%252F:a/members", NULL, 200, "roomId=<!a/b%2F:a>" },
    { "GET", V3 "rooms/!a+b/members", NULL, 200, "roomId=<!a+b>" },
    { "GET", V3 "rooms/%ff/members", NULL, 400, "M_INVALID_PARAM" },
    /* Admin only, and this listener is not for that. */
    { "GET", "/_synapse/admin/v1/register", NULL, 404, "M_UNRECOGNIZED" },
  };

  ask_all (table, G_N_ELEMENTS (table), NULL);
}

static void
test_serve (void)
{
  static const struct {
    const char *path;
    CmServe serve;
  } table[] = {
    { "/_matrix/client/v1/hello", CM_SERVE_CLIENT },
    { "/_matrix/media/v3/x", CM_SERVE_CLIENT },
    { "/.well-known/matrix/server", CM_SERVE_CLIENT | CM_SERVE_FEDERATION },
    { "/_matrix/key/v2/server", CM_SERVE_CLIENT | CM_SERVE_FEDERATION },
    { "/_matrix/federation/v1/send", CM_SERVE_FEDERATION },
    { "/_synapse/admin/v1/register", CM_SERVE_ADMIN },
    { "/_comity/metrics", CM_SERVE_ADMIN },
  };
  CmSegment segments[CM_TRIE_MAX_SEGMENTS];
  CmTrie *trie = cm_trie_new ();
  CmRoute rows[G_N_ELEMENTS (table)];
  gboolean known;

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    rows[i] = (CmRoute){ "GET", table[i].path, CM_AUTH_NONE, PLAIN, handle_hello, 0 };
    cm_trie_add (trie, &rows[i]);
  }
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    for (guint serve = 1; serve <= CM_SERVE_ADMIN; serve <<= 1) {
      const CmMatch *match = cm_trie_match (trie, "GET", serve, table[i].path,
                                            strlen (table[i].path), segments, &known);
      g_assert_true ((match != NULL) == ((table[i].serve & serve) != 0));
      g_assert_true (known == (match != NULL));
    }
  cm_trie_free (trie);
}

static void
test_token (void)
{
  static const Ask table[] = {
    { "GET", V3 "token", NULL, 401, "M_MISSING_TOKEN" },
    { "GET", V3 "token?access_token=good", NULL, 200, "hello @good:test" },
    { "GET", V3 "token?access_token=bad", NULL, 401, "M_UNKNOWN_TOKEN" },
    { "GET", V3 "quick?access_token=good", NULL, 200, "hello @good:test" },
    { "GET", V3 "quick?access_token=bad", NULL, 401, "M_UNKNOWN_TOKEN" },
    { "GET", V3 "optional", NULL, 200, "hello -" },
    { "GET", V3 "optional?access_token=good", NULL, 200, "hello @good:test" },
    { "GET", V3 "optional?access_token=bad", NULL, 401, "M_UNKNOWN_TOKEN" },
  };
  static const struct {
    const char *header, *query;
    guint status;
  } headers[] = {
    { "Bearer good", "", 200 },
    { "bearer  good", "", 200 },
    { "Bearer good", "?access_token=good", 200 },
    { "Bearer good", "?access_token=admin", 401 },
    { "Bearer bad", "?access_token=good", 401 },
    { "Basic good", "", 401 },
    { "Bearergood", "", 401 },
    { "Bearer", "", 401 },
  };

  ask_all (table, G_N_ELEMENTS (table), NULL);
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (headers); i++) {
    int fd = test_connect (edge->port);
    test_print (fd, "GET " V3 "token%s HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\n\r\n",
                headers[i].query, headers[i].header);
    g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
    g_assert_cmpuint (answer->status, ==, headers[i].status);
    close (fd);
  }
}

static void
test_body (void)
{
  static const Ask table[] = {
    { "POST", V3 "json?access_token=good", "{\"a\":[1]}", 200, "{\"got\":{\"a\":[1]}}" },
    { "POST", V3 "json?access_token=good", "", 400, "M_NOT_JSON" },
    { "POST", V3 "json?access_token=good", "{\"a\":}", 400, "M_NOT_JSON" },
    { "POST", V3 "json?access_token=good", "{\"a\":1,\"a\":2}", 400, "M_NOT_JSON" },
    { "POST", V3 "json?access_token=good", "[1]", 400, "M_BAD_JSON" },
    { "POST", V3 "json?access_token=good", "null", 400, "M_BAD_JSON" },
    /* Who may not call learns nothing of the body. */
    { "POST", V3 "json?access_token=bad", "{\"a\":}", 401, "M_UNKNOWN_TOKEN" },
    { "POST", V3 "json", "{\"a\":}", 401, "M_MISSING_TOKEN" },
    { "POST", V3 "maybe", "", 200, "{\"got\":{}}" },
    { "POST", V3 "maybe", "{\"a\":1}", 200, "{\"got\":{\"a\":1}}" },
    { "POST", V3 "maybe", "x", 400, "M_NOT_JSON" },
    { "PUT", "/_matrix/federation/v1/send", "{}", 401, "M_UNAUTHORIZED" },
    { "PUT", "/_matrix/federation/v1/send?access_token=good", "{}", 401, "M_UNAUTHORIZED" },
  };

  ask_all (table, G_N_ELEMENTS (table), NULL);
}

/* CVE-2024-52805: the limit depends on who asks, and holds before it is known whether the token is
 * good. */
static void
test_body_limits (void)
{
  static const struct {
    const char *request;
    gsize length;
    guint status;
  } table[] = {
    { "POST " V3 "maybe", 64 * 1024, 200 },
    { "POST " V3 "maybe", 64 * 1024 + 1, 413 },
    { "POST " V3 "json?access_token=good", 1024 * 1024, 200 },
    { "POST " V3 "json?access_token=bad", 1024 * 1024 + 1, 413 },
    { "POST " V3 "json", 1024 * 1024, 401 },
    { "PUT /_matrix/federation/v1/send", 2 * 1024 * 1024, 401 },
  };
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autofree char *body = g_strnfill (table[i].length, ' ');
    int fd = test_connect (edge->port);
    memcpy (body, "{}", 2);
    test_print (fd, "%s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", table[i].request,
                table[i].length);
    if (table[i].status != 401) /* without any token nothing at all is waited for */
      test_send (fd, body, table[i].length);
    g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
    g_assert_nonnull (answer);
    g_assert_cmpuint (answer->status, ==, table[i].status);
    close (fd);
  }
}

static void
test_federation (void)
{
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);
  int fd = test_connect (edge->port);

  test_print (
      fd,
      "PUT /_matrix/federation/v1/send HTTP/1.1\r\nHost: a\r\nAuthorization: X-Matrix origin=b\r\n"
      "Content-Length: 7\r\n\r\n{\"a\":1}");
  g_autoptr (TestAnswer) answer = test_read (fd, FALSE);
  g_assert_cmpuint (answer->status, ==, 200);
  g_assert_cmpstr (answer->body, ==, "{\"got\":{\"a\":1}}");
  close (fd);
}

/* class log-and-error-disclosure: what is ours goes to the log, and an id to the client. */
static void
test_errors (void)
{
  g_autoptr (TestEdge) edge = test_edge_new (1, routes, NULL);
  static const struct {
    const char *target;
    guint status;
    const char *errcode;
  } table[] = {
    { V3 "fail?what=own", 403, "\"M_FORBIDDEN\",\"error\":\"You may not\"" },
    { V3 "fail?what=database", 500, "\"M_UNKNOWN\",\"error\":\"Internal error " },
    { V3 "fail?what=foreign", 500, "\"M_UNKNOWN\",\"error\":\"Internal error " },
    { V3 "fail", 500, "\"M_UNKNOWN\",\"error\":\"Internal error " },
  };

  g_log_set_always_fatal (G_LOG_FATAL_MASK);
  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (TestAnswer) answer = test_ask (edge->port, "GET", table[i].target, NULL);
    g_assert_cmpuint (answer->status, ==, table[i].status);
    g_assert_nonnull (strstr (answer->body, table[i].errcode));
    g_assert_null (strstr (answer->body, "secret"));
  }
}

static void
test_query (void)
{
  static const Ask table[] = {
    { "GET", V3 "numbers", NULL, 200, "10 0 -" },
    { "GET", V3 "numbers?limit=7", NULL, 200, "7 0 -" },
    { "GET", V3 "numbers?limit=1000", NULL, 200, "100 0 -" },
    { "GET", V3 "numbers?limit=99999999999999999999", NULL, 200, "100 0 -" },
    { "GET", V3 "numbers?limit=0", NULL, 400, "M_INVALID_PARAM" },
    { "GET", V3 "numbers?limit=-99999999999999999999", NULL, 400, "M_INVALID_PARAM" },
    { "GET", V3 "numbers?limit=1x", NULL, 400, "M_INVALID_PARAM" },
    { "GET", V3 "numbers?limit=", NULL, 400, "M_INVALID_PARAM" },
    { "GET", V3 "numbers?limit=+5", NULL, 400, "M_INVALID_PARAM" },
    { "GET", V3 "numbers?name=a&&name=b%26c+d&name=&x", NULL, 200, "10 3 b&c d" },
  };

  ask_all (table, G_N_ELEMENTS (table), NULL);
}

static void
test_limit (void)
{
  static const CmRate rates[CM_LIMIT_LAST] = { [CM_LIMIT_SEND] = { 0.01, 2 } };
  static const Ask table[] = {
    { "GET", V3 "limited", NULL, 200, NULL },
    { "GET", V3 "limited", NULL, 200, NULL },
    { "GET", V3 "limited", NULL, 429, "M_LIMIT_EXCEEDED" },
    { "GET", V3 "limited?access_token=good", NULL, 200, NULL },
    { "GET", V3 "limited?access_token=good", NULL, 200, NULL },
    { "GET", V3 "limited?access_token=good", NULL, 429, "retry_after_ms" },
    { "GET", V3 "limited?access_token=bot", NULL, 200, NULL },
    { "GET", V3 "limited?access_token=bot", NULL, 200, NULL },
    { "GET", V3 "limited?access_token=bot", NULL, 200, NULL },
    { "GET", V3 "token?access_token=good", NULL, 200, NULL },
  };

  ask_all (table, G_N_ELEMENTS (table), rates);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/router/match", test_match);
  g_test_add_func ("/router/serve", test_serve);
  g_test_add_func ("/router/token", test_token);
  g_test_add_func ("/router/body", test_body);
  g_test_add_func ("/router/inbound-body-size/CVE-2024-52805", test_body_limits);
  g_test_add_func ("/router/federation", test_federation);
  g_test_add_func ("/router/log-and-error-disclosure", test_errors);
  g_test_add_func ("/router/query", test_query);
  g_test_add_func ("/router/limit", test_limit);
  return g_test_run ();
}
