#include "tests/fuzz/fuzz.h"

#include "crypto/json-writer.h"

/* What was read can be written and read again, and is then the same. */
static void
check_round_trip (const CmJson *root)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_put_node (writer, NULL, root);
  g_autoptr (GBytes) text = cm_json_writer_end (writer);
  g_autoptr (CmJsonDoc) again = cm_json_parse_bytes (text, NULL);
  FUZZ_EXPECT (again);
  FUZZ_EXPECT (cm_json_type (cm_json_doc_root (again)) == cm_json_type (root));
  FUZZ_EXPECT (cm_json_length (cm_json_doc_root (again)) == cm_json_length (root));
}

/* The canonical form of a canonical form is itself. */
static void
check_canonical (const CmJson *root)
{
  g_autoptr (GBytes) canonical = cm_json_canonical (root, NULL, NULL);
  if (!canonical)
    return;
  g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (canonical, NULL);
  FUZZ_EXPECT (doc);
  g_autoptr (GBytes) again = cm_json_canonical (cm_json_doc_root (doc), NULL, NULL);
  FUZZ_EXPECT (again && g_bytes_equal (canonical, again));
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CmJsonDoc) doc = cm_json_parse ((const char *) data, size, &error);
  FUZZ_EXPECT (!doc == !!error);
  if (!doc)
    return 0;
  check_round_trip (cm_json_doc_root (doc));
  check_canonical (cm_json_doc_root (doc));
  return 0;
}
