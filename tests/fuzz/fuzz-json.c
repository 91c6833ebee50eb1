#include "tests/fuzz/fuzz.h"

#include "crypto/json-writer.h"

#include <string.h>

/* What was read can be written, and read again as the same. */
static void
check_round_trip (const CmJson *root)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_put_node (writer, NULL, root);
  g_autoptr (GBytes) text = cm_json_writer_end (writer);
  g_autoptr (CmJsonDoc) again = cm_json_parse_bytes (text, &error);
  FUZZ_EXPECT (error == NULL);
  FUZZ_EXPECT (cm_json_equal (root, cm_json_doc_root (again)));
}

/* Canonical JSON is UTF-8, and its own canonical form. */
static void
check_canonical (const CmJson *root)
{
  g_autoptr (GBytes) bytes = cm_json_canonical (root, NULL, NULL);
  FUZZ_EXPECT ((bytes != NULL) == cm_json_is_canonical (root));
  if (bytes == NULL)
    return;

  gsize length;
  const char *text = g_bytes_get_data (bytes, &length);
  FUZZ_EXPECT (g_utf8_validate_len (text, length, NULL));
  g_autoptr (CmJsonDoc) doc = cm_json_parse (text, length, NULL);
  FUZZ_EXPECT (doc != NULL);
  g_autoptr (GBytes) again = cm_json_canonical (cm_json_doc_root (doc), NULL, NULL);
  FUZZ_EXPECT (g_bytes_equal (bytes, again));
  FUZZ_EXPECT (cm_json_equal (root, cm_json_doc_root (doc)));
}

static void
check_string (const CmJson *node)
{
  gsize length = 0;
  const char *text = cm_json_string (node, &length);
  FUZZ_EXPECT (length == cm_json_length (node));
  FUZZ_EXPECT (text[length] == '\0');
  FUZZ_EXPECT ((cm_json_text (node) != NULL) == (strlen (text) == length));
  /* g_utf8_validate refuses U+0000, so in pieces. */
  for (const char *piece = text; piece <= text + length; piece += strlen (piece) + 1)
    FUZZ_EXPECT (g_utf8_validate (piece, -1, NULL));
}

/* Walks all below @node; recursion is as deep as CM_JSON_MAX_DEPTH allows. */
static void
check_node (const CmJson *node, guint depth)
{
  CmJsonIter iter;
  const char *key;
  const CmJson *value;
  gsize count = 0;
  gint64 integer = 0;
  double number = 0;

  FUZZ_EXPECT (depth <= CM_JSON_MAX_DEPTH);
  if (cm_json_type (node) == CM_JSON_STRING) {
    check_string (node);
    return;
  }
  if (cm_json_integer (node, &integer))
    FUZZ_EXPECT (integer >= -9007199254740991 && integer <= 9007199254740991);
  cm_json_double (node, &number);

  cm_json_iter_init (&iter, node);
  while (cm_json_iter_next (&iter, &key, &value)) {
    if (iter.key != NULL)
      check_string (iter.key);
    /* To look up one takes time for all before it: enough is enough. */
    if (count < 50 && cm_json_text (iter.key) != NULL)
      FUZZ_EXPECT (cm_json_get (node, key) == value);
    if (count < 50 && iter.key == NULL)
      FUZZ_EXPECT (cm_json_item (node, count) == value);
    check_node (value, depth + 1);
    count++;
  }
  FUZZ_EXPECT (cm_json_type (node) < CM_JSON_ARRAY || count == cm_json_length (node));
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) doc = cm_json_parse ((const char *) data, size, &error);

  FUZZ_EXPECT ((doc == NULL) == (error != NULL));
  if (doc == NULL)
    return 0;
  FUZZ_EXPECT (g_utf8_validate_len ((const char *) data, size, NULL));
  check_node (cm_json_doc_root (doc), 0);
  check_round_trip (cm_json_doc_root (doc));
  check_canonical (cm_json_doc_root (doc));
  return 0;
}
