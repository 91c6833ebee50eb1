#include "tests/federation/peer.h"

#include "federation/outbound-types.h"

#include <glib/gstdio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

struct _Authority {
  EVP_PKEY *key;
  X509 *certificate;
  char *file;
  long serial;
};

struct _Peer {
  GSocketService *service;
  GMainContext *context;
  GMainLoop *loop;
  GThread *thread;
  GTlsCertificate *certificate;
  PeerFunc func;
  gpointer data;
  const char *address;
  guint16 wanted_port;
  gint port;
  gint accepted;
  gint open;
  GCancellable *stop;
};

static X509 *
make_certificate (EVP_PKEY *key, const char *name, long serial, int days)
{
  X509 *certificate = X509_new ();
  X509_NAME *subject = X509_get_subject_name (certificate);

  X509_set_version (certificate, 2);
  ASN1_INTEGER_set (X509_get_serialNumber (certificate), serial);
  X509_gmtime_adj (X509_getm_notBefore (certificate), -3L * 86400);
  X509_gmtime_adj (X509_getm_notAfter (certificate), days * 86400L);
  X509_set_pubkey (certificate, key);
  X509_NAME_add_entry_by_txt (subject, "CN", MBSTRING_ASC, (const guchar *) name, -1, -1, 0);
  return certificate;
}

static void
add_extension (X509 *certificate, int nid, const char *value)
{
  X509_EXTENSION *extension = X509V3_EXT_conf_nid (NULL, NULL, nid, value);

  g_assert_nonnull (extension);
  X509_add_ext (certificate, extension, -1);
  X509_EXTENSION_free (extension);
}

Authority *
authority_new (void)
{
  Authority *authority = g_new0 (Authority, 1);
  int fd = g_file_open_tmp ("comity-ca-XXXXXX.pem", &authority->file, NULL);
  FILE *file = fdopen (fd, "w");

  authority->key = EVP_EC_gen ("P-256");
  authority->certificate = make_certificate (authority->key, "Test authority", 1, 30);
  X509_set_issuer_name (authority->certificate, X509_get_subject_name (authority->certificate));
  add_extension (authority->certificate, NID_basic_constraints, "critical,CA:TRUE");
  X509_sign (authority->certificate, authority->key, EVP_sha256 ());
  PEM_write_X509 (file, authority->certificate);
  fclose (file);
  return authority;
}

void
authority_free (Authority *authority)
{
  g_unlink (authority->file);
  g_free (authority->file);
  X509_free (authority->certificate);
  EVP_PKEY_free (authority->key);
  g_free (authority);
}

const char *
authority_file (Authority *authority)
{
  return authority->file;
}

GTlsCertificate *
authority_sign (Authority *authority, const char *names, int days)
{
  EVP_PKEY *key = EVP_EC_gen ("P-256");
  X509 *certificate = make_certificate (key, "peer", ++authority->serial + 1, days);
  BIO *memory = BIO_new (BIO_s_mem ());
  GTlsCertificate *result;
  char *pem;
  long length;

  X509_set_issuer_name (certificate, X509_get_subject_name (authority->certificate));
  add_extension (certificate, NID_subject_alt_name, names);
  X509_sign (certificate, authority->key, EVP_sha256 ());
  PEM_write_bio_X509 (memory, certificate);
  PEM_write_bio_PrivateKey (memory, key, NULL, NULL, 0, NULL, NULL);
  length = BIO_get_mem_data (memory, &pem);
  result = g_tls_certificate_new_from_pem (pem, length, NULL);
  g_assert_nonnull (result);
  BIO_free (memory);
  X509_free (certificate);
  EVP_PKEY_free (key);
  return result;
}

char *
peer_request_header (const PeerRequest *request, const char *name)
{
  g_auto (GStrv) lines = g_strsplit (request->head, "\r\n", -1);

  for (gsize i = 1; lines[i] != NULL; i++) {
    char *colon = strchr (lines[i], ':');

    if (colon != NULL && strlen (name) == (gsize) (colon - lines[i]) &&
        g_ascii_strncasecmp (lines[i], name, colon - lines[i]) == 0)
      return g_strstrip (g_strdup (colon + 1));
  }
  return NULL;
}

gboolean
peer_reply (GOutputStream *out, unsigned status, const char *headers, const char *body)
{
  g_autofree char *text = g_strdup_printf ("HTTP/1.1 %u Status\r\nContent-Length: %zu\r\n%s\r\n%s",
                                           status, strlen (body), headers ? headers : "", body);

  return g_output_stream_write_all (out, text, strlen (text), NULL, NULL, NULL);
}

static gboolean
read_request (GDataInputStream *in, PeerRequest *request, GCancellable *stop)
{
  g_autoptr (GString) head = g_string_new (NULL);
  g_autofree char *length = NULL;
  g_auto (GStrv) words = NULL;

  for (;;) {
    g_autofree char *line = g_data_input_stream_read_line (in, NULL, stop, NULL);

    if (line == NULL)
      return FALSE;
    if (*line == '\0')
      break;
    g_string_append_printf (head, "%s\r\n", line);
  }
  words = g_strsplit (head->str, " ", 3);
  if (g_strv_length (words) != 3)
    return FALSE;
  request->method = g_strdup (words[0]);
  request->target = g_strdup (words[1]);
  request->head = g_strdup (head->str);
  length = peer_request_header (request, "Content-Length");
  if (length != NULL && g_ascii_strtoull (length, NULL, 10) > 0) {
    gsize size = g_ascii_strtoull (length, NULL, 10), got = 0;
    g_autofree char *buffer = g_malloc (size);

    if (!g_input_stream_read_all (G_INPUT_STREAM (in), buffer, size, &got, stop, NULL) ||
        got != size)
      return FALSE;
    request->body = g_bytes_new_take (g_steal_pointer (&buffer), size);
  }
  return TRUE;
}

static void
request_clear (PeerRequest *request)
{
  g_free (request->method);
  g_free (request->target);
  g_free (request->head);
  g_clear_pointer (&request->body, g_bytes_unref);
}

static void
serve (Peer *peer, GIOStream *stream, guint number)
{
  g_autoptr (GDataInputStream) in = g_data_input_stream_new (g_io_stream_get_input_stream (stream));
  gboolean more = TRUE;

  g_data_input_stream_set_newline_type (in, G_DATA_STREAM_NEWLINE_TYPE_CR_LF);
  while (more) {
    PeerRequest request = { .connection = number };

    more = read_request (in, &request, peer->stop) &&
           peer->func (&request, g_io_stream_get_output_stream (stream), peer->data);
    request_clear (&request);
  }
}

static gboolean
on_run (GThreadedSocketService *service, GSocketConnection *connection, GObject *source,
        gpointer data)
{
  Peer *peer = data;
  guint number = g_atomic_int_add (&peer->accepted, 1) + 1;
  g_autoptr (GIOStream) stream = G_IO_STREAM (g_object_ref (connection));

  g_atomic_int_inc (&peer->open);
  if (peer->func == NULL) {
    char byte;

    while (g_input_stream_read (g_io_stream_get_input_stream (stream), &byte, 1, peer->stop, NULL) >
           0)
      ;
  } else if (peer->certificate != NULL) {
    g_autoptr (GIOStream) tls = g_tls_server_connection_new (stream, peer->certificate, NULL);

    g_tls_connection_set_require_close_notify (G_TLS_CONNECTION (tls), FALSE);
    if (g_tls_connection_handshake (G_TLS_CONNECTION (tls), peer->stop, NULL))
      serve (peer, tls, number);
  } else {
    serve (peer, stream, number);
  }
  g_io_stream_close (stream, NULL, NULL);
  g_atomic_int_add (&peer->open, -1);
  return TRUE;
}

static gpointer
peer_main (gpointer data)
{
  Peer *peer = data;
  g_autoptr (GError) error = NULL;

  g_main_context_push_thread_default (peer->context);
  peer->service = g_threaded_socket_service_new (1000);
  g_signal_connect (peer->service, "run", G_CALLBACK (on_run), peer);
  {
    g_autoptr (GSocketAddress) address =
        g_inet_socket_address_new_from_string (peer->address, peer->wanted_port);
    g_autoptr (GSocketAddress) effective = NULL;

    g_socket_listener_add_address (G_SOCKET_LISTENER (peer->service), address, G_SOCKET_TYPE_STREAM,
                                   G_SOCKET_PROTOCOL_TCP, NULL, &effective, &error);
    g_assert_no_error (error);
    g_socket_service_start (peer->service);
    g_atomic_int_set (&peer->port,
                      g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (effective)));
  }
  g_main_loop_run (peer->loop);
  g_socket_service_stop (peer->service);
  g_socket_listener_close (G_SOCKET_LISTENER (peer->service));
  g_main_context_pop_thread_default (peer->context);
  return NULL;
}

Peer *
peer_new_at (const char *address, guint16 port, GTlsCertificate *certificate, PeerFunc func,
             gpointer data)
{
  Peer *peer = g_new0 (Peer, 1);

  peer->address = address;
  peer->wanted_port = port;
  peer->certificate = certificate != NULL ? g_object_ref (certificate) : NULL;
  peer->func = func;
  peer->data = data;
  peer->stop = g_cancellable_new ();
  peer->context = g_main_context_new ();
  peer->loop = g_main_loop_new (peer->context, FALSE);
  cm_outbound_register_types ();
  peer->thread = g_thread_new ("peer", peer_main, peer);
  while (g_atomic_int_get (&peer->port) == 0)
    g_usleep (1000);
  return peer;
}

Peer *
peer_new (GTlsCertificate *certificate, PeerFunc func, gpointer data)
{
  return peer_new_at ("127.0.0.1", 0, certificate, func, data);
}

void
peer_free (Peer *peer)
{
  g_cancellable_cancel (peer->stop);
  g_main_loop_quit (peer->loop);
  g_thread_join (peer->thread);
  while (g_atomic_int_get (&peer->open) > 0)
    g_usleep (1000);
  g_object_unref (peer->service);
  g_main_loop_unref (peer->loop);
  g_main_context_unref (peer->context);
  g_clear_object (&peer->certificate);
  g_object_unref (peer->stop);
  g_free (peer);
}

guint16
peer_port (Peer *peer)
{
  return peer->port;
}

guint
peer_accepted (Peer *peer)
{
  return g_atomic_int_get (&peer->accepted);
}

guint
peer_open (Peer *peer)
{
  return g_atomic_int_get (&peer->open);
}
