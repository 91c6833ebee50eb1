/* Whose devices changed, and who must hear of it. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* Adds the newest change of a user's devices to @write. */
void cm_device_list_change (CmWrite *write, const char *user_id, gint64 offset);
/* A number for a local user's next m.device_list_update: taken at once, and added to the write that
 * makes the change, so that whoever asks for the devices learns the number that they have. 0 with
 * @error. */
gint64 cm_device_list_take_stream_id (CmDb *db, const char *user_id, GError **error);
void cm_device_list_use_stream_id (CmWrite *write, const char *user_id, gint64 stream_id);
/* The newest one that is committed; 0 when there is none. */
gboolean
cm_device_list_stream_id (CmDb *db, const char *user_id, gint64 *stream_id, GError **error);

/* (transfer full) local users, or other servers, that share a room with the user. */
char **cm_device_list_local_audience (CmDb *db, const char *user_id, GError **error);
char **
cm_device_list_servers (CmDb *db, const char *user_id, const char *own_server, GError **error);
gboolean
cm_users_share_room (CmDb *db, const char *a, const char *b, gboolean *share, GError **error);
/* Whether any local user shares a room with @user_id. */
gboolean cm_user_is_near (CmDb *db, const char *user_id, gboolean *near, GError **error);

/* (transfer full) user ids whose devices changed after @from and up to @to and who share a room
 * with @user_id, or do so since then. */
char **
cm_device_list_changed (CmDb *db, const char *user_id, gint64 from, gint64 to, GError **error);
/* (transfer full) user ids who share none any longer, since @from. */
char **cm_device_list_left (CmDb *db, const char *user_id, gint64 from, gint64 to, GError **error);

G_END_DECLS
