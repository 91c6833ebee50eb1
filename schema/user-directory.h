/* Finding users by name, among those whom somebody may know of: in a room with them, or in one that
 * is open to everybody. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

typedef struct {
  gint64 user;       /* sym of who searches */
  gint64 join_rules; /* syms of these types, 0 when never seen */
  gint64 history_visibility;
  const char *term; /* what user ids and names are to contain, in whatever case */
  gint64 limit;
} CmUserSearch;

typedef struct {
  char *user_id;
  char *display_name; /* JSON texts of a local user's profile; nullable */
  char *avatar_url;
  GBytes *event; /* the member event by which a user of another server was found; nullable */
} CmFoundUser;

void cm_found_user_free (CmFoundUser *found);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmFoundUser, cm_found_user_free)

/* (transfer full) of CmFoundUser, one more than @limit when there are more. */
GPtrArray *cm_user_directory_search (CmDb *db, const CmUserSearch *search, GError **error);

G_END_DECLS
