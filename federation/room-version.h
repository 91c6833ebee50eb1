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
  CmRedaction redaction;
  /* To 10: content.creator of m.room.create names the creator; from 11 on its sender does. */
  gboolean create_has_creator;
  /* From 11: the target of m.room.redaction stands in its content. */
  gboolean redacts_in_content;
  /* From 12 (MSC4291): the room id is "!" and the create event's reference hash; m.room.create has
   * no room_id, and is not named in auth_events. */
  gboolean room_id_is_create_hash;
  /* From 12 (MSC4289): creators outrank all power levels, and there may be additional_creators. */
  gboolean creators_are_privileged;
} CmRoomVersion;

/* NULL for a version that is not supported. */
const CmRoomVersion *cm_room_version_find (const char *name);
/* All rows, NULL name at the end. */
const CmRoomVersion *cm_room_versions (void);

#define CM_ROOM_VERSION_DEFAULT "12"

G_END_DECLS
