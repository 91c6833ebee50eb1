/* A page of what one user finds in his rooms: counted and paged as he may see it, so that neither
 * number tells of what he may not (class search-oracle). */
#pragma once

#include "server/node.h"
#include "server/rooms/event-filter.h"

G_BEGIN_DECLS

typedef struct {
  CmNode *node;
  const char *user_id;
  const char *term;
  const char *const *keys; /* "content.body" and the like */
  gboolean by_rank;        /* else the newest first */
  const CmEventFilter *filter;
  gint64 offset;
  gint64 limit;
} CmRoomSearchQuery;

typedef struct {
  gint64 count; /* of all that was found, as far as was looked */
  gboolean more;
  GPtrArray *events; /* of CmEvent, in order */
  GArray *ranks;     /* of double, parallel */
} CmRoomSearchPage;

void cm_room_search_page_free (CmRoomSearchPage *page);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmRoomSearchPage, cm_room_search_page_free)

CmRoomSearchPage *cm_room_search (const CmRoomSearchQuery *query, GError **error);

G_END_DECLS
