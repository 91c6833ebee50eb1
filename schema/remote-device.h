/* Devices of other servers' users, as those servers told. A list is good while it is not stale and
 * its user has shared a room with somebody here all the time since it was asked for: only then are
 * its changes told. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

/* @stream_id: of a list that is good; 0 otherwise. */
gboolean cm_remote_list_find (CmDb *db, const char *user_id, gboolean *fresh, gint64 *stream_id,
                              GError **error);
/* Rows of (user_id): those of @user_ids (strv) whose lists are good; and those who share a room
 * with anybody here. */
CmRows *cm_remote_lists_fresh (CmDb *db, char **user_ids, GError **error);
CmRows *cm_remote_users_near (CmDb *db, char **user_ids, GError **error);
/* Rows of (user_id, device_id, keys, display_name), in this order. Devices without keys are left
 * out. */
CmRows *cm_remote_devices_find (CmDb *db, char **user_ids, GError **error);

/* Adds to @write: the whole list is replaced by the devices that are added next. @position: where
 * the stream was before the list was asked for. It is stale at once when a later number was told
 * meanwhile. */
void
cm_remote_list_replace (CmWrite *write, const char *user_id, gint64 stream_id, gint64 position);
/* A change, of number @stream_id, that does not follow on what is known. */
void cm_remote_list_mark_stale (CmWrite *write, const char *user_id, gint64 stream_id);
/* The next number of a good list, behind the devices that changed; the write fails with
 * CM_ERROR_CONFLICT when it is no longer at @from, or has become too large. */
void cm_remote_list_advance (CmWrite *write, const char *user_id, gint64 from, gint64 to);
void cm_remote_device_put (CmWrite *write, const char *user_id, const char *device_id,
                           const char *display_name, GBytes *keys);
void cm_remote_device_delete (CmWrite *write, const char *user_id, const char *device_id);

G_END_DECLS
