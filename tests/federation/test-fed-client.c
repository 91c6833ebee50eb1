#include "federation/fed-client.h"
#include "federation/x-matrix.h"
#include "tests/federation/fake-resolver.h"
#include "tests/federation/peer.h"

#include <string.h>

typedef struct {
  FakeResolver *resolver;
  Authority *authority;
  Peer *peer;
  CmOutbound *outbound;
  CmDiscovery *discovery;
  CmSigningKey *key;
  CmFedClient *client;
  char *server; /* the peer's name */
  unsigned status;
  const char *answer;
  char *seen; /* the last request's X-Matrix header, NULL when there was none */
  PeerRequest last;
} Fixture;

static gboolean
respond (const PeerRequest *request, GOutputStream *out, gpointer data)
{
  Fixture *f = data;

  g_free (f->seen);
  f->seen = peer_request_header (request, "Authorization");
  g_free (f->last.target);
  f->last.target = g_strdup (request->target);
  g_clear_pointer (&f->last.body, g_bytes_unref);
  f->last.body = request->body != NULL ? g_bytes_ref (request->body) : NULL;
  return peer_reply (out, f->status, NULL, f->answer);
}

static void
setup (Fixture *f, gconstpointer data)
{
  static const char *const allow[] = { "127.0.0.1", NULL };
  g_autoptr (GTlsCertificate) certificate = NULL;

  f->status = 200;
  f->answer = "{\"a\":1}";
  f->resolver = fake_resolver_new ();
  fake_resolver_add (f->resolver, "a.test", "127.0.0.1");
  f->authority = authority_new ();
  certificate = authority_sign (f->authority, "DNS:a.test,DNS:srv.test", 5);
  f->peer = peer_new (certificate, respond, f);
  f->server = g_strdup_printf ("a.test:%u", peer_port (f->peer));
  f->outbound = cm_outbound_new (&(CmOutboundPolicy){ .allow = allow,
                                                      .verify_tls = TRUE,
                                                      .ca_file = authority_file (f->authority),
                                                      .resolver = G_RESOLVER (f->resolver) },
                                 NULL);
  f->discovery = cm_discovery_new (f->outbound, NULL, NULL);
  f->key = cm_signing_key_generate ();
  f->client = cm_fed_client_new (f->outbound, f->discovery, "here.test", f->key);
}

static void
teardown (Fixture *f, gconstpointer data)
{
  cm_fed_client_free (f->client);
  cm_discovery_free (f->discovery);
  cm_outbound_free (f->outbound);
  peer_free (f->peer);
  g_object_unref (f->resolver);
  authority_free (f->authority);
  cm_signing_key_unref (f->key);
  g_free (f->server);
  g_free (f->seen);
  g_free (f->last.target);
  g_clear_pointer (&f->last.body, g_bytes_unref);
}

static CmJsonDoc *
ask (Fixture *f, const char *server, unsigned *status, GError **error)
{
  return cm_fed_call (f->client, server, &(CmFedRequest){ .method = "GET", .target = "/_matrix/x" },
                      status, error);
}

/* The peer can verify the request from what it received. */
static void
test_signed (Fixture *f, gconstpointer data)
{
  g_autoptr (CmJsonDoc) content = cm_json_parse ("{\"b\":[1, 2],\"a\":\"\303\244\"}", 21, NULL);
  g_autofree char *target =
      cm_fed_path ("/_matrix/federation/v1/send/%s/%s?x=%s", "!a/b:c", "", "\303\244 +");
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) answer = NULL;
  g_autoptr (CmXMatrix) header = NULL;
  g_autoptr (CmJsonDoc) received = NULL;

  g_assert_cmpstr (target, ==, "/_matrix/federation/v1/send/%21a%2Fb%3Ac/?x=%C3%A4%20%2B");
  answer = cm_fed_call (
      f->client, f->server,
      &(CmFedRequest){ .method = "PUT", .target = target, .content = cm_json_doc_root (content) },
      NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (cm_json_get_integer (cm_json_doc_root (answer), "a", 0), ==, 1);
  g_assert_cmpstr (f->last.target, ==, target);
  header = cm_x_matrix_parse (f->seen, NULL);
  received = cm_json_parse_bytes (f->last.body, NULL);
  g_assert_cmpstr (header->origin, ==, "here.test");
  g_assert_cmpstr (header->destination, ==, f->server);
  g_assert_true (cm_x_matrix_verify (header, "PUT", f->last.target, f->server,
                                     cm_json_doc_root (received), cm_signing_key_public (f->key),
                                     NULL));
}

static void
test_unsigned (Fixture *f, gconstpointer data)
{
  g_autoptr (CmJsonDoc) answer = cm_fed_call (
      f->client, f->server,
      &(CmFedRequest){ .method = "GET", .target = "/_matrix/key", .unsigned_request = TRUE }, NULL,
      NULL);

  g_assert_nonnull (answer);
  g_assert_null (f->seen);
}

static void
test_errors (Fixture *f, gconstpointer data)
{
  static const struct {
    unsigned status;
    const char *answer;
    gint code;
    const char *message;
  } rows[] = {
    { 403, "{\"errcode\":\"M_FORBIDDEN\",\"error\":\"no\"}", CM_ERROR_FORBIDDEN, "no" },
    { 404, "{\"errcode\":\"M_UNRECOGNIZED\"}", CM_ERROR_UNRECOGNIZED,
      "The server refused the request" },
    { 400, "{\"errcode\":\"M_INCOMPATIBLE_ROOM_VERSION\",\"error\":\"x\"}",
      CM_ERROR_INCOMPATIBLE_ROOM_VERSION, "x" },
    /* A peer must not log our user out. */
    { 401, "{\"errcode\":\"M_UNKNOWN_TOKEN\",\"error\":\"x\"}", CM_ERROR_BAD_GATEWAY, "x" },
    { 403, "{\"errcode\":\"M_USER_DEACTIVATED\",\"error\":\"x\"}", CM_ERROR_BAD_GATEWAY, "x" },
    { 404, "<html>", CM_ERROR_BAD_GATEWAY, "The server refused the request" },
    { 500, "{\"errcode\":\"M_FORBIDDEN\"}", CM_ERROR_BAD_GATEWAY,
      "The server answered with status 500" },
    { 200, "[]", CM_ERROR_BAD_GATEWAY, "The server's answer is no JSON object" },
    { 200, "{\"a\":1,}", CM_ERROR_BAD_GATEWAY, "The server's answer is no JSON object" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    unsigned status = 0;
    g_autoptr (GError) error = NULL;

    f->status = rows[i].status;
    f->answer = rows[i].answer;
    g_assert_null (ask (f, f->server, &status, &error));
    g_assert_error (error, CM_ERROR, rows[i].code);
    g_assert_cmpstr (error->message, ==, rows[i].message);
    g_assert_cmpuint (status, ==, rows[i].status);
    g_assert_cmpint (cm_backoff_until (cm_fed_client_backoff (f->client), f->server), ==, 0);
  }
}

static void
test_backs_off (Fixture *f, gconstpointer data)
{
  guint before;
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) answer = NULL;

  f->status = 503;
  g_assert_null (ask (f, f->server, NULL, NULL));
  g_assert_cmpint (cm_backoff_until (cm_fed_client_backoff (f->client), f->server), >, 0);
  before = peer_accepted (f->peer);
  g_clear_pointer (&f->seen, g_free);
  g_assert_null (ask (f, f->server, NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_BAD_GATEWAY);
  g_assert_null (f->seen);
  g_assert_cmpuint (peer_accepted (f->peer), ==, before);

  f->status = 200;
  cm_fed_client_heard (f->client, f->server);
  answer = ask (f, f->server, NULL, NULL);
  g_assert_nonnull (answer);

  g_assert_null (ask (f, "a.test:1", NULL, NULL));
  g_assert_cmpint (cm_backoff_until (cm_fed_client_backoff (f->client), "a.test:1"), >, 0);
}

/* The first SRV target is dead, the second answers. */
static void
test_next_candidate (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) answer = NULL;

  fake_resolver_add_service (f->resolver, "_matrix-fed._tcp.srv.test", "gone.test", 1, 1);
  fake_resolver_add_service (f->resolver, "_matrix-fed._tcp.srv.test", "a.test",
                             peer_port (f->peer), 2);
  answer = ask (f, "srv.test", NULL, &error);
  g_assert_no_error (error);
}

#define ADD(name, func) g_test_add (name, Fixture, NULL, setup, func, teardown)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/fed-client/signed", test_signed);
  ADD ("/fed-client/unsigned", test_unsigned);
  ADD ("/fed-client/errors", test_errors);
  ADD ("/fed-client/backs-off", test_backs_off);
  ADD ("/fed-client/next-candidate", test_next_candidate);
  return g_test_run ();
}
