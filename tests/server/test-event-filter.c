#include "server/rooms/event-filter.h"
#include "server/rooms/page-token.h"

#include <string.h>

static CmEventFilter *
filter_of (const char *text, GError **error)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse (text, strlen (text), NULL);

  g_assert_nonnull (doc);
  return cm_event_filter_new (cm_json_doc_root (doc), error);
}

static void
test_types (void)
{
  static const struct {
    const char *filter;
    const char *type;
    gboolean wanted;
  } cases[] = {
    { "{}", "m.room.message", TRUE },
    { "{\"types\":[]}", "m.room.message", FALSE },
    { "{\"types\":[\"m.room.message\"]}", "m.room.message", TRUE },
    { "{\"types\":[\"m.room.message\"]}", "m.room.messages", FALSE },
    { "{\"types\":[\"m.room.*\"]}", "m.room.message", TRUE },
    { "{\"types\":[\"m.*.m*ge\"]}", "m.room.message", TRUE },
    { "{\"types\":[\"m.*.m*gee\"]}", "m.room.message", FALSE },
    { "{\"types\":[\"*\"]}", "", TRUE },
    { "{\"types\":[\"m.room?message\"]}", "m.room.message", FALSE },
    { "{\"types\":[\"M.ROOM.MESSAGE\"]}", "m.room.message", FALSE },
    { "{\"not_types\":[\"m.room.*\"]}", "m.room.message", FALSE },
    { "{\"not_types\":[\"m.room.*\"]}", "org.example", TRUE },
    { "{\"types\":[\"m.room.message\"],\"not_types\":[\"m.*\"]}", "m.room.message", FALSE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (CmEventFilter) filter = filter_of (cases[i].filter, NULL);
    g_assert_nonnull (filter);
    g_test_message ("%s and %s", cases[i].filter, cases[i].type);
    g_assert_true (cm_event_filter_wants (filter, cases[i].type, "@a:b", NULL) == cases[i].wanted);
  }
}

static void
test_senders_and_rooms (void)
{
  g_autoptr (CmEventFilter) filter =
      filter_of ("{\"senders\":[\"@a:x\",\"@b:x\"],\"not_senders\":[\"@b:x\"],"
                 "\"not_rooms\":[\"!r:x\"]}",
                 NULL);

  g_assert_true (cm_event_filter_wants (filter, "t", "@a:x", NULL));
  g_assert_false (cm_event_filter_wants (filter, "t", "@b:x", NULL));
  g_assert_false (cm_event_filter_wants (filter, "t", "@c:x", NULL));
  g_assert_false (cm_event_filter_wants_room (filter, "!r:x"));
  g_assert_true (cm_event_filter_wants_room (filter, "!s:x"));
}

static void
test_contains_url (void)
{
  const char *text = "{\"url\":\"mxc://x/y\"}";
  g_autoptr (CmJsonDoc) with = cm_json_parse (text, strlen (text), NULL);
  g_autoptr (CmEventFilter) yes = filter_of ("{\"contains_url\":true}", NULL);
  g_autoptr (CmEventFilter) no = filter_of ("{\"contains_url\":false}", NULL);

  g_assert_true (cm_event_filter_wants (yes, "t", NULL, cm_json_doc_root (with)));
  g_assert_false (cm_event_filter_wants (yes, "t", NULL, NULL));
  g_assert_false (cm_event_filter_wants (no, "t", NULL, cm_json_doc_root (with)));
}

static void
test_wrong_types (void)
{
  static const char *const bad[] = {
    "[]",
    "{\"types\":\"m.room.message\"}",
    "{\"senders\":[1]}",
    "{\"rooms\":{}}",
    "{\"types\":[\"\\u0000\"]}",
    "{\"limit\":\"10\"}",
    "{\"limit\":-1}",
    "{\"limit\":1.5}",
    "{\"lazy_load_members\":\"true\"}",
    "{\"contains_url\":1}",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_null (filter_of (bad[i], &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_BAD_JSON);
  }
}

static void
test_page_token (void)
{
  static const gint64 positions[] = { 0, 1, -1, 123456789012, -123456789012 };
  static const char *const bad[] = { "",    "p",   "12", "p+1",
                                     "p1x", "p 1", "P1", "p99999999999999999999",
                                     "_1" };
  gint64 position;

  for (gsize i = 0; i < G_N_ELEMENTS (positions); i++) {
    g_autofree char *token = cm_page_token (positions[i]);
    g_assert_true (cm_page_token_parse (token, &position, NULL));
    g_assert_cmpint (position, ==, positions[i]);
  }
  g_assert_true (cm_page_token_parse ("s42_7_abc", &position, NULL));
  g_assert_cmpint (position, ==, 42);
  for (gsize i = 0; i < G_N_ELEMENTS (bad); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_false (cm_page_token_parse (bad[i], &position, &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/event-filter/types", test_types);
  g_test_add_func ("/event-filter/senders-and-rooms", test_senders_and_rooms);
  g_test_add_func ("/event-filter/contains-url", test_contains_url);
  g_test_add_func ("/event-filter/wrong-types", test_wrong_types);
  g_test_add_func ("/page-token", test_page_token);
  return g_test_run ();
}
