/* Devices of other servers' users, as those servers told: kept only of users who share a room with
 * somebody here. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

typedef enum {
  CM_REMOTE_LIST_NONE,  /* never asked for */
  CM_REMOTE_LIST_STALE, /* must be asked for anew */
  CM_REMOTE_LIST_FRESH,
} CmRemoteList;

gboolean cm_remote_list_find (CmDb *db, const char *user_id, CmRemoteList *list, gint64 *stream_id,
                              GError **error);
/* Rows of (device_id, keys, display_name); @device_ids (strv) NULL: all. Devices without keys are
 * left out. */
CmRows *cm_remote_devices_find (CmDb *db, const char *user_id, char **device_ids, GError **error);

/* Adds to @write: the whole list is to be replaced by the devices that are added next. */
void cm_remote_list_replace (CmWrite *write, const char *user_id, gint64 stream_id);
void cm_remote_list_mark_stale (CmWrite *write, const char *user_id);
/* A later number of a list that is known and fresh. */
void cm_remote_list_advance (CmWrite *write, const char *user_id, gint64 stream_id);
void cm_remote_device_put (CmWrite *write, const char *user_id, const char *device_id,
                           const char *display_name, GBytes *keys);
void cm_remote_device_delete (CmWrite *write, const char *user_id, const char *device_id);

G_END_DECLS
