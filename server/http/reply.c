#include "server/http/reply-private.h"

#include "server/http/call.h"

#include <unistd.h>

#define JSON_TYPE "application/json"

static gboolean
is_printable (const char *text)
{
  for (; *text != '\0'; text++)
    if (g_ascii_iscntrl (*text))
      return FALSE;
  return TRUE;
}

CmReply *
cm_reply_new (unsigned status, const char *content_type, GBytes *body)
{
  CmReply *reply = g_new0 (CmReply, 1);

  reply->status = status;
  if (content_type != NULL && !is_printable (content_type))
    content_type = "application/octet-stream";
  reply->content_type = g_strdup (content_type);
  reply->body = body;
  reply->fd = -1;
  return reply;
}

CmReply *
cm_reply_json_status (unsigned status, CmJsonWriter *writer)
{
  return cm_reply_new (status, JSON_TYPE, cm_json_writer_end (writer));
}

CmReply *
cm_reply_json (CmJsonWriter *writer)
{
  return cm_reply_json_status (200, writer);
}

CmReply *
cm_reply_empty (void)
{
  return cm_reply_new (200, JSON_TYPE, g_bytes_new_static ("{}", 2));
}

CmReply *
cm_reply_file (const char *content_type, int fd, guint64 length)
{
  CmReply *reply = cm_reply_new (200, content_type, NULL);

  reply->fd = fd;
  reply->file_length = length;
  return reply;
}

void
cm_reply_frame (CmReply *reply, GBytes *before, GBytes *after)
{
  g_return_if_fail (reply->fd >= 0 && reply->before == NULL);
  reply->before = before;
  reply->after = after;
}

CmReply *
cm_reply_later (void)
{
  static CmReply later;

  return &later;
}

CmReply *
cm_reply_error_status (unsigned status, const char *errcode, const char *message)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "errcode", errcode);
  cm_json_put_text (writer, "error", message);
  cm_json_close (writer);
  return cm_reply_json_status (status, writer);
}

/* Whether the message of @error was written for the client. */
static gboolean
error_is_public (const GError *error)
{
  if (error->domain != CM_ERROR || error->code >= CM_ERROR_DATABASE)
    return FALSE;
  return error->code != CM_ERROR_UNKNOWN && g_utf8_validate (error->message, -1, NULL);
}

/* The client keeps its keys and signs in again (client-server, "Soft logout" and "Account
 * locking"). */
static CmReply *
reply_soft_logout (CmError code, const char *message)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "errcode", cm_error_errcode (code));
  cm_json_put_text (writer, "error", message);
  cm_json_put_boolean (writer, "soft_logout", TRUE);
  cm_json_close (writer);
  return cm_reply_json_status (cm_error_status (code), writer);
}

CmReply *
cm_reply_error (const GError *error)
{
  CmError code = error->domain == CM_ERROR ? (CmError) error->code : CM_ERROR_UNKNOWN;
  unsigned status = cm_error_status (code);

  if (error_is_public (error) && (code == CM_ERROR_SOFT_LOGOUT || code == CM_ERROR_USER_LOCKED))
    return reply_soft_logout (code, error->message);
  if (error_is_public (error))
    return cm_reply_error_status (status, cm_error_errcode (code), error->message);

  /* The id is all that a client learns; whoever reads the log finds the rest by it. */
  g_autofree char *id = g_strdup_printf ("%08x", g_random_int ());
  g_autofree char *message = g_strdup_printf ("Internal error %s", id);
  g_warning ("error %s: %s %d: %s", id, g_quark_to_string (error->domain), error->code,
             error->message);
  return cm_reply_error_status (status, cm_error_errcode (code), message);
}

CmReply *
cm_reply_limited (gint64 retry_after_ms)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_autofree char *seconds =
      g_strdup_printf ("%" G_GINT64_FORMAT, (MAX (retry_after_ms, 1) + 999) / 1000);

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "errcode", cm_error_errcode (CM_ERROR_LIMIT_EXCEEDED));
  cm_json_put_text (writer, "error", "Too many requests");
  cm_json_put_integer (writer, "retry_after_ms", retry_after_ms);
  cm_json_close (writer);
  CmReply *reply = cm_reply_json_status (cm_error_status (CM_ERROR_LIMIT_EXCEEDED), writer);
  cm_reply_add_header (reply, "Retry-After", seconds);
  return reply;
}

CmReply *
cm_reply_redirect (const char *location)
{
  CmReply *reply = cm_reply_new (302, NULL, NULL);

  cm_reply_add_header (reply, "Location", location);
  return reply;
}

void
cm_reply_add_header (CmReply *reply, const char *name, const char *value)
{
  CmReplyHeader header;

  if (!is_printable (value)) {
    g_warning ("a control character in a value for %s: header dropped", name);
    return;
  }
  if (reply->headers == NULL)
    reply->headers = g_array_new (FALSE, FALSE, sizeof (CmReplyHeader));
  header.name = g_strdup (name);
  header.value = g_strdup (value);
  g_array_append_val (reply->headers, header);
}

unsigned
cm_reply_status (const CmReply *reply)
{
  return reply->status;
}

GBytes *
cm_reply_body (const CmReply *reply)
{
  return reply->body;
}

guint64
cm_reply_length (const CmReply *reply)
{
  if (reply->before != NULL)
    return g_bytes_get_size (reply->before) + reply->file_length + g_bytes_get_size (reply->after);
  if (reply->fd >= 0)
    return reply->file_length;
  return reply->body != NULL ? g_bytes_get_size (reply->body) : 0;
}

gsize
cm_reply_held (const CmReply *reply)
{
  return reply->body != NULL ? g_bytes_get_size (reply->body) : 0;
}

void
cm_reply_free (CmReply *reply)
{
  if (reply == NULL || reply == CM_REPLY_LATER)
    return;
  g_free (reply->content_type);
  g_clear_pointer (&reply->body, g_bytes_unref);
  g_clear_pointer (&reply->before, g_bytes_unref);
  g_clear_pointer (&reply->after, g_bytes_unref);
  if (reply->fd >= 0)
    close (reply->fd);
  if (reply->headers != NULL) {
    for (guint i = 0; i < reply->headers->len; i++) {
      CmReplyHeader *header = &g_array_index (reply->headers, CmReplyHeader, i);
      g_free (header->name);
      g_free (header->value);
    }
    g_array_unref (reply->headers);
  }
  g_free (reply);
}
