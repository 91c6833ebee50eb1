/* The edge under TLS: the same answers, and no TLS older than 1.2. */
#include "http-support.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>
#include <unistd.h>

#define EDGE   "/_matrix/client/v3/edge"
#define LANE   "/_matrix/client/v3/lane"
#define UPLOAD "/_matrix/client/v3/upload"

static CmReply *
handle_hello (CmCall *call, GError **error)
{
  return cm_reply_empty ();
}

static const CmRoute routes[] = {
  { "GET", EDGE, CM_AUTH_NONE, 0, CM_LANE_EDGE, CM_BODY_NONE, handle_hello, 0 },
  { "GET", LANE, CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_NONE, handle_hello, 0 },
  { "POST", UPLOAD, CM_AUTH_NONE, 0, CM_LANE_CLIENT, CM_BODY_RAW, handle_hello, 100000 },
  CM_ROUTES_END,
};

typedef struct {
  char *folder, *key, *certificate;
  TestEdge *edge;
  guint16 port;
} Fixture;

static void
write_datum (const char *path, gnutls_datum_t *datum)
{
  g_assert_true (g_file_set_contents (path, (const char *) datum->data, datum->size, NULL));
  gnutls_free (datum->data);
}

static void
make_certificate (Fixture *f)
{
  gnutls_x509_privkey_t key;
  gnutls_x509_crt_t certificate;
  gnutls_datum_t datum;

  gnutls_x509_privkey_init (&key);
  gnutls_x509_privkey_generate (key, GNUTLS_PK_ECDSA,
                                GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0);
  gnutls_x509_privkey_export2 (key, GNUTLS_X509_FMT_PEM, &datum);
  write_datum (f->key, &datum);
  gnutls_x509_crt_init (&certificate);
  gnutls_x509_crt_set_version (certificate, 3);
  gnutls_x509_crt_set_serial (certificate, "\1", 1);
  gnutls_x509_crt_set_activation_time (certificate, time (NULL) - 3600);
  gnutls_x509_crt_set_expiration_time (certificate, time (NULL) + 3600);
  gnutls_x509_crt_set_dn (certificate, "CN=localhost", NULL);
  gnutls_x509_crt_set_key (certificate, key);
  g_assert_cmpint (gnutls_x509_crt_sign2 (certificate, certificate, key, GNUTLS_DIG_SHA256, 0), ==,
                   0);
  gnutls_x509_crt_export2 (certificate, GNUTLS_X509_FMT_PEM, &datum);
  write_datum (f->certificate, &datum);
  gnutls_x509_crt_deinit (certificate);
  gnutls_x509_privkey_deinit (key);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  g_autoptr (GError) error = NULL;

  f->folder = g_dir_make_tmp ("comity-tls-XXXXXX", NULL);
  f->key = g_build_filename (f->folder, "key.pem", NULL);
  f->certificate = g_build_filename (f->folder, "certificate.pem", NULL);
  make_certificate (f);
  f->edge = test_edge_new (1, routes, NULL);
  const CmListener listener = {
    .name = "tls",
    .address = "127.0.0.1",
    .serve = CM_SERVE_CLIENT,
    .tls_certificate = f->certificate,
    .tls_key = f->key,
  };
  g_assert_true (cm_http_server_listen (f->edge->node.http, &listener, &error));
  f->port = cm_http_server_port (f->edge->node.http, "tls");
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  test_edge_free (f->edge);
  g_remove (f->key);
  g_remove (f->certificate);
  g_rmdir (f->folder);
  g_free (f->key);
  g_free (f->certificate);
  g_free (f->folder);
}

typedef struct {
  gnutls_session_t session;
  gnutls_certificate_credentials_t credentials;
  int fd;
} Client;

/* FALSE when the handshake fails. */
static gboolean
client_open (Client *client, guint16 port, const char *priorities)
{
  int code;

  client->fd = test_connect (port);
  gnutls_certificate_allocate_credentials (&client->credentials);
  gnutls_init (&client->session, GNUTLS_CLIENT);
  g_assert_cmpint (gnutls_priority_set_direct (client->session, priorities, NULL), ==, 0);
  gnutls_credentials_set (client->session, GNUTLS_CRD_CERTIFICATE, client->credentials);
  gnutls_transport_set_int (client->session, client->fd);
  gnutls_handshake_set_timeout (client->session, 5000);
  gnutls_record_set_timeout (client->session, 5000);
  do
    code = gnutls_handshake (client->session);
  while (code < 0 && !gnutls_error_is_fatal (code));
  return code == 0;
}

static void
client_close (Client *client)
{
  gnutls_deinit (client->session);
  gnutls_certificate_free_credentials (client->credentials);
  close (client->fd);
}

static gboolean
client_send (Client *client, const char *text, gsize length)
{
  while (length > 0) {
    gssize sent = gnutls_record_send (client->session, text, length);
    if (sent < 0 && gnutls_error_is_fatal ((int) sent))
      return FALSE;
    text += MAX (sent, 0);
    length -= (gsize) MAX (sent, 0);
  }
  return TRUE;
}

/* What comes until @end is in it, or the end of the connection. */
static char *
client_read (Client *client, const char *end)
{
  GString *text = g_string_new (NULL);
  char buffer[4096];

  while (strstr (text->str, end) == NULL) {
    gssize got = gnutls_record_recv (client->session, buffer, sizeof buffer);
    if (got == 0 || (got < 0 && gnutls_error_is_fatal ((int) got)) || got == GNUTLS_E_TIMEDOUT)
      break;
    g_string_append_len (text, buffer, MAX (got, 0));
  }
  return g_string_free (text, FALSE);
}

static void
test_answers (Fixture *f, gconstpointer data)
{
  Client client;

  g_assert_true (client_open (&client, f->port, "NORMAL"));
  for (guint i = 0; i < 20; i++) {
    g_autofree char *request =
        g_strdup_printf ("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", i % 2 ? LANE : EDGE);
    client_send (&client, request, strlen (request));
    g_autofree char *answer = client_read (&client, "\r\n\r\n{}");
    g_assert_true (g_str_has_prefix (answer, "HTTP/1.1 200 OK\r\n"));
    g_assert_true (g_str_has_suffix (answer, "\r\n\r\n{}"));
  }
  client_close (&client);
}

/* CVE-2024-52805: the refusal in the midst of a body goes through the TLS session too. */
static void
test_endless_chunks (Fixture *f, gconstpointer data)
{
  static const char head[] =
      "POST " UPLOAD " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  g_autofree char *chunk = g_strnfill (4096, 'a');
  Client client;
  gsize sent = 0;

  g_assert_true (client_open (&client, f->port, "NORMAL"));
  client_send (&client, head, strlen (head));
  while (sent < 300 * 1024 && client_send (&client, "1000\r\n", 6) &&
         client_send (&client, chunk, 4096) && client_send (&client, "\r\n", 2))
    sent += 4096;
  g_autofree char *answer = client_read (&client, "}");
  g_assert_true (g_str_has_prefix (answer, "HTTP/1.1 413 "));
  g_assert_nonnull (strstr (answer, "M_TOO_LARGE"));
  client_close (&client);
}

static void
test_versions (Fixture *f, gconstpointer data)
{
  static const struct {
    const char *priorities;
    gboolean good;
  } table[] = {
    { "NORMAL:-VERS-ALL:+VERS-TLS1.3", TRUE },
    { "NORMAL:-VERS-ALL:+VERS-TLS1.2", TRUE },
    { "NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT", FALSE },
    { "NORMAL:-VERS-ALL:+VERS-TLS1.0:%COMPAT", FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (table); i++) {
    Client client;
    g_assert_true (client_open (&client, f->port, table[i].priorities) == table[i].good);
    client_close (&client);
  }
}

static void
test_bad_listeners (Fixture *f, gconstpointer data)
{
  const CmListener listeners[] = {
    { .name = "x", .address = "127.0.0.1", .tls_certificate = "/nowhere", .tls_key = f->key },
    { .name = "x", .address = "127.0.0.1", .tls_certificate = f->certificate },
    { .name = "x", .address = "127.0.0.1", .tls_certificate = f->key, .tls_key = f->key },
    { .name = "x", .address = "not an address" },
    { .name = "x", .address = "127.0.0.1", .port = f->port },
  };

  for (guint i = 0; i < G_N_ELEMENTS (listeners); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_false (cm_http_server_listen (f->edge->node.http, &listeners[i], &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_CONFIG);
    g_assert_nonnull (strstr (error->message, "Listener x"));
  }
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/tls/answers", test_answers);
  ADD ("/tls/inbound-body-size/CVE-2024-52805", test_endless_chunks);
  ADD ("/tls/versions", test_versions);
  ADD ("/tls/bad-listeners", test_bad_listeners);
  return g_test_run ();
}
