#include "fixture.h"

#include "crypto/base64.h"

#include <string.h>

static char *
format_json (const char *format, va_list args)
{
  char *text = g_strdup_vprintf (format, args);
  g_strdelimit (text, "'", '"');
  return text;
}

static CmJsonDoc *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  CmJsonDoc *doc = cm_json_parse (text, strlen (text), &error);
  if (doc == NULL)
    g_error ("%s: %s", error->message, text);
  return doc;
}

CmJsonDoc *
fixture_json (const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = format_json (format, args);
  va_end (args);
  return parse (text);
}

CmJsonDoc *
fixture_with (const CmJson *object, const char *key, const char *value)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const char *name;
  const CmJson *member;
  CmJsonIter iter;

  cm_json_open_object (writer, NULL);
  cm_json_iter_init (&iter, object);
  while (cm_json_iter_next (&iter, &name, &member))
    if (strcmp (name, key) != 0)
      cm_json_put_node (writer, name, member);
  if (value != NULL) {
    g_autofree char *text = g_strdelimit (g_strdup (value), "'", '"');
    cm_json_put_raw (writer, key, text, strlen (text));
  }
  cm_json_close (writer);
  g_autofree char *whole = cm_json_writer_end_text (writer);
  return parse (whole);
}

CmSigningKey *
fixture_key (void)
{
  g_autoptr (GError) error = NULL;
  guint8 seed[32];

  /* The specification writes the seed with a last character whose unused bits are set: ...XA1. */
  g_assert_true (
      cm_base64_decode_exact ("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA0", seed, sizeof seed));
  CmSigningKey *key = cm_signing_key_new ("ed25519:1", seed, &error);
  g_assert_no_error (error);
  return key;
}

CmEvent *
fixture_event (const char *version, const char *event_id, const char *format, ...)
{
  g_autoptr (GError) error = NULL;
  va_list args;
  va_start (args, format);
  g_autofree char *text = format_json (format, args);
  va_end (args);
  g_autoptr (CmJsonDoc) doc = parse (text);
  g_autoptr (GBytes) bytes = cm_json_canonical (cm_json_doc_root (doc), NULL, &error);
  g_assert_no_error (error);
  CmEvent *event = cm_event_load (cm_room_version_find (version), bytes, event_id, &error);
  g_assert_no_error (error);
  return event;
}

void
fixture_assert_error (GError **error, CmError code)
{
  g_assert_error (*error, CM_ERROR, (int) code);
  g_clear_error (error);
}
