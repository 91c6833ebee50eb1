/* Globs of push rules and server ACLs: '*' any run, '?' any one character, case-insensitive (ASCII
 * and simple Unicode), in linear-bounded time (no backtracking beyond the last star). */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

gboolean cm_glob_match (const char *pattern, const char *text);
/* TRUE when @pattern matches some run of whole words in @text (push rules, "event_match" on
 * content.body). */
gboolean cm_glob_match_words (const char *pattern, const char *text);

G_END_DECLS
