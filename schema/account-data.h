/* What users keep on the server: account data, global and of rooms. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* Sets it, at a new position of @write, and wakes the user. @room_id "": global. With
 * m.ignored_user_list the user's id is attached as "push-profile". */
void cm_account_data_put (CmWrite *write, const char *user_id, const char *room_id,
                          const char *type, GBytes *content);
/* The same; the write fails with CM_ERROR_CONFLICT unless what is there is of position @before (0:
 * nothing is there), so that of two changes at once none is lost. */
void cm_account_data_change (CmWrite *write, const char *user_id, const char *room_id,
                             const char *type, GBytes *content, gint64 before);
/* (transfer full) NULL without @error when there is none. @position nullable. */
GBytes *cm_account_data_get (CmDb *db, const char *user_id, const char *room_id, const char *type,
                             gint64 *position, GError **error);
/* How much a user keeps, in bytes, names and what a row takes beside them included. */
typedef struct {
  gint64 before;
  gint64 after; /* if @type of @room_id became @content */
} CmAccountDataSize;

gboolean cm_account_data_size (CmDb *db, const char *user_id, const char *room_id, const char *type,
                               GBytes *content, CmAccountDataSize *size, GError **error);
/* Rows of (user_id, content) of global account data @type of many users. */
CmRows *
cm_account_data_of_users (CmDb *db, const char *const *user_ids, const char *type, GError **error);

/* Rows of (type, content) of all that a user keeps with a room. */
CmRows *
cm_account_data_of_room (CmDb *db, const char *user_id, const char *room_id, GError **error);

/* Filters that clients stored. Returns the id of an equal one that is there already, or a new one;
 * 0 with @error: CM_ERROR_TOO_LARGE when the user keeps too much of them. */
gint64 cm_filter_add (CmDb *db, const char *user_id, GBytes *filter, GError **error);
/* (transfer full) CM_ERROR_NOT_FOUND. */
GBytes *cm_filter_get (CmDb *db, const char *user_id, gint64 id, GError **error);

G_END_DECLS
