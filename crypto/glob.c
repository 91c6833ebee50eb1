#include "crypto/glob.h"

#include <string.h>

/* The stars cut a pattern into segments of fixed length. Taking each segment at the first place it
 * fits, after the one before it, is enough: it leaves the most text for the rest, so that no choice
 * has ever to be undone. The cost is at most the length of the pattern times that of the text. */

typedef struct {
  const char *start;
  gboolean words; /* match a run of whole words rather than all of the text */
} Subject;

/* Takes one character, lower-case, off @text. A byte that is no UTF-8 is a character by itself. */
static gunichar
take_char (const char **text)
{
  guint8 byte = (guint8) * *text;
  if (byte < 0x80) {
    (*text)++;
    return (gunichar) g_ascii_tolower ((char) byte);
  }
  gunichar c = g_utf8_get_char_validated (*text, -1);
  if (c == (gunichar) -1 || c == (gunichar) -2) {
    (*text)++;
    return 0xFFFFFF00u | byte; /* no code point */
  }
  *text = g_utf8_next_char (*text);
  return g_unichar_tolower (c);
}

static gboolean
is_word_char (char c)
{
  return g_ascii_isalnum (c) || c == '_';
}

/* Client-server, "Push Rules": a boundary is the start or end of the value, or a character not in
 * [A-Za-z0-9_]. */
static gboolean
may_start (const Subject *subject, const char *at)
{
  return at == subject->start || (subject->words && !is_word_char (at[-1]));
}

static gboolean
may_end (const Subject *subject, const char *at)
{
  return *at == '\0' || (subject->words && !is_word_char (*at));
}

/* What follows @segment, up to its star or the end of the pattern, if it stands at @text; NULL if
 * it does not. */
static const char *
segment_at (const char *segment, const char *segment_end, const char *text)
{
  while (segment < segment_end) {
    if (*text == '\0')
      return NULL;
    gboolean any = *segment == '?';
    gunichar wanted = take_char (&segment);
    if (take_char (&text) != wanted && !any)
      return NULL;
  }
  return text;
}

static gboolean
match (const char *pattern, const Subject *subject)
{
  const char *at = subject->start;
  const char *segment = pattern;

  for (;;) {
    const char *segment_end = segment + strcspn (segment, "*");
    gboolean first = segment == pattern, last = *segment_end == '\0';
    const char *after = NULL;

    for (;;) {
      if (!first || may_start (subject, at))
        after = segment_at (segment, segment_end, at);
      if (after != NULL && (!last || may_end (subject, after)))
        break;
      if (*at == '\0')
        return FALSE;
      after = NULL;
      take_char (&at);
    }
    if (last)
      return TRUE;
    at = after;
    segment = segment_end + 1;
  }
}

gboolean
cm_glob_match (const char *pattern, const char *text)
{
  return match (pattern, &(Subject){ .start = text, .words = FALSE });
}

gboolean
cm_glob_match_words (const char *pattern, const char *text)
{
  return match (pattern, &(Subject){ .start = text, .words = TRUE });
}
