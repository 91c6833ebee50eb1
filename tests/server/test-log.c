#include "server/log.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define NOON 1700000000123456 /* 2023-11-14T22:13:20.123Z */

static char *
format (CmLogFormat how, const char *message)
{
  const GLogField fields[] = {
    { "MESSAGE", message, -1 },
    { "GLIB_DOMAIN", "comity", -1 },
    { "CODE_FILE", "secret.c", -1 },
    { "ROOM", "!a\":b", -1 },
  };
  return cm_log_format (how, G_LOG_LEVEL_WARNING, fields, G_N_ELEMENTS (fields), NOON);
}

static void
test_json (void)
{
  g_autofree char *line = format (CM_LOG_JSON, "say \"hello\" \\ there\nforged");
  g_assert_true (g_str_has_suffix (line, "}\n"));
  g_assert_null (memchr (line, '\n', strlen (line) - 1));
  g_assert_null (strstr (line, "secret.c"));

  g_autoptr (JsonNode) node = json_from_string (line, NULL);
  g_assert_nonnull (node);
  JsonObject *object = json_node_get_object (node);
  g_assert_cmpstr (json_object_get_string_member (object, "time"), ==, "2023-11-14T22:13:20.123Z");
  g_assert_cmpstr (json_object_get_string_member (object, "level"), ==, "warning");
  g_assert_cmpstr (json_object_get_string_member (object, "message"), ==,
                   "say \"hello\" \\ there\nforged");
  g_assert_cmpstr (json_object_get_string_member (object, "room"), ==, "!a\":b");
}

static void
test_journal_has_priority (void)
{
  g_autofree char *line = format (CM_LOG_JOURNAL, "hello");
  g_assert_true (g_str_has_prefix (line, "<4>{"));
}

static void
test_text_escapes_controls (void)
{
  g_autofree char *line = format (CM_LOG_TEXT, "a\x1b[31mb\r\nc\x7f\xc2\x9b\xff");
  g_assert_nonnull (
      strstr (line, "a\\u001b[31mb\\u000d\\u000ac\\u007f\\u009b\xef\xbf\xbd room=!a\":b\n"));
  g_assert_null (strchr (line, '\x1b'));
}

static void
test_colour (void)
{
  g_autofree char *line = format (CM_LOG_COLOUR, "hello");
  g_assert_nonnull (strstr (line, "\x1b[33mwarning\x1b[0m hello"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/log/json", test_json);
  g_test_add_func ("/log/journal-has-priority", test_journal_has_priority);
  g_test_add_func ("/log/text-escapes-controls", test_text_escapes_controls);
  g_test_add_func ("/log/colour", test_colour);
  return g_test_run ();
}
