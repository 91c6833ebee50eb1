#include "federation/room-version.h"

#include <string.h>

static const CmRoomVersion versions[] = {
  {
      .name = "10",
      .state_res = CM_STATE_RES_V2,
      .redaction = CM_REDACTION_V9,
      .create_has_creator = TRUE,
  },
  {
      .name = "11",
      .state_res = CM_STATE_RES_V2,
      .redaction = CM_REDACTION_V11,
      .redacts_in_content = TRUE,
  },
  {
      .name = "12",
      .state_res = CM_STATE_RES_V2_1,
      .redaction = CM_REDACTION_V11,
      .redacts_in_content = TRUE,
      .room_id_is_create_hash = TRUE,
      .creators_are_privileged = TRUE,
  },
  { .name = NULL },
};

const CmRoomVersion *
cm_room_version_find (const char *name)
{
  for (const CmRoomVersion *version = versions; name != NULL && version->name != NULL; version++)
    if (strcmp (version->name, name) == 0)
      return version;
  return NULL;
}

const CmRoomVersion *
cm_room_versions (void)
{
  return versions;
}
