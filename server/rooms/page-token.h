/* The tokens with which clients page through history: a cut between two positions of the stream.
 * Everything up to and including the position lies before the cut. Tokens of /sync are read too: a
 * letter, a position, and whatever follows an underscore. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

/* (transfer full) the token of the cut after @position. A page that begins with the event at
 * position p has the token of p - 1 before it. */
char *cm_page_token (gint64 position);

/* CM_ERROR_INVALID_PARAM for what no server of this kind ever gave out. */
gboolean cm_page_token_parse (const char *text, gint64 *position, GError **error);

G_END_DECLS
