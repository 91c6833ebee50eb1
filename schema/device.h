/* Devices of this server's users. */
#pragma once

#include "schema/write.h"

G_BEGIN_DECLS

typedef struct {
  char *device_id;
  char *display_name;  /* nullable, as are ip and agent */
  gint64 last_seen_ts; /* 0: never */
  char *last_seen_ip;
  char *last_seen_agent;
} CmDevice;

void cm_device_free (CmDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmDevice, cm_device_free)

/* Makes the device unless it is there; a device that is keeps its name. @made: nullable. */
gboolean cm_device_ensure (CmDb *db, const char *user_id, const char *device_id,
                           const char *display_name, gint64 now, gboolean *made, GError **error);
/* (transfer full) NULL without @error when there is none. */
CmDevice *cm_device_get (CmDb *db, const char *user_id, const char *device_id, GError **error);
/* (transfer full) of CmDevice. */
GPtrArray *cm_device_list (CmDb *db, const char *user_id, GError **error);
void cm_device_write_name (CmWrite *write, const char *user_id, const char *device_id,
                           const char *display_name);
/* The device with its tokens and pushers; what encryption keeps for it is not known here. */
void cm_device_write_delete (CmWrite *write, const char *user_id, const char *device_id);

/* Where and when devices were seen: parallel NULL-terminated lists, @times as long. */
typedef struct {
  char **user_ids;
  char **device_ids;
  char **addresses;
  char **agents;
  const gint64 *times;
  gsize n;
} CmSightings;
gboolean cm_device_seen (CmDb *db, const CmSightings *sightings, GError **error);

G_END_DECLS
