/* Room versions as data: each row is the one before it with a difference. */
#pragma once

#include "federation/redaction.h"

G_BEGIN_DECLS

typedef enum { CM_STATE_RES_V2, CM_STATE_RES_V2_1 } CmStateResAlgorithm;

/* What differs between versions 10, 11 and 12; later work adds rows and flags for 1 to 9, nothing
 * else. */
typedef struct {
  const char *name;
  CmStateResAlgorithm state_res;
  gboolean create_has_creator; /* content.creator of m.room.create (to 10) names the creator, from
                                  11 on its sender does */
  gboolean redacts_in_content; /* m.room.redaction's target stands in content (from 11) */
  CmRedaction redaction;       /* which algorithm prunes its events */
  gboolean
      room_id_is_create_hash; /* MSC4291 (from 12): room id is "!" + the create event's reference
                                 hash, create has no room_id, and is not named in auth_events */
  gboolean creators_are_privileged; /* MSC4289 (from 12): creators outrank all power levels;
                                       additional_creators */
} CmRoomVersion;

/* NULL for a version that is not supported. */
const CmRoomVersion *cm_room_version_find (const char *name);
/* All rows, NULL name at the end. */
const CmRoomVersion *cm_room_versions (void);

#define CM_ROOM_VERSION_DEFAULT "12"

G_END_DECLS
