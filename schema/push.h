/* Push rules, pushers and unread counters as they are stored. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* A user's own rules and switches over the defaults, as one JSON document; (transfer full) NULL
 * without @error when he has none. @position (nullable) gets when they last changed. */
GBytes *cm_push_rules_get (CmDb *db, const char *user_id, gint64 *position, GError **error);
/* Rows of (user_id, rules). */
CmRows *cm_push_rules_of_users (CmDb *db, const char *const *user_ids, GError **error);
/* At a new position of @write; wakes the user, and attaches his id as "push-profile". The write
 * fails with CM_ERROR_CONFLICT unless the rules still are those of position @before (0: none), so
 * that of two changes at once none is lost.
 */
void cm_push_rules_put (CmWrite *write, const char *user_id, GBytes *rules, gint64 before);

/* Rows of (app_id, pushkey, pusher). */
CmRows *cm_pushers_get (CmDb *db, const char *user_id, GError **error);
/* Rows of (user_id, app_id, pushkey, pusher). */
CmRows *cm_pushers_of_users (CmDb *db, const char *const *user_ids, GError **error);
/* @alone: those of other users with the same app and key go. CM_ERROR_TOO_LARGE when the user has
 * too many. */
gboolean cm_pusher_put (CmDb *db, const char *user_id, const char *app_id, const char *pushkey,
                        gint64 token, GBytes *pusher, gboolean alone, GError **error);
gboolean cm_pusher_delete (CmDb *db, const char *user_id, const char *app_id, const char *pushkey,
                           GError **error);

/* Counters of unread events, by user, room and thread (number of its root, 0: the main timeline).
 */
typedef struct {
  GArray *users, *rooms, *threads, *notifications, *highlights; /* of gint64, equally long */
} CmUnreadRows;

CmUnreadRows *cm_unread_rows_new (void);
void cm_unread_rows_free (CmUnreadRows *rows);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmUnreadRows, cm_unread_rows_free)
void cm_unread_rows_add (CmUnreadRows *rows, gint64 user, gint64 room, gint64 thread,
                         gint64 notifications, gint64 highlights);

/* Adds to @write the counters as they stand after everything up to @position was counted. Those
 * that are zero are deleted. */
void cm_unread_write (CmWrite *write, const CmUnreadRows *rows, gint64 position);
/* Up to which position everything is counted in what is stored. */
gboolean cm_unread_position (CmDb *db, gint64 *position, GError **error);
/* What is unread in all rooms but one. */
gboolean cm_unread_elsewhere (CmDb *db, gint64 user, gint64 room, gint64 *count, GError **error);
/* Rows of (event, position): of the rooms the user is in, what came after he did and before
 * @before; the newest first. */
CmRows *cm_push_candidates (CmDb *db, gint64 user, gint64 before, gint64 limit, GError **error);
/* Rows of (event): the newest @limit of all rooms' after @position, the newest first. */
CmRows *cm_unread_events_after (CmDb *db, gint64 position, gint64 limit, GError **error);
/* Rows of (user, thread, notifications, highlights) of a room. */
CmRows *cm_unread_of_room (CmDb *db, gint64 room, GError **error);

G_END_DECLS
