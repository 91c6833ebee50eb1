/* A page of a room's history as its reader sees it: read, filtered by what may be seen and by what
 * is wanted, until the page is full or history ends. Positions are cuts, as in page tokens
 * (page-token.h). */
#pragma once

#include "server/rooms/event-filter.h"
#include "server/rooms/find.h"

G_BEGIN_DECLS

/* Before everything, and after. */
#define CM_CUT_FIRST (-(G_MAXINT64 / 2))
#define CM_CUT_LAST  (G_MAXINT64 / 2)

typedef struct {
  CmNode *node;
  const CmReadableRoom *room;
  const char *user_id;
  const CmEventFilter *filter;
  gint64 from;
  gint64 to; /* where to stop at the latest; CM_CUT_FIRST or CM_CUT_LAST */
  gboolean backwards;
  gsize limit;
} CmHistoryQuery;

typedef struct {
  GPtrArray *events; /* of CmEvent */
  gint64 end;        /* where to go on */
  gboolean moved;    /* there was something between from and end, shown or not */
  gboolean at_end;   /* this node knows of nothing further */
} CmHistoryPage;

void cm_history_page_free (CmHistoryPage *page);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmHistoryPage, cm_history_page_free)

CmHistoryPage *cm_history_read (const CmHistoryQuery *query, GError **error);

/* (transfer full) the member events, as of @state, of those who sent @events (lazy loading). */
GPtrArray *
cm_history_members (CmNode *node, GPtrArray *events, const CmStateMap *state, GError **error);

/* The filter of a query parameter "filter": JSON text. */
CmEventFilter *cm_call_event_filter (CmCall *call, GError **error);

G_END_DECLS
