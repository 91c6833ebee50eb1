/* Full-text search over what is not encrypted. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* Adds the words of @text to @write as those of event number @event; @key as in the client-server
 * API ("content.body"). */
void cm_search_add (CmWrite *write, gint64 event, gint64 room, const char *key, const char *text);

typedef struct {
  const char *term;        /* its words, all of which must be there */
  GArray *rooms;           /* of gint64 */
  const char *const *keys; /* "content.body" and the like */
  gboolean by_rank;        /* else by time, the newest first */
  gint64 offset;
  gint64 limit;
} CmSearchQuery;

typedef struct {
  gint64 event; /* number */
  double rank;
} CmSearchHit;

/* (transfer full) of CmSearchHit: whoever may see the events is not asked for here. */
GArray *cm_search_find (CmDb *db, const CmSearchQuery *query, GError **error);

G_END_DECLS
