#include "crypto/json.h"
#include "crypto/json-writer.h"

#include <string.h>

static CmJsonDoc *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  CmJsonDoc *doc = cm_json_parse (text, strlen (text), &error);
  g_assert_no_error (error);
  g_assert_nonnull (doc);
  return doc;
}

static void
assert_refused (const char *text, gsize length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) doc = cm_json_parse (text, length, &error);
  if (doc != NULL)
    g_error ("accepted: %.200s", text);
  g_assert_error (error, CM_ERROR, CM_ERROR_NOT_JSON);
  g_assert_true (g_str_has_prefix (error->message, "Not valid JSON: "));
}

static void
assert_all_refused (const char *const *texts)
{
  for (gsize i = 0; texts[i] != NULL; i++)
    assert_refused (texts[i], strlen (texts[i]));
}

static void
test_getters (void)
{
  g_autoptr (CmJsonDoc) doc =
      parse (" {\"type\" : \"m.room.message\",\r\n\t\"depth\":12, \"ok\":true,\"no\":false,"
             "\"nil\":null,\"content\":{\"body\":\"hi\",\"n\":-5},\"prev\":[\"$a\",[],{},7.5]} ");
  const CmJson *root = cm_json_doc_root (doc);
  const CmJson *content = cm_json_get_object (root, "content");
  const CmJson *prev = cm_json_get_array (root, "prev");
  double number = 0;

  g_assert_cmpint (cm_json_type (root), ==, CM_JSON_OBJECT);
  g_assert_cmpuint (cm_json_length (root), ==, 7);
  g_assert_cmpstr (cm_json_get_text (root, "type"), ==, "m.room.message");
  g_assert_cmpint (cm_json_get_integer (root, "depth", 0), ==, 12);
  g_assert_true (cm_json_get_boolean (root, "ok", FALSE));
  g_assert_false (cm_json_get_boolean (root, "no", TRUE));
  g_assert_cmpint (cm_json_type (cm_json_get (root, "nil")), ==, CM_JSON_NULL);
  g_assert_cmpstr (cm_json_get_text (content, "body"), ==, "hi");
  g_assert_cmpint (cm_json_get_integer (content, "n", 0), ==, -5);
  g_assert_cmpuint (cm_json_length (prev), ==, 4);
  g_assert_cmpstr (cm_json_text (cm_json_item (prev, 0)), ==, "$a");
  g_assert_cmpint (cm_json_type (cm_json_item (prev, 1)), ==, CM_JSON_ARRAY);
  g_assert_cmpint (cm_json_type (cm_json_item (prev, 2)), ==, CM_JSON_OBJECT);
  g_assert_cmpint (cm_json_type (cm_json_item (prev, 3)), ==, CM_JSON_NUMBER);
  g_assert_true (cm_json_double (cm_json_item (prev, 3), &number));
  g_assert_cmpfloat (number, ==, 7.5);
  g_assert_null (cm_json_item (prev, 4));
}

/* What is absent or of another type says so, all the way down. */
static void
test_getters_of_wrong_type (void)
{
  g_autoptr (CmJsonDoc) doc =
      parse ("{\"s\":\"1\",\"i\":1,\"f\":1.0,\"t\":true,\"a\":[1],\"o\":{\"x\":1}}");
  const CmJson *root = cm_json_doc_root (doc);
  gint64 integer = 42;
  double number = 42;

  g_assert_null (cm_json_get (NULL, "x"));
  g_assert_null (cm_json_get (cm_json_get (root, "absent"), "x"));
  g_assert_null (cm_json_get (cm_json_get (root, "a"), "x"));
  g_assert_null (cm_json_item (cm_json_get (root, "o"), 0));
  g_assert_null (cm_json_get_object (root, "a"));
  g_assert_null (cm_json_get_array (root, "o"));
  g_assert_null (cm_json_get_text (root, "i"));
  g_assert_null (cm_json_string (cm_json_get (root, "i"), NULL));
  g_assert_cmpint (cm_json_get_integer (root, "s", -1), ==, -1);
  g_assert_cmpint (cm_json_get_integer (root, "f", -1), ==, -1);
  g_assert_cmpint (cm_json_get_integer (root, "t", -1), ==, -1);
  g_assert_true (cm_json_get_boolean (root, "i", TRUE));
  g_assert_false (cm_json_integer (cm_json_get (root, "s"), &integer));
  g_assert_cmpint (integer, ==, 42);
  g_assert_false (cm_json_double (cm_json_get (root, "s"), &number));
  g_assert_cmpint (cm_json_type (NULL), ==, CM_JSON_ABSENT);
  g_assert_cmpuint (cm_json_length (NULL), ==, 0);
  g_assert_cmpuint (cm_json_length (cm_json_get (root, "i")), ==, 0);
}

static void
test_iteration (void)
{
  g_autoptr (CmJsonDoc) doc = parse ("{\"b\":[1,[2],3],\"a\":{\"x\":{}},\"c\":\"z\"}");
  g_autoptr (GString) seen = g_string_new (NULL);
  CmJsonIter iter, items;
  const char *key;
  const CmJson *value;

  cm_json_iter_init (&iter, cm_json_doc_root (doc));
  while (cm_json_iter_next (&iter, &key, &value))
    g_string_append_printf (seen, "%s%d ", key, cm_json_type (value));
  g_assert_cmpstr (seen->str, ==, "b7 a8 c6 ");

  guint count = 0;
  cm_json_iter_init (&items, cm_json_get (cm_json_doc_root (doc), "b"));
  while (cm_json_iter_next (&items, &key, &value)) {
    g_assert_null (key);
    g_assert_true (value == cm_json_item (cm_json_get (cm_json_doc_root (doc), "b"), count++));
  }
  g_assert_cmpuint (count, ==, 3);

  cm_json_iter_init (&iter, NULL);
  g_assert_false (cm_json_iter_next (&iter, NULL, NULL));
  cm_json_iter_init (&iter, cm_json_get (cm_json_doc_root (doc), "c"));
  g_assert_false (cm_json_iter_next (&iter, NULL, NULL));
}

static void
test_leniency (void)
{
  static const char *const texts[] = {
    "/* c */ {}",
    "{} // c",
    "# c\n{}",
    "{'a':1}",
    "{a:1}",
    "[0x10]",
    "[010]",
    "[-01]",
    "[+1]",
    "[.5]",
    "[1.]",
    "[1.e5]",
    "[1e]",
    "[1e+]",
    "[-]",
    "[--1]",
    "[1 2]",
    "[1,]",
    "[,1]",
    "[,]",
    "[1,,2]",
    "{\"a\":1,}",
    "{,}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\" 1}",
    "{:1}",
    "{1:1}",
    "{\"a\":1 \"b\":2}",
    "{} {}",
    "{}{}",
    "{}x",
    "{};",
    "var a = {}",
    "[\"a\nb\"]",
    "[\"a\tb\"]",
    "[\"\x1f\"]",
    "[\"a]",
    "[\"",
    "\"",
    "[",
    "{",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "]",
    "}",
    "[}",
    "{]",
    "[\"\\x41\"]",
    "[\"\\'\"]",
    "[\"\\",
    "[\"\\u12\"]",
    "[\"\\u12g4\"]",
    "[\"\\u\"]",
    "tru",
    "True",
    "TRUE",
    "nul",
    "nulll",
    "falsy",
    "[true false]",
    "undefined",
    "\v{}",
    "\f{}",
    "\xc2\xa0{}",
    "[1\xc2\xa0]",
    "{\"a\":1]",
    "[1}",
    "1_000",
    "[1e5e3]",
    "[0b1]",
    "[1L]",
    "[\"a\" \"b\"]",
    "()",
    NULL,
  };
  assert_all_refused (texts);
}

static void
test_duplicate_keys (void)
{
  static const char *const texts[] = {
    "{\"a\":1,\"a\":1}",
    "{\"a\":1,\"b\":{\"a\":2},\"a\":3}",
    "{\"sender\":\"@a:x\",\"sender\":\"@b:x\"}",
    "{\"a\":1,\"\\u0061\":2}",
    "{\"\":1,\"\":2}",
    "[{\"x\":[{\"k\":1,\"k\":2}]}]",
    "{\"a\\u0000b\":1,\"a\\u0000b\":2}",
    NULL,
  };
  assert_all_refused (texts);
  /* Alike, but not the same. */
  g_autoptr (CmJsonDoc) doc = parse ("{\"a\":1,\"A\":2,\"a\\u0000\":3,\"a "
                                     "\":4,\"\":5,\"b\":{\"a\":1},\"\\u00e1\":6,\"a\\u0301\":7}");
  g_assert_cmpuint (cm_json_length (cm_json_doc_root (doc)), ==, 8);
}

/* Around the size at which the reader turns from comparing to sorting, with the repeated key in
 * every place. */
static void
test_duplicate_keys_in_objects_of_any_size (void)
{
  for (guint count = 2; count < 40; count++) {
    for (guint repeated = 0; repeated < count; repeated++) {
      g_autoptr (GString) text = g_string_new ("{");
      for (guint i = 0; i < count; i++)
        g_string_append_printf (text, "\"key%u\":[%u],", i, i);
      g_string_truncate (text, text->len - 1);

      g_autofree char *good = g_strconcat (text->str, "}", NULL);
      g_autoptr (CmJsonDoc) doc = parse (good);
      g_assert_cmpuint (cm_json_length (cm_json_doc_root (doc)), ==, count);

      g_string_append_printf (text, ",\"key%u\":{}}", repeated);
      assert_refused (text->str, text->len);
    }
  }
}

static void
test_numbers (void)
{
  static const struct {
    const char *text;
    CmJsonType type;
    gint64 integer;
    double number;
  } rows[] = {
    { "0", CM_JSON_INTEGER, 0, 0 },
    { "-0", CM_JSON_INTEGER, 0, 0 },
    { "-1", CM_JSON_INTEGER, -1, -1 },
    { "9007199254740991", CM_JSON_INTEGER, G_GINT64_CONSTANT (9007199254740991),
      9007199254740991.0 },
    { "-9007199254740991", CM_JSON_INTEGER, G_GINT64_CONSTANT (-9007199254740991),
      -9007199254740991.0 },
    { "9007199254740992", CM_JSON_NUMBER, 0, 9007199254740992.0 },
    { "-9007199254740992", CM_JSON_NUMBER, 0, -9007199254740992.0 },
    { "999999999999999999", CM_JSON_NUMBER, 0, 999999999999999999.0 },
    { "9223372036854775808", CM_JSON_NUMBER, 0, 9223372036854775808.0 },
    { "18446744073709551616", CM_JSON_NUMBER, 0, 18446744073709551616.0 },
    { "18446744073709551617", CM_JSON_NUMBER, 0, 18446744073709551616.0 },
    { "123456789012345678901234567890", CM_JSON_NUMBER, 0, 123456789012345678901234567890.0 },
    { "1.0", CM_JSON_NUMBER, 0, 1 },
    { "0.5", CM_JSON_NUMBER, 0, 0.5 },
    { "-0.0", CM_JSON_NUMBER, 0, 0 },
    { "0e0", CM_JSON_NUMBER, 0, 0 },
    { "1e3", CM_JSON_NUMBER, 0, 1000 },
    { "1E+2", CM_JSON_NUMBER, 0, 100 },
    { "25e-1", CM_JSON_NUMBER, 0, 2.5 },
    { "1e308", CM_JSON_NUMBER, 0, 1e308 },
    { "1e-999", CM_JSON_NUMBER, 0, 0 },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *text = g_strdup_printf ("{\"n\":%s}", rows[i].text);
    g_autoptr (CmJsonDoc) doc = parse (text);
    const CmJson *node = cm_json_get (cm_json_doc_root (doc), "n");
    gint64 integer = 77;
    double number = 77;

    g_assert_cmpint (cm_json_type (node), ==, rows[i].type);
    g_assert_true (cm_json_integer (node, &integer) == (rows[i].type == CM_JSON_INTEGER));
    g_assert_cmpint (integer, ==, rows[i].type == CM_JSON_INTEGER ? rows[i].integer : 77);
    g_assert_true (cm_json_double (node, &number));
    g_assert_cmpfloat (number, ==, rows[i].number);
  }
}

static void
test_nan_and_wrap (void)
{
  static const char *const texts[] = {
    "NaN",    "[NaN]", "Infinity", "-Infinity", "[inf]",
    "[-inf]", "[nan]", "1e400",    "[-1e400]",  "{\"ts\":1e999999999999}",
    "1e309",  NULL,
  };
  assert_all_refused (texts);

  g_autofree char *digits = g_strnfill (400, '9');
  assert_refused (digits, strlen (digits));

  /* What is out of an integer's range is shown to nobody as another value. */
  g_autoptr (CmJsonDoc) doc = parse ("[9223372036854775808,18446744073709551617]");
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_put_node (writer, NULL, cm_json_doc_root (doc));
  g_autofree char *text = cm_json_writer_end_text (writer);
  g_assert_cmpstr (text, ==, "[9223372036854775808,18446744073709551617]");
}

static void
test_empty_root (void)
{
  static const char *const not_json[] = { "", " ", "\n\t\r ", NULL };
  static const char *const not_objects[] = { "null", "5", "[]", "\"x\"", "true", "[{}]", NULL };
  assert_all_refused (not_json);
  assert_refused (NULL, 0);

  for (gsize i = 0; not_objects[i] != NULL; i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (CmJsonDoc) doc = parse (not_objects[i]);
    g_assert_null (cm_json_parse_object (not_objects[i], strlen (not_objects[i]), &error));
    g_assert_error (error, CM_ERROR, CM_ERROR_BAD_JSON);
  }
  g_autoptr (CmJsonDoc) object = cm_json_parse_object ("{}", 2, NULL);
  g_assert_cmpint (cm_json_type (cm_json_doc_root (object)), ==, CM_JSON_OBJECT);
  g_autoptr (GError) error = NULL;
  g_assert_null (cm_json_parse_object ("{", 1, &error));
  g_assert_error (error, CM_ERROR, CM_ERROR_NOT_JSON);
}

static char *
nested (const char *opener, const char *inner, char closer, gsize depth)
{
  GString *text = g_string_new (NULL);
  for (gsize i = 0; i < depth; i++)
    g_string_append (text, opener);
  g_string_append (text, inner);
  for (gsize i = 0; i < depth; i++)
    g_string_append_c (text, closer);
  return g_string_free (text, FALSE);
}

static void
test_nesting (void)
{
  static const gsize refused[] = { 101, 1000, 100000, 1000000 };
  g_autofree char *arrays = nested ("[", "", ']', 100);
  g_autofree char *objects = nested ("{\"a\":", "1", '}', 100);
  g_autoptr (CmJsonDoc) deep_arrays = parse (arrays);
  g_autoptr (CmJsonDoc) deep_objects = parse (objects);
  g_autoptr (GBytes) canonical = cm_json_canonical (cm_json_doc_root (deep_objects), NULL, NULL);
  g_assert_cmpmem (g_bytes_get_data (canonical, NULL), g_bytes_get_size (canonical), objects,
                   strlen (objects));
  g_assert_true (cm_json_equal (cm_json_doc_root (deep_arrays), cm_json_doc_root (deep_arrays)));

  for (gsize i = 0; i < G_N_ELEMENTS (refused); i++) {
    g_autofree char *open_only = g_strnfill (refused[i], '[');
    g_autofree char *closed = nested ("[", "", ']', refused[i]);
    g_autofree char *keys = nested ("{\"a\":", "1", '}', refused[i]);
    assert_refused (open_only, refused[i]);
    assert_refused (closed, strlen (closed));
    assert_refused (keys, strlen (keys));
  }
}

/* Keys that all collide in GLib's string hash, and keys that are already in the worst order for
 * others. */
static void
test_hash_collision (void)
{
  g_autoptr (GString) text = g_string_new ("{");
  for (guint i = 0; i < 32768; i++) {
    g_string_append_c (text, '"');
    for (guint bit = 0; bit < 15; bit++)
      g_string_append (text, (i >> bit & 1) != 0 ? "Ez" : "FY");
    g_string_append (text, "\":0,");
  }
  text->str[text->len - 1] = '}';

  gint64 start = g_get_monotonic_time ();
  g_autoptr (CmJsonDoc) doc = parse (text->str);
  g_autoptr (CmJsonDoc) again = parse (text->str);
  g_assert_true (cm_json_equal (cm_json_doc_root (doc), cm_json_doc_root (again)));
  g_assert_cmpuint (cm_json_length (cm_json_doc_root (doc)), ==, 32768);
  /* Milliseconds in truth; what is quadratic takes half a minute. */
  g_assert_cmpint (g_get_monotonic_time () - start, <, 3 * G_USEC_PER_SEC);
}

static void
test_nul (void)
{
  static const char raw[] = "[\"a\0b\"]", behind[] = "{}\0", between[] = "{\0}";
  g_autoptr (CmJsonDoc) doc = parse ("{\"v\":\"a\\u0000b\",\"k\\u0000x\":1,\"k\":2}");
  const CmJson *root = cm_json_doc_root (doc);
  gsize length = 0;
  const char *text = cm_json_string (cm_json_get (root, "v"), &length);
  CmJsonIter iter;
  const char *key;

  g_assert_cmpmem (text, length, "a\0b", 3);
  g_assert_null (cm_json_text (cm_json_get (root, "v")));
  g_assert_null (cm_json_get_text (root, "v"));
  g_assert_cmpint (cm_json_get_integer (root, "k", 0), ==, 2);

  cm_json_iter_init (&iter, root);
  g_assert_true (cm_json_iter_next (&iter, &key, NULL));
  g_assert_cmpstr (cm_json_text (iter.key), ==, "v");
  g_assert_true (cm_json_iter_next (&iter, &key, NULL));
  g_assert_null (cm_json_text (iter.key));
  g_assert_cmpuint (cm_json_length (iter.key), ==, 3);

  g_autoptr (GBytes) canonical = cm_json_canonical (root, NULL, NULL);
  static const char expected[] = "{\"k\":2,\"k\\u0000x\":1,\"v\":\"a\\u0000b\"}";
  g_assert_cmpmem (g_bytes_get_data (canonical, NULL), g_bytes_get_size (canonical), expected,
                   strlen (expected));

  assert_refused (raw, sizeof raw - 1);
  assert_refused (behind, sizeof behind - 1);
  assert_refused (between, sizeof between - 1);
}

static void
test_unicode (void)
{
  static const char *const texts[] = {
    "\xEF\xBB\xBF{}",         /* byte order mark */
    "\xFF\xFE{\0}\0",         /* UTF-16 */
    "[\"\xFF\xFE\"]",         /* never in UTF-8 */
    "[\"\xC0\xAF\"]",         /* overlong, two bytes */
    "[\"\xC1\xBF\"]",         /* overlong */
    "[\"\xE0\x80\xAF\"]",     /* overlong, three bytes */
    "[\"\xF0\x80\x80\xAF\"]", /* overlong, four bytes */
    "[\"\xED\xA0\x80\"]",     /* surrogate in UTF-8 */
    "[\"\xED\xBF\xBF\"]",
    "[\"\xF4\x90\x80\x80\"]", /* above U+10FFFF */
    "[\"\xF5\x80\x80\x80\"]",
    "[\"\x80\"]", /* continuation without a lead */
    "[\"\xC3\"]", /* cut short by the quote */
    "[\"\xE2\x82\"]",
    "[\"\xF0\x9F\x98\"]",
    "[\"\xC3", /* cut short by the end */
    "[\"\xF0\x9F",
    "[\"\\n\xC3\"]", /* the same behind an escape */
    "[\"\\n\xED\xA0\x80\"]",
    "{\"\xFF\":1}",
    "[\"\\uD800\"]",
    "[\"\\uDC00\"]",
    "[\"\\uD800x\"]",
    "[\"\\uD800\\n\"]",
    "[\"\\uD800\\u0041\"]",
    "[\"\\uD800\\uD800\"]",
    "[\"\\uDC00\\uD800\"]",
    "[\"\\uDBFF\\uE000\"]",
    "[\"\\uD83D\\u\"]",
    "[\"\\uD83D",
    "[\"\\uD83D\\uDE\"]",
    NULL,
  };
  assert_all_refused (texts);

  static const struct {
    const char *json;
    const char *text;
  } good[] = {
    { "\"\\uD83D\\uDE00\"", "\xF0\x9F\x98\x80" },
    { "\"\\ud83d\\ude00x\"", "\xF0\x9F\x98\x80x" },
    { "\"\\uDBFF\\uDFFF\"", "\xF4\x8F\xBF\xBF" },
    { "\"\\uFFFE \xEF\xBF\xBE\"",
      "\xEF\xBF\xBE \xEF\xBF\xBE" }, /* noncharacters are characters enough */
    { "\"\\u00e9\\u65E5\"", "é日" },
    { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
    { "\"\x7f\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\xF0\x90\x80\x80\"",
      "\x7f\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\xF0\x90\x80\x80" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (good); i++) {
    g_autoptr (CmJsonDoc) doc = parse (good[i].json);
    g_assert_cmpstr (cm_json_text (cm_json_doc_root (doc)), ==, good[i].text);
  }
}

/* Every kind of byte at every distance from the start of the string: the wide loads must not lose
 * one. */
static void
test_strings_of_any_length (void)
{
  static const struct {
    const char *json;
    const char *text;
  } middles[] = {
    { "", "" },     { "\\n", "\n" }, { "\\u00e9", "é" },        { "é", "é" },
    { "日", "日" }, { "😀", "😀" },    { "\\ud83d\\ude00", "😀" }, { "é\\\"日", "é\"日" },
  };
  for (gsize i = 0; i < G_N_ELEMENTS (middles); i++) {
    for (gsize before = 0; before < 50; before++) {
      for (gsize after = 0; after < 35; after += 7) {
        g_autofree char *head = g_strnfill (before, 'h');
        g_autofree char *tail = g_strnfill (after, 't');
        g_autofree char *json = g_strconcat ("[\"", head, middles[i].json, tail, "\",1]", NULL);
        g_autofree char *expected = g_strconcat (head, middles[i].text, tail, NULL);
        g_autoptr (CmJsonDoc) doc = parse (json);
        g_assert_cmpstr (cm_json_text (cm_json_item (cm_json_doc_root (doc), 0)), ==, expected);
        g_assert_cmpuint (cm_json_length (cm_json_item (cm_json_doc_root (doc), 0)), ==,
                          strlen (expected));

        g_autofree char *raw = g_strconcat ("[\"", head, "\x01", tail, "\"]", NULL);
        assert_refused (raw, strlen (raw));
        raw[before + 2] = (char) 0xFF;
        assert_refused (raw, strlen (raw));
      }
    }
  }
}

/* More nodes for its length than the reader expects. */
static void
test_many_nodes (void)
{
  g_autoptr (GString) text = g_string_new ("[");
  for (guint i = 0; i < 10000; i++)
    g_string_append (text, "[],0,{},");
  text->str[text->len - 1] = ']';
  g_autoptr (CmJsonDoc) doc = parse (text->str);
  g_assert_cmpuint (cm_json_length (cm_json_doc_root (doc)), ==, 30000);
  g_assert_cmpint (cm_json_type (cm_json_item (cm_json_doc_root (doc), 29999)), ==, CM_JSON_OBJECT);
}

/* Whatever a good text is cut down to is refused, and read within its bounds (the sanitizers
 * watch). */
static void
test_truncation (void)
{
  static const char text[] = "{\"a\":[1,-2.5e3,true,false,null,"
                             "\"x\\u00e9\\ud83d\\ude00\\n\xC3\xA9\xE6\x97\xA5\"],\"b\":{}}";
  for (gsize length = 0; length < sizeof text - 1; length++) {
    g_autofree char *exact = g_memdup2 (text, length);
    assert_refused (exact, length);
  }
}

static void
test_reference_count (void)
{
  CmJsonDoc *doc = parse ("{}");
  g_autoptr (CmJsonDoc) second = cm_json_doc_ref (doc);
  cm_json_doc_unref (doc);
  g_assert_cmpint (cm_json_type (cm_json_doc_root (second)), ==, CM_JSON_OBJECT);
  cm_json_doc_unref (NULL);

  g_autoptr (GBytes) bytes = g_bytes_new_static ("[1]", 3);
  g_autoptr (CmJsonDoc) third = cm_json_parse_bytes (bytes, NULL);
  g_assert_cmpuint (cm_json_length (cm_json_doc_root (third)), ==, 1);
}

static char *
array_of (const char *item, gsize count, gsize *length)
{
  g_autoptr (GString) text = g_string_new ("[");

  for (gsize i = 0; i < count; i++)
    g_string_append (text, item);
  g_string_append (text, "0]");
  *length = text->len;
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* class fed-body-memory: a text of short values is read up to what a transaction may hold, one that
 * is as sparse as events are at any length. */
static void
test_dense (void)
{
  static const struct {
    const char *item;
    gsize count;
    gboolean good;
  } table[] = {
    { "0,", 50 * 32768 + 100 * 32768, TRUE },
    { "0,", 5100000, FALSE },
    { "0,", 8000000, FALSE },
    { "{},", 5100000, FALSE },
    { "{\"\":0},", 1700000, FALSE },
    { "\"a b c d\",", 5100000, TRUE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++) {
    g_autoptr (GError) error = NULL;
    gsize length;
    g_autofree char *text = array_of (table[i].item, table[i].count, &length);
    g_autoptr (CmJsonDoc) doc = cm_json_parse (text, length, &error);
    g_test_message ("%s", table[i].item);
    g_assert_true ((doc != NULL) == table[i].good);
    if (table[i].good)
      g_assert_cmpuint (cm_json_length (cm_json_doc_root (doc)), ==, table[i].count + 1);
    else
      g_assert_nonnull (strstr (error->message, "too many values"));
    g_assert_cmpuint (cm_json_doc_size (doc), <, 200 * 1000 * 1000);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/json/getters", test_getters);
  g_test_add_func ("/json/getters-of-wrong-type", test_getters_of_wrong_type);
  g_test_add_func ("/json/iteration", test_iteration);
  g_test_add_func ("/json/json-leniency", test_leniency);
  g_test_add_func ("/json/json-leniency/duplicate-keys", test_duplicate_keys);
  g_test_add_func ("/json/json-leniency/duplicate-keys-any-size",
                   test_duplicate_keys_in_objects_of_any_size);
  g_test_add_func ("/json/json-integers", test_numbers);
  g_test_add_func ("/json/json-nan-and-wrap", test_nan_and_wrap);
  g_test_add_func ("/json/json-empty-root", test_empty_root);
  g_test_add_func ("/json/json-nesting", test_nesting);
  g_test_add_func ("/json/hash-collision", test_hash_collision);
  g_test_add_func ("/json/json-nul", test_nul);
  g_test_add_func ("/json/json-unicode", test_unicode);
  g_test_add_func ("/json/strings-of-any-length", test_strings_of_any_length);
  g_test_add_func ("/json/many-nodes", test_many_nodes);
  g_test_add_func ("/json/fed-body-memory", test_dense);
  g_test_add_func ("/json/truncation", test_truncation);
  g_test_add_func ("/json/reference-count", test_reference_count);
  return g_test_run ();
}
