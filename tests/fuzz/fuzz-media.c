#include "tests/fuzz/fuzz.h"

#include "server/media/header-value.h"
#include "server/media/multipart.h"

#include <string.h>

/* What stands in a header may be nothing but printable. */
static void
expect_clean (const char *value)
{
  for (; *value != '\0'; value++)
    FUZZ_EXPECT (g_ascii_isprint (*value));
}

static void
check_headers (const char *text)
{
  g_autofree char *name = cm_disposition_file_name (text);
  g_autofree char *param = cm_header_param (text, "boundary");

  if (cm_content_type_is_valid (text))
    FUZZ_EXPECT (strchr (text, '\r') == NULL && strchr (text, '\n') == NULL);
  if (name == NULL)
    return;
  g_autofree char *written = cm_disposition_new (FALSE, name);
  expect_clean (written);
  g_autofree char *read = cm_disposition_file_name (written);
  g_autofree char *rewritten = cm_disposition_new (FALSE, read);
  FUZZ_EXPECT (strcmp (written, rewritten) == 0);
}

/* The headers of a file from another server, and a whole answer: the first line is the content
 * type, the rest the body. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  const guint8 *line = memchr (data, '\n', size);
  gsize length = line != NULL ? (gsize) (line - data) : size;
  g_autofree char *type = g_strndup ((const char *) data, length);
  g_autoptr (GBytes) body =
      g_bytes_new (data + length + (line != NULL), size - length - (line != NULL));
  g_autoptr (GError) error = NULL;
  g_autoptr (CmFilePart) part = cm_multipart_parse (type, body, &error);

  FUZZ_EXPECT (!part == !!error);
  check_headers (type);
  if (part == NULL)
    return 0;
  FUZZ_EXPECT (g_bytes_get_size (part->content) < g_bytes_get_size (body));
  FUZZ_EXPECT (part->file_name == NULL || g_utf8_validate (part->file_name, -1, NULL));
  return 0;
}
