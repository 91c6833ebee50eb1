/* What the files of CmEvent share; nobody else includes it. */
#pragma once

#include "federation/event.h"

G_BEGIN_DECLS

/* A new event of @bytes, canonical JSON; ids are still NULL. CM_ERROR_BAD_JSON when what the fields
 * point at is missing. */
CmEvent *cm_event_from_bytes (const CmRoomVersion *version, GBytes *bytes, GError **error);

/* Are the members of @json there and well-formed ("Event format" of rooms/v10 to v12)? */
gboolean cm_event_check_format (const CmRoomVersion *version, const CmJson *json, GError **error);

G_END_DECLS
