#include "tests/fuzz/fuzz.h"

#include "crypto/glob.h"

#include <string.h>

/* The first line is the pattern, the rest the text. */
int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  const guint8 *newline = size > 0 ? memchr (data, '\n', size) : NULL;
  if (newline == NULL)
    return 0;
  gsize length = (gsize) (newline - data);
  g_autofree char *pattern = g_strndup ((const char *) data, length);
  g_autofree char *text = g_strndup ((const char *) newline + 1, size - length - 1);
  g_autofree char *inside = g_strconcat ("*", pattern, "*", NULL);

  /* What matches all of a text matches words of it, and what matches words stands somewhere in it.
   */
  gboolean whole = cm_glob_match (pattern, text);
  gboolean words = cm_glob_match_words (pattern, text);
  gboolean within = cm_glob_match (inside, text);
  FUZZ_EXPECT (!whole || words);
  FUZZ_EXPECT (!words || within);
  return 0;
}
