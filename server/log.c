#include "server/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct {
  CmLogLevel level;
  CmLogFormat format;
} CmLog;

typedef struct {
  const char *name;
  const char *colour;
  int priority; /* syslog's, as the journal reads it from "<6>" */
} Style;

static const Style styles[] = {
  [CM_LOG_ERROR] = { "error", "\x1b[31m", 3 },
  [CM_LOG_WARNING] = { "warning", "\x1b[33m", 4 },
  [CM_LOG_INFO] = { "info", "\x1b[32m", 6 },
  [CM_LOG_DEBUG] = { "debug", "\x1b[90m", 7 },
};

static CmLogLevel
level_of (GLogLevelFlags flags)
{
  if (flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL))
    return CM_LOG_ERROR;
  if (flags & G_LOG_LEVEL_WARNING)
    return CM_LOG_WARNING;
  if (flags & (G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO))
    return CM_LOG_INFO;
  return CM_LOG_DEBUG;
}

/* Escapes what a terminal or a reader of lines would take for more than text: C0, DEL, and the C1
 * controls of UTF-8. Bytes that are not UTF-8 become U+FFFD. In JSON the quote and the backslash
 * too; both notations are JSON's. */
static void
append_escaped (GString *out, const char *text, gssize length, gboolean json)
{
  g_autofree char *valid = g_utf8_make_valid (text, length);
  for (const char *p = valid; *p; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);
    if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029)
      g_string_append_printf (out, "\\u%04x", c);
    else if (json && (c == '"' || c == '\\'))
      g_string_append_printf (out, "\\%c", (char) c);
    else
      g_string_append_unichar (out, c);
  }
}

static gboolean
field_is_plumbing (const char *key)
{
  static const char *const plumbing[] = {
    "MESSAGE",   "PRIORITY",    "CODE_FILE",        "CODE_LINE",
    "CODE_FUNC", "GLIB_DOMAIN", "GLIB_OLD_LOG_API", NULL,
  };
  return g_strv_contains (plumbing, key);
}

static void
append_fields (GString *out, const GLogField *fields, gsize n_fields, gboolean json)
{
  for (gsize i = 0; i < n_fields; i++) {
    if (field_is_plumbing (fields[i].key))
      continue;
    g_autofree char *key = g_ascii_strdown (fields[i].key, -1);
    g_string_append_printf (out, json ? ",\"%s\":\"" : " %s=", key);
    append_escaped (out, fields[i].value, fields[i].length, json);
    if (json)
      g_string_append_c (out, '"');
  }
}

static const GLogField *
find_field (const GLogField *fields, gsize n_fields, const char *key)
{
  for (gsize i = 0; i < n_fields; i++) {
    if (strcmp (fields[i].key, key) == 0)
      return &fields[i];
  }
  return NULL;
}

static void
append_json (GString *out, const Style *style, const GLogField *fields, gsize n_fields, gint64 time)
{
  g_autoptr (GDateTime) seconds = g_date_time_new_from_unix_utc (time / G_USEC_PER_SEC);
  g_autofree char *stamp = g_date_time_format (seconds, "%Y-%m-%dT%H:%M:%S");
  const GLogField *domain = find_field (fields, n_fields, "GLIB_DOMAIN");
  const GLogField *message = find_field (fields, n_fields, "MESSAGE");
  g_string_append_printf (out, "{\"time\":\"%s.%03dZ\",\"level\":\"%s\"", stamp,
                          (int) (time % G_USEC_PER_SEC / 1000), style->name);
  if (domain) {
    g_string_append (out, ",\"domain\":\"");
    append_escaped (out, domain->value, domain->length, TRUE);
    g_string_append_c (out, '"');
  }
  g_string_append (out, ",\"message\":\"");
  if (message)
    append_escaped (out, message->value, message->length, TRUE);
  g_string_append_c (out, '"');
  append_fields (out, fields, n_fields, TRUE);
  g_string_append (out, "}\n");
}

static void
append_text (GString *out, const Style *style, gboolean colour, const GLogField *fields,
             gsize n_fields, gint64 time)
{
  g_autoptr (GDateTime) seconds = g_date_time_new_from_unix_local (time / G_USEC_PER_SEC);
  g_autofree char *stamp = g_date_time_format (seconds, "%H:%M:%S");
  const GLogField *message = find_field (fields, n_fields, "MESSAGE");
  g_string_append_printf (out, "%s.%03d %s%-7s%s ", stamp, (int) (time % G_USEC_PER_SEC / 1000),
                          colour ? style->colour : "", style->name, colour ? "\x1b[0m" : "");
  if (message)
    append_escaped (out, message->value, message->length, FALSE);
  append_fields (out, fields, n_fields, FALSE);
  g_string_append_c (out, '\n');
}

char *
cm_log_format (CmLogFormat format, GLogLevelFlags flags, const GLogField *fields, gsize n_fields,
               gint64 time)
{
  const Style *style = &styles[level_of (flags)];
  GString *out = g_string_sized_new (256);
  if (format == CM_LOG_JOURNAL)
    g_string_append_printf (out, "<%d>", style->priority);
  if (format == CM_LOG_JSON || format == CM_LOG_JOURNAL)
    append_json (out, style, fields, n_fields, time);
  else
    append_text (out, style, format == CM_LOG_COLOUR, fields, n_fields, time);
  return g_string_free (out, FALSE);
}

static GLogWriterOutput
write_message (GLogLevelFlags flags, const GLogField *fields, gsize n_fields, gpointer data)
{
  const CmLog *log = data;
  if (level_of (flags) > log->level)
    return G_LOG_WRITER_HANDLED;
  g_autofree char *line = cm_log_format (log->format, flags, fields, n_fields, g_get_real_time ());
  /* One write a line keeps lines of several threads apart. */
  gsize length = strlen (line);
  return write (STDERR_FILENO, line, length) == (gssize) length ? G_LOG_WRITER_HANDLED
                                                                : G_LOG_WRITER_UNHANDLED;
}

void
cm_log_start (CmLogLevel level)
{
  CmLog *log = g_new0 (CmLog, 1);
  log->level = level;
  if (g_log_writer_is_journald (STDERR_FILENO))
    log->format = CM_LOG_JOURNAL;
  else if (isatty (STDERR_FILENO))
    log->format = g_log_writer_supports_color (STDERR_FILENO) ? CM_LOG_COLOUR : CM_LOG_TEXT;
  else
    log->format = CM_LOG_JSON;
  g_log_set_writer_func (write_message, log, g_free);
}
