#include "crypto/json-writer.h"

#include <math.h>
#include <string.h>

static void
assert_text (CmJsonWriter *writer, const char *expected)
{
  gsize length = cm_json_writer_length (writer);
  g_autofree char *text = cm_json_writer_end_text (writer);
  g_assert_cmpstr (text, ==, expected);
  g_assert_cmpuint (length, ==, strlen (expected));
}

static void
test_writing (void)
{
  g_autoptr (CmJsonDoc) doc =
      cm_json_parse ("{ \"z\" : [ 1 , 2.50, {} ], \"a\" : null }", 38, NULL);
  g_autoptr (GBytes) bytes = g_bytes_new_static ("[7]", 3);
  g_autoptr (CmJsonWriter) w = cm_json_writer_new ();

  cm_json_open_object (w, NULL);
  cm_json_put_text (w, "text", "hi");
  cm_json_put_text (w, "absent", NULL);
  cm_json_put_integer (w, "min", G_MININT64);
  cm_json_put_integer (w, "max", G_MAXINT64);
  cm_json_open_array (w, "list");
  cm_json_put_boolean (w, NULL, TRUE);
  cm_json_put_boolean (w, NULL, FALSE);
  cm_json_put_null (w, NULL);
  cm_json_put_integer (w, NULL, 0);
  cm_json_open_object (w, NULL);
  cm_json_close (w);
  cm_json_open_array (w, NULL);
  cm_json_close (w);
  cm_json_close (w);
  cm_json_put_node (w, "node", cm_json_doc_root (doc));
  cm_json_put_node (w, "none", NULL);
  cm_json_put_bytes (w, "bytes", bytes);
  cm_json_put_raw (w, "raw", "{\"r\":1}", 7);
  cm_json_close (w);
  assert_text (w, "{\"text\":\"hi\",\"min\":-9223372036854775808,\"max\":9223372036854775807,"
                  "\"list\":[true,false,null,0,{},[]],\"node\":{\"z\":[1,2.50,{}],\"a\":null},"
                  "\"bytes\":[7],\"raw\":{\"r\":1}}");

  /* The writer is empty again. */
  cm_json_put_text (w, NULL, "next");
  assert_text (w, "\"next\"");
}

static void
test_escapes (void)
{
  g_autoptr (CmJsonWriter) w = cm_json_writer_new ();
  cm_json_open_object (w, NULL);
  cm_json_put_string (w, "k\n\"", "\b\t\n\f\r\"\\/\x01\x1f\x7f\0é日😀", strlen ("é日😀") + 12);
  cm_json_close (w);
  assert_text (w, "{\"k\\n\\\"\":\"\\b\\t\\n\\f\\r\\\"\\\\/\\u0001\\u001f\x7f\\u0000é日😀\"}");
}

/* Text that breaks the contract must not break the answer it stands in. */
static void
test_broken_utf8 (void)
{
  static const char *const texts[] = { "\xFF",           "a\xC3", "\xE2\x82", "\xF0\x9F\x98",
                                       "x\xED\xA0\x80y", "\x80",  NULL };
  for (gsize i = 0; texts[i] != NULL; i++) {
    g_autoptr (CmJsonWriter) w = cm_json_writer_new ();
    cm_json_open_array (w, NULL);
    cm_json_put_text (w, NULL, texts[i]);
    cm_json_close (w);
    g_autoptr (CmJsonDoc) doc = cm_json_writer_end_doc (w);
    g_assert_nonnull (
        strstr (cm_json_text (cm_json_item (cm_json_doc_root (doc), 0)), "\xEF\xBF\xBD"));
  }
}

static void
test_doubles (void)
{
  static const double values[] = { 0.1, 0.5, 1e300, -2.25, 1.0 / 3, 5e-324, 0 };
  g_autoptr (CmJsonWriter) w = cm_json_writer_new ();
  cm_json_open_array (w, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (values); i++)
    cm_json_put_double (w, NULL, values[i]);
  cm_json_put_double (w, NULL, NAN);
  cm_json_put_double (w, NULL, INFINITY);
  cm_json_close (w);

  g_autoptr (CmJsonDoc) doc = cm_json_writer_end_doc (w);
  for (gsize i = 0; i < G_N_ELEMENTS (values); i++) {
    double value = -1;
    g_assert_true (cm_json_double (cm_json_item (cm_json_doc_root (doc), i), &value));
    g_assert_cmpfloat (value, ==, values[i]);
  }
  g_assert_cmpint (cm_json_type (cm_json_item (cm_json_doc_root (doc), 7)), ==, CM_JSON_NULL);
  g_assert_cmpint (cm_json_type (cm_json_item (cm_json_doc_root (doc), 8)), ==, CM_JSON_NULL);

  cm_json_put_double (w, NULL, 0.1);
  assert_text (w, "0.1");
}

/* Strings of every length, with something to escape at their end, come back as they were. */
static void
test_round_trip (void)
{
  static const char *const ends[] = { "", "\n", "é", "\"é", "日\\", "😀" };
  for (gsize length = 0; length < 70; length++) {
    for (gsize i = 0; i < G_N_ELEMENTS (ends); i++) {
      g_autofree char *head = g_strnfill (length, 'x');
      g_autofree char *text = g_strconcat (head, ends[i], NULL);
      g_autoptr (CmJsonWriter) w = cm_json_writer_new ();
      cm_json_open_object (w, NULL);
      cm_json_put_text (w, text, text);
      cm_json_close (w);
      g_autoptr (CmJsonDoc) doc = cm_json_writer_end_doc (w);
      g_assert_cmpstr (cm_json_get_text (cm_json_doc_root (doc), text), ==, text);
    }
  }
}

/* A large answer is written in time that grows with its length. */
static void
test_large (void)
{
  const guint count = 500000;
  gint64 start = g_get_monotonic_time ();
  g_autoptr (CmJsonWriter) w = cm_json_writer_new ();
  cm_json_open_array (w, NULL);
  for (guint i = 0; i < count; i++)
    cm_json_put_text (w, NULL, "twenty bytes of text");
  cm_json_close (w);
  g_autoptr (GBytes) bytes = cm_json_writer_end (w);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, count * 23 + 1);
  g_assert_cmpint (g_get_monotonic_time () - start, <, 5 * G_USEC_PER_SEC);
}

/* Appendices, "Canonical JSON", "Examples". */
static void
test_canonical_examples (void)
{
  static const char *const pairs[][2] = {
    { "{}", "{}" },
    { "{\"one\": 1, \"two\": \"Two\"}", "{\"one\":1,\"two\":\"Two\"}" },
    { "{\"b\": \"2\", \"a\": \"1\"}", "{\"a\":\"1\",\"b\":\"2\"}" },
    { "{\"b\":\"2\",\"a\":\"1\"}", "{\"a\":\"1\",\"b\":\"2\"}" },
    { "{ \"auth\": { \"success\": true, \"mxid\": \"@john.doe:example.com\", \"profile\": { "
      "\"display_name\": \"John Doe\","
      "\"three_pids\": [ { \"medium\": \"email\", \"address\": \"john.doe@example.org\" },"
      " { \"medium\": \"msisdn\", \"address\": \"123456789\" } ] } } }",
      "{\"auth\":{\"mxid\":\"@john.doe:example.com\",\"profile\":{\"display_name\":\"John "
      "Doe\",\"three_pids\":"
      "[{\"address\":\"john.doe@example.org\",\"medium\":\"email\"},{\"address\":\"123456789\","
      "\"medium\":\"msisdn\"}]},"
      "\"success\":true}}" },
    { "{\"a\": \"日本語\"}", "{\"a\":\"日本語\"}" },
    { "{\"本\": 2, \"日\": 1}", "{\"日\":1,\"本\":2}" },
    { "{\"a\": \"\\u65E5\"}", "{\"a\":\"日\"}" },
    { "{\"a\": null}", "{\"a\":null}" },
    { "{\"a\": -0}", "{\"a\":0}" },
    /* Beyond the examples: astral keys sort behind the rest of the BMP (UTF-16 order would put them
     * before U+FFFD), a prefix before what it begins, also across U+0000; only what must be escaped
     * is. */
    { "{\"\\ud83d\\ude00\":1,\"\\ufffd\":2,\"a\\u0000\":3,\"a\":4,\"\":5,\"aa\":6}",
      "{\"\":5,\"a\":4,\"a\\u0000\":3,\"aa\":6,\"\xEF\xBF\xBD\":2,\"😀\":1}" },
    { "[\"\\u0008\\u0009\\u000A\\u000c\\u000d\\u0022\\u005c\\u002f\\u0000\\u000b\\u001F\\u007f\\u20"
      "28\"]",
      "[\"\\b\\t\\n\\f\\r\\\"\\\\/\\u0000\\u000b\\u001f\x7f\xE2\x80\xA8\"]" },
    { "[9007199254740991,-9007199254740991]", "[9007199254740991,-9007199254740991]" },
    { "{\"c\":{\"z\":{\"b\":1,\"a\":2},\"y\":[{\"d\":1,\"c\":2}]},\"b\":{\"q\":0,\"p\":0},\"a\":1}",
      "{\"a\":1,\"b\":{\"p\":0,\"q\":0},\"c\":{\"y\":[{\"c\":2,\"d\":1}],\"z\":{\"a\":2,\"b\":1}}"
      "}" },
    { " \"text\" ", "\"text\"" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (pairs); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CmJsonDoc) doc = cm_json_parse (pairs[i][0], strlen (pairs[i][0]), &error);
    g_assert_no_error (error);
    g_autoptr (GBytes) canonical = cm_json_canonical (cm_json_doc_root (doc), NULL, &error);
    g_assert_no_error (error);
    g_assert_cmpmem (g_bytes_get_data (canonical, NULL), g_bytes_get_size (canonical), pairs[i][1],
                     strlen (pairs[i][1]));
    g_assert_true (cm_json_is_canonical (cm_json_doc_root (doc)));
  }
}

static void
test_canonical_refuses_numbers (void)
{
  static const char *const texts[] = { "1.5",
                                       "{\"a\":[{\"b\":1e2}]}",
                                       "[1.0]",
                                       "[-0.0]",
                                       "{\"depth\":9007199254740992}",
                                       "[-9007199254740992]",
                                       "[1e10]",
                                       "{\"origin_server_ts\":9223372036854775807}" };
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CmJsonDoc) doc = cm_json_parse (texts[i], strlen (texts[i]), NULL);
    g_assert_nonnull (doc);
    g_assert_false (cm_json_is_canonical (cm_json_doc_root (doc)));
    g_assert_null (cm_json_canonical (cm_json_doc_root (doc), NULL, &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_BAD_JSON);
  }
  g_autoptr (GError) error = NULL;
  g_assert_null (cm_json_canonical (NULL, NULL, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_BAD_JSON);
}

static void
test_canonical_without (void)
{
  static const char *const without[] = { "signatures", "unsigned", NULL };
  static const struct {
    const char *text;
    const char *expected;
  } rows[] = {
    { "{\"unsigned\":{\"age\":1.5},\"b\":{\"unsigned\":1},\"a\":[],\"signatures\":{}}",
      "{\"a\":[],\"b\":{\"unsigned\":1}}" },
    { "{\"a\":1,\"signatures\":{}}", "{\"a\":1}" },
    { "{\"signatures\":{}}", "{}" },
    { "{\"signatures\\u0000\":1}", "{\"signatures\\u0000\":1}" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (CmJsonDoc) doc = cm_json_parse (rows[i].text, strlen (rows[i].text), NULL);
    g_autoptr (GBytes) bytes = cm_json_canonical (cm_json_doc_root (doc), without, NULL);
    g_assert_nonnull (bytes);
    g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), rows[i].expected,
                     strlen (rows[i].expected));
  }
}

static void
test_canonical_lenient (void)
{
  static const char *const without[] = { "unsigned", NULL };
  static const char text[] =
      "{\"z\":[1.50,-0],\"unsigned\":1,\"a\":{\"y\":1E5,\"x\":18446744073709551617}}";
  static const char expected[] = "{\"a\":{\"x\":18446744073709551617,\"y\":1E5},\"z\":[1.50,0]}";
  g_autoptr (CmJsonDoc) doc = cm_json_parse (text, strlen (text), NULL);
  g_autoptr (GBytes) bytes = cm_json_canonical_lenient (cm_json_doc_root (doc), without);
  g_assert_cmpmem (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), expected,
                   strlen (expected));
}

static void
test_members (void)
{
  static const char text[] = "{\"a\\u0000\\n\":[1],\"b\":{\"c\":null},\"\":\"x\"}";
  g_autoptr (CmJsonDoc) doc = cm_json_parse (text, strlen (text), NULL);
  g_autoptr (CmJsonWriter) w = cm_json_writer_new ();
  CmJsonIter iter;
  const CmJson *value;

  cm_json_open_object (w, NULL);
  cm_json_iter_init (&iter, cm_json_doc_root (doc));
  while (cm_json_iter_next (&iter, NULL, &value))
    cm_json_put_member (w, iter.key, value);
  cm_json_close (w);
  assert_text (w, text);
}

static void
test_equal (void)
{
  static const struct {
    const char *a;
    const char *b;
    gboolean equal;
  } rows[] = {
    { "{\"a\":1,\"b\":[1,{\"x\":null,\"y\":2}]}", "{ \"b\" : [1,{\"y\":2,\"x\":null}], \"a\" : 1 }",
      TRUE },
    { "[1,2]", "[2,1]", FALSE },
    { "{\"a\":1}", "{\"a\":1,\"b\":2}", FALSE },
    { "{\"a\":1}", "{\"b\":1}", FALSE },
    { "{\"a\":1}", "{\"a\":\"1\"}", FALSE },
    { "\"\\u00e9\"", "\"é\"", TRUE },
    { "\"a\\u0000b\"", "\"a\\u0000c\"", FALSE },
    { "true", "false", FALSE },
    { "0", "false", FALSE },
    { "-0", "0", TRUE },
    { "18446744073709551616", "18446744073709551617", FALSE },
    { "[[],[]]", "[[[]]]", FALSE },
    { "{}", "[]", FALSE },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autoptr (CmJsonDoc) a = cm_json_parse (rows[i].a, strlen (rows[i].a), NULL);
    g_autoptr (CmJsonDoc) b = cm_json_parse (rows[i].b, strlen (rows[i].b), NULL);
    g_assert_true (cm_json_equal (cm_json_doc_root (a), cm_json_doc_root (b)) == rows[i].equal);
    g_assert_true (cm_json_equal (cm_json_doc_root (b), cm_json_doc_root (a)) == rows[i].equal);
    g_assert_false (cm_json_equal (cm_json_doc_root (a), NULL));
  }
  g_assert_true (cm_json_equal (NULL, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json-writer/writing", test_writing);
  g_test_add_func ("/json-writer/escapes", test_escapes);
  g_test_add_func ("/json-writer/members/json-nul", test_members);
  g_test_add_func ("/json-writer/json-unicode", test_broken_utf8);
  g_test_add_func ("/json-writer/json-nan-and-wrap", test_doubles);
  g_test_add_func ("/json-writer/round-trip", test_round_trip);
  g_test_add_func ("/json-writer/large", test_large);
  g_test_add_func ("/canonical-json/examples", test_canonical_examples);
  g_test_add_func ("/canonical-json/json-integers", test_canonical_refuses_numbers);
  g_test_add_func ("/canonical-json/without", test_canonical_without);
  g_test_add_func ("/canonical-json/lenient", test_canonical_lenient);
  g_test_add_func ("/canonical-json/equal", test_equal);
  return g_test_run ();
}
