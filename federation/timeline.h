/* Pages of a room's history in the order of positions (live events ascend from 1, backfilled
 * history descends from -1), and who may see what. */
#pragma once

#include "federation/rooms.h"

G_BEGIN_DECLS

typedef struct {
  gint64 room; /* sym */
  gint64 from; /* position; exclusive */
  gint64 to;   /* position; exclusive; G_MININT64 or G_MAXINT64 for none */
  gboolean backwards;
  gsize limit;
  /* Filters on syms; NULL: no filter. Applied in SQL. */
  GArray *types, *not_types, *senders, *not_senders; /* of gint64 */
} CmTimelineQuery;

typedef struct {
  GPtrArray *events; /* of CmEvent; rejected, soft-failed and outlier events never stand here */
  gint64 end;        /* where the next page starts: the database cursor, not the last event shown */
  gboolean more;     /* there is more that way, as far as this node knows */
} CmTimelinePage;

void cm_timeline_page_free (CmTimelinePage *page);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmTimelinePage, cm_timeline_page_free)

CmTimelinePage *cm_timeline_read (CmRooms *rooms, const CmTimelineQuery *query, GError **error);

/* client-server, "History visibility": drops from @events those that @user_id may not see (state at
 * each event decides; consults the user's membership then and now). Keeps order. Sets nothing on
 * error. */
gboolean cm_timeline_filter_for_user (CmRooms *rooms, GPtrArray *events, const char *user_id,
                                      GError **error);
/* server-server: what @server may see; events it may not see (or not in full any more, their sender
 * being erased) are replaced by their pruned form. */
gboolean cm_timeline_filter_for_server (CmRooms *rooms, GPtrArray *events, const char *server,
                                        GError **error);

G_END_DECLS
