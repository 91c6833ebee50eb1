#include "crypto/json-writer.h"

#include "crypto/json-private.h"
#include "crypto/json-scan.h"

#include <math.h>

#define FIRST_CAPACITY 512

struct _CmJsonWriter {
  CmJsonBuffer out;
  GString *closers; /* of the containers that are open, the innermost last */
  gboolean comma;   /* what is written next is not the first of its container */
};

void
cm_json_buffer_reserve (CmJsonBuffer *buffer, gsize length)
{
  gsize needed;
  if (!g_size_checked_add (&needed, buffer->length, length) ||
      !g_size_checked_add (&needed, needed, 1))
    g_error ("JSON text too large");
  if (needed > buffer->capacity) {
    buffer->capacity = MAX (needed, MAX (buffer->capacity * 2, FIRST_CAPACITY));
    buffer->data = g_realloc (buffer->data, buffer->capacity);
  }
}

/* Appends one character that may not stand as it is: the short escape if there is one, else \u00xx
 * in lower case (appendices, "Canonical JSON", "Grammar"). */
static void
append_escape (CmJsonBuffer *buffer, guint8 c)
{
  static const char short_escapes[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
    ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't',
  };
  static const char hex[] = "0123456789abcdef";

  if (short_escapes[c] != '\0') {
    const char text[] = { '\\', short_escapes[c] };
    cm_json_buffer_append (buffer, text, sizeof text);
    return;
  }
  const char text[] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
  cm_json_buffer_append (buffer, text, sizeof text);
}

/* The length of the sequence of UTF-8 at @at, which may not be read beyond @end; 0 when it is
 * broken. */
static gsize
sequence_length (const guint8 *at, const guint8 *end)
{
  guint8 copy[4] = { 0 };
  memcpy (copy, at, MIN ((gsize) (end - at), sizeof copy));
  return cm_json_utf8_length (copy);
}

void
cm_json_buffer_append_string (CmJsonBuffer *buffer, const char *text, gsize length)
{
  const guint8 *at = (const guint8 *) text;
  const guint8 *end = at + length;

  cm_json_buffer_append (buffer, "\"", 1);
  while (at < end) {
    const guint8 *plain = at;
    at = cm_json_skip_plain_until (at, end);
    gsize sequence = at < end && *at >= 0x80 ? sequence_length (at, end) : 0;
    at += sequence;
    cm_json_buffer_append (buffer, (const char *) plain, (gsize) (at - plain));
    if (at == end || sequence > 0)
      continue;
    /* Broken UTF-8 is the caller's fault; still it must not spoil the text around it. */
    if (*at >= 0x80)
      cm_json_buffer_append (buffer, "\xEF\xBF\xBD", 3);
    else
      append_escape (buffer, *at);
    at++;
  }
  cm_json_buffer_append (buffer, "\"", 1);
}

void
cm_json_buffer_append_integer (CmJsonBuffer *buffer, gint64 value)
{
  char digits[24];
  char *end = digits + sizeof digits;
  char *at = end;
  guint64 rest = value < 0 ? -(guint64) value : (guint64) value;

  do {
    *--at = (char) ('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  if (value < 0)
    *--at = '-';
  cm_json_buffer_append (buffer, at, (gsize) (end - at));
}

CmJsonWriter *
cm_json_writer_new (void)
{
  CmJsonWriter *writer = g_new0 (CmJsonWriter, 1);
  writer->closers = g_string_new (NULL);
  return writer;
}

void
cm_json_writer_free (CmJsonWriter *writer)
{
  if (writer == NULL)
    return;
  g_free (writer->out.data);
  g_string_free (writer->closers, TRUE);
  g_free (writer);
}

/* Writes what stands before the value of a member. */
static CmJsonBuffer *
begin_member (CmJsonWriter *writer, const char *key, gsize length)
{
  if (writer->comma)
    cm_json_buffer_append (&writer->out, ",", 1);
  cm_json_buffer_append_string (&writer->out, key, length);
  cm_json_buffer_append (&writer->out, ":", 1);
  writer->comma = TRUE;
  return &writer->out;
}

/* The same for a value that has a key only if it stands in an object. */
static CmJsonBuffer *
begin_value (CmJsonWriter *writer, const char *key)
{
  if (key != NULL)
    return begin_member (writer, key, strlen (key));
  if (writer->comma)
    cm_json_buffer_append (&writer->out, ",", 1);
  writer->comma = TRUE;
  return &writer->out;
}

static void
open_container (CmJsonWriter *writer, const char *key, const char *opener, char closer)
{
  cm_json_buffer_append (begin_value (writer, key), opener, 1);
  g_string_append_c (writer->closers, closer);
  writer->comma = FALSE;
}

void
cm_json_open_object (CmJsonWriter *writer, const char *key)
{
  open_container (writer, key, "{", '}');
}

void
cm_json_open_array (CmJsonWriter *writer, const char *key)
{
  open_container (writer, key, "[", ']');
}

void
cm_json_close (CmJsonWriter *writer)
{
  gsize depth = writer->closers->len;
  g_return_if_fail (depth > 0);
  cm_json_buffer_append (&writer->out, writer->closers->str + depth - 1, 1);
  g_string_truncate (writer->closers, depth - 1);
  writer->comma = TRUE;
}

void
cm_json_put_text (CmJsonWriter *writer, const char *key, const char *text)
{
  if (text != NULL)
    cm_json_put_string (writer, key, text, strlen (text));
}

void
cm_json_put_string (CmJsonWriter *writer, const char *key, const char *text, gsize length)
{
  cm_json_buffer_append_string (begin_value (writer, key), text, length);
}

void
cm_json_put_integer (CmJsonWriter *writer, const char *key, gint64 value)
{
  cm_json_buffer_append_integer (begin_value (writer, key), value);
}

/* JSON knows no NaN and no infinity: they become null. */
void
cm_json_put_double (CmJsonWriter *writer, const char *key, double value)
{
  if (!isfinite (value)) {
    cm_json_put_null (writer, key);
    return;
  }
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  /* 0.1 shall read "0.1" and still every value must come back as it was. */
  for (guint digits = 15; digits <= 17; digits++) {
    const char *formats[] = { "%.15g", "%.16g", "%.17g" };
    g_ascii_formatd (text, sizeof text, formats[digits - 15], value);
    if (g_ascii_strtod (text, NULL) == value)
      break;
  }
  cm_json_put_raw (writer, key, text, strlen (text));
}

void
cm_json_put_boolean (CmJsonWriter *writer, const char *key, gboolean value)
{
  if (value)
    cm_json_put_raw (writer, key, "true", 4);
  else
    cm_json_put_raw (writer, key, "false", 5);
}

void
cm_json_put_null (CmJsonWriter *writer, const char *key)
{
  cm_json_put_raw (writer, key, "null", 4);
}

void
cm_json_put_node (CmJsonWriter *writer, const char *key, const CmJson *node)
{
  if (node != NULL)
    cm_json_buffer_append_tree (begin_value (writer, key), node, CM_JSON_TREE_AS_READ, NULL);
}

void
cm_json_put_member (CmJsonWriter *writer, const CmJson *key, const CmJson *value)
{
  CmJsonBuffer *out = begin_member (writer, key->text, key->length);
  cm_json_buffer_append_tree (out, value, CM_JSON_TREE_AS_READ, NULL);
}

void
cm_json_put_raw (CmJsonWriter *writer, const char *key, const char *json, gsize length)
{
  cm_json_buffer_append (begin_value (writer, key), json, length);
}

void
cm_json_put_bytes (CmJsonWriter *writer, const char *key, GBytes *json)
{
  gsize length;
  const char *text = g_bytes_get_data (json, &length);
  cm_json_put_raw (writer, key, text, length);
}

gsize
cm_json_writer_length (const CmJsonWriter *writer)
{
  return writer->out.length;
}

/* Hands over the text, of @length bytes and a NUL, and empties the writer. */
static char *
take_text (CmJsonWriter *writer, gsize *length)
{
  CmJsonBuffer out = writer->out;

  if (writer->closers->len > 0 || out.length == 0)
    g_error ("JSON text ended before it was complete");
  writer->out = (CmJsonBuffer){ 0 };
  writer->comma = FALSE;
  *length = out.length;
  return g_realloc (out.data, out.length + 1);
}

GBytes *
cm_json_writer_end (CmJsonWriter *writer)
{
  gsize length;
  char *text = take_text (writer, &length);
  return g_bytes_new_take (text, length);
}

char *
cm_json_writer_end_text (CmJsonWriter *writer)
{
  gsize length;
  return take_text (writer, &length);
}

CmJsonDoc *
cm_json_writer_end_doc (CmJsonWriter *writer)
{
  g_autoptr (GError) error = NULL;
  gsize length;
  g_autofree char *text = take_text (writer, &length);
  CmJsonDoc *doc = cm_json_parse (text, length, &error);

  /* The fault is in the code that wrote it: a repeated key, or bad text through cm_json_put_raw. */
  if (doc == NULL)
    g_critical ("%s", error->message);
  return doc;
}
