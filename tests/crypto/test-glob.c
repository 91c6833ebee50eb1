#include "crypto/glob.h"

#include <string.h>

typedef struct {
  const char *pattern;
  const char *text;
  gboolean matches;
} Row;

static void
assert_rows (gboolean (*match) (const char *, const char *), const Row *rows, gsize count)
{
  for (gsize i = 0; i < count; i++)
    if (match (rows[i].pattern, rows[i].text) != rows[i].matches)
      g_error ("'%s' should %smatch '%s'", rows[i].pattern, rows[i].matches ? "" : "not ",
               rows[i].text);
}

static void
test_whole (void)
{
  static const Row rows[] = {
    { "", "", TRUE },
    { "", "a", FALSE },
    { "a", "", FALSE },
    { "abc", "abc", TRUE },
    { "abc", "abcd", FALSE },
    { "abc", "xabc", FALSE },
    { "ABC", "abc", TRUE },
    { "abc", "AbC", TRUE },
    { "*", "", TRUE },
    { "*", "anything\nat all", TRUE },
    { "**", "", TRUE },
    { "a*", "a", TRUE },
    { "a*", "ba", FALSE },
    { "*a", "ba", TRUE },
    { "*a", "ab", FALSE },
    { "a*c", "abcabc", TRUE },
    { "a*c", "abcabd", FALSE },
    { "a*b*c", "aXbXc", TRUE },
    { "a*b*c", "acb", FALSE },
    { "*ab*ab*", "abab", TRUE },
    { "*ab*ab*", "aba", FALSE },
    { "*aab", "aaab", TRUE },
    { "a**b", "ab", TRUE },
    { "ab*ba", "aba", FALSE },
    { "?", "", FALSE },
    { "?", "a", TRUE },
    { "?", "ab", FALSE },
    { "?", "é", TRUE },
    { "??", "é", FALSE },
    { "?", "😀", TRUE },
    { "a?c", "a日c", TRUE },
    { "*?", "", FALSE },
    { "?*", "ab", TRUE },
    { "É*", "éa", TRUE },
    { "STRASSE", "strasse", TRUE },
    { "ДА", "да", TRUE },
    { "[a-z]", "b", FALSE },
    { "[a-z]", "[A-Z]", TRUE },
    { "a.c", "abc", FALSE },
    { "\\*", "\\x", TRUE },
    { "\xff?", "\xff\xfe", TRUE },
    { "?", "\xf0\x9f", FALSE },
    { "lunc?*", "LUNCH", TRUE },
    { "lunc?*", " lunch", FALSE },
    { "lunc?*", "lunc", FALSE },
    /* acl-matching */
    { "*.evil.example", "a.EVIL.example", TRUE },
    { "*.evil.example", "evil.example", FALSE },
    { "evil.example", "evil.example.", FALSE },
    { "1.2.3.?", "1.2.3.45", FALSE },
    { "*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", FALSE },
  };
  assert_rows (cm_glob_match, rows, G_N_ELEMENTS (rows));
}

/* Client-server, "Push Rules", event_match on content.body. */
static void
test_words (void)
{
  static const Row rows[] = {
    { "ex*ple", "An example event.", TRUE },
    { "exple", "exple", TRUE },
    { "ex*ple", "exciting triple-whammy", TRUE },
    { "alice", "alice", TRUE },
    { "alice", "Hello Alice!", TRUE },
    { "alice", "(alice)", TRUE },
    { "alice", "malice", FALSE },
    { "alice", "alices", FALSE },
    { "alice", "_alice", FALSE },
    { "alice", "alice_", FALSE },
    { "alice", "alice2", FALSE },
    { "alice", "malice alice", TRUE },
    { "alice", "alices, alice", TRUE },
    { "alice", "éalice日", TRUE },
    { "al?ce",
      "x al\xC3\xAF"
      "ce",
      TRUE },
    { "ali*", "malice", FALSE },
    { "ali*", "the alien", TRUE },
    { "*ice", "the malice", TRUE },
    { "*ice", "the iced", FALSE },
    { "*lic*", "malices", TRUE },
    { "two words", "just two words here", TRUE },
    { "two words", "just two  words", FALSE },
    { "!", "wow!", FALSE }, /* the "w" before it is no boundary */
    { "!", "wow !", TRUE },
    { "", "x y", FALSE },
    { "", "x  y", TRUE },
    { "*", "anything", TRUE },
    { "a", "", FALSE },
    { "a*b", "xa b a-b", TRUE },
    { "a*b", "xa ba", FALSE },
  };
  assert_rows (cm_glob_match_words, rows, G_N_ELEMENTS (rows));
}

/* Against the definition itself, written out plainly, over all short patterns and texts. */
static gboolean
slow_match (const char *pattern, const char *text, gsize length)
{
  if (*pattern == '\0')
    return length == 0;
  if (*pattern == '*') {
    for (gsize skip = 0; skip <= length; skip++)
      if (slow_match (pattern + 1, text + skip, length - skip))
        return TRUE;
    return FALSE;
  }
  return length > 0 && (*pattern == '?' || *pattern == *text) &&
         slow_match (pattern + 1, text + 1, length - 1);
}

static gboolean
slow_match_words (const char *pattern, const char *text)
{
  gsize length = strlen (text);
  for (gsize start = 0; start <= length; start++) {
    if (start > 0 && g_ascii_isalnum (text[start - 1]))
      continue;
    for (gsize end = start; end <= length; end++)
      if (!g_ascii_isalnum (text[end]) && slow_match (pattern, text + start, end - start))
        return TRUE;
  }
  return FALSE;
}

/* Writes the @number-th text over @alphabet, shorter ones first. */
static void
nth_text (char *text, guint number, const char *alphabet)
{
  guint base = (guint) strlen (alphabet);
  gsize length = 0;
  for (; number > 0; number = (number - 1) / base)
    text[length++] = alphabet[(number - 1) % base];
  text[length] = '\0';
}

static void
test_exhaustively (void)
{
  char pattern[16], text[16];
  for (guint p = 0; p < 1500; p++) { /* all up to five characters of four, and some more */
    nth_text (pattern, p, "a*b? ");
    for (guint t = 0; t < 400; t++) {
      nth_text (text, t, "ab ");
      if (cm_glob_match (pattern, text) != slow_match (pattern, text, strlen (text)))
        g_error ("whole: '%s' on '%s'", pattern, text);
      if (cm_glob_match_words (pattern, text) != slow_match_words (pattern, text))
        g_error ("words: '%s' on '%s'", pattern, text);
    }
  }
}

static void
test_cost (void)
{
  g_autoptr (GString) stars = g_string_new (NULL);
  g_autofree char *text = g_strnfill (10000, 'a');
  g_autofree char *spaces = g_strnfill (60000, ' ');
  for (guint i = 0; i < 30; i++)
    g_string_append (stars, "*a");
  g_string_append (stars, "*b");

  gint64 start = g_get_monotonic_time ();
  for (guint i = 0; i < 100; i++) {
    g_assert_false (cm_glob_match (stars->str, text));
    g_assert_false (cm_glob_match_words (stars->str, text));
    g_assert_false (cm_glob_match_words (stars->str + 1, spaces));
    g_assert_false (cm_glob_match ("*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", text));
  }
  /* A tenth of a second in truth; with backtracking beyond the last star it would not end. */
  g_assert_cmpint (g_get_monotonic_time () - start, <, 10 * G_USEC_PER_SEC);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/glob/whole/acl-matching", test_whole);
  g_test_add_func ("/glob/words", test_words);
  g_test_add_func ("/glob/exhaustively", test_exhaustively);
  g_test_add_func ("/glob/CVE-2021-29471", test_cost);
  return g_test_run ();
}
