#include "server/http/answer.h"

#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMED_BLOCK (32 * 1024)

static const struct {
  const char *name;
  const char *value;
} cors_headers[] = {
  { "Access-Control-Allow-Origin", "*" },
  { "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS" },
  { "Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization, Date" },
};

gboolean
cm_answer_is_cors (const char *target)
{
  return g_str_has_prefix (target, "/_matrix/") || g_str_has_prefix (target, "/.well-known/");
}

static void
bytes_unref (void *bytes)
{
  g_bytes_unref (bytes);
}

/* A file with something before and after it. */
typedef struct {
  int fd;
  guint64 file_length;
  GBytes *before, *after;
} Framed;

static void
framed_free (void *data)
{
  Framed *framed = data;

  close (framed->fd);
  g_bytes_unref (framed->before);
  g_bytes_unref (framed->after);
  g_free (framed);
}

static gssize
copy_bytes (GBytes *bytes, guint64 from, char *to, gsize max)
{
  gsize length;
  const char *data = g_bytes_get_data (bytes, &length);

  length = MIN (max, length - from);
  memcpy (to, data + from, length);
  return (gssize) length;
}

static ssize_t
framed_read (void *data, uint64_t position, char *to, size_t max)
{
  const Framed *framed = data;
  gsize before = g_bytes_get_size (framed->before);

  if (position < before)
    return copy_bytes (framed->before, position, to, max);
  position -= before;
  if (position >= framed->file_length)
    return copy_bytes (framed->after, position - framed->file_length, to, max);
  ssize_t got = pread (framed->fd, to, MIN (max, framed->file_length - position), (off_t) position);
  return got > 0 ? got : MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *
make_framed (CmReply *reply)
{
  Framed *framed = g_new (Framed, 1);

  *framed = (Framed){ reply->fd, reply->file_length, g_bytes_ref (reply->before),
                      g_bytes_ref (reply->after) };
  struct MHD_Response *response = MHD_create_response_from_callback (
      cm_reply_length (reply), FRAMED_BLOCK, framed_read, framed, framed_free);
  /* Without a response nobody calls framed_free; the descriptor is still the reply's. */
  if (response != NULL) {
    reply->fd = -1;
    return response;
  }
  framed->fd = -1;
  framed_free (framed);
  return NULL;
}

static struct MHD_Response *
make_response (CmReply *reply)
{
  gsize length = 0;

  if (reply->before != NULL)
    return make_framed (reply);
  if (reply->fd >= 0) {
    struct MHD_Response *response = MHD_create_response_from_fd64 (reply->file_length, reply->fd);
    if (response != NULL)
      reply->fd = -1;
    return response;
  }
  if (reply->body == NULL)
    return MHD_create_response_from_buffer (0, NULL, MHD_RESPMEM_PERSISTENT);
  const void *data = g_bytes_get_data (reply->body, &length);
  return MHD_create_response_from_buffer_with_free_callback_cls (length, (void *) data, bytes_unref,
                                                                 g_bytes_ref (reply->body));
}

enum MHD_Result
cm_answer_queue (struct MHD_Connection *mhd, CmReply *reply, gboolean cors, gboolean close)
{
  struct MHD_Response *response = make_response (reply);

  if (response == NULL)
    return MHD_NO;
  if (reply->content_type != NULL)
    MHD_add_response_header (response, "Content-Type", reply->content_type);
  for (guint i = 0; cors && i < G_N_ELEMENTS (cors_headers); i++)
    MHD_add_response_header (response, cors_headers[i].name, cors_headers[i].value);
  for (guint i = 0; reply->headers != NULL && i < reply->headers->len; i++) {
    const CmReplyHeader *header = &g_array_index (reply->headers, CmReplyHeader, i);
    MHD_add_response_header (response, header->name, header->value);
  }
  if (close)
    MHD_add_response_header (response, "Connection", "close");

  enum MHD_Result result = MHD_queue_response (mhd, reply->status, response);
  MHD_destroy_response (response);
  return result;
}

static GString *
format_answer (const CmReply *reply, gboolean cors)
{
  GString *text = g_string_new (NULL);
  gsize length = 0;
  const char *body = reply->body != NULL ? g_bytes_get_data (reply->body, &length) : NULL;

  g_string_append_printf (text, "HTTP/1.1 %u %s\r\nConnection: close\r\n", reply->status,
                          MHD_get_reason_phrase_for (reply->status));
  g_string_append_printf (text, "Content-Length: %" G_GSIZE_FORMAT "\r\n", length);
  if (reply->content_type != NULL)
    g_string_append_printf (text, "Content-Type: %s\r\n", reply->content_type);
  for (guint i = 0; cors && i < G_N_ELEMENTS (cors_headers); i++)
    g_string_append_printf (text, "%s: %s\r\n", cors_headers[i].name, cors_headers[i].value);
  g_string_append (text, "\r\n");
  return g_string_append_len (text, body, (gssize) length);
}

void
cm_answer_now (struct MHD_Connection *mhd, int fd, const CmReply *reply, gboolean cors)
{
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info (mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  g_autoptr (GString) text = format_answer (reply, cors);

  /* It is a few hundred bytes into an empty buffer; a client whose window is shut loses them. */
  if (info != NULL && info->tls_session != NULL) {
    gnutls_record_send (info->tls_session, text->str, text->len);
    gnutls_bye (info->tls_session, GNUTLS_SHUT_WR);
  } else if (send (fd, text->str, text->len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    g_debug ("a refusal could not be sent");
  }
  shutdown (fd, SHUT_WR);
}
