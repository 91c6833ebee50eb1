/* What an account's changes mean for the rooms its user is in: a new name or picture goes into the
 * member events, a deactivated user leaves. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

typedef struct _CmSpread CmSpread;

CmSpread *cm_spread_new (CmNode *node);
void cm_spread_free (CmSpread *spread);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmSpread, cm_spread_free)

/* Starts telling the rooms of @user_id, in the background, what the profile says. A user's changes
 * never overtake each other: what is told is always the profile as it is then. */
void cm_spread_profile (CmSpread *spread, const char *user_id);

/* Leaves every room, and refuses every invite. Blocking; goes on where one room fails, and says so
 * (FALSE). */
gboolean cm_spread_leave_all (CmSpread *spread, const char *user_id, GError **error);

G_END_DECLS
