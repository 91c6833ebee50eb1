/* What is told of a room to those who are not in it, and whether they are told at all: one check
 * for directories, hierarchies and previews, of users and of servers (CVE-2021-39163). */
#pragma once

#include "crypto/json-writer.h"
#include "federation/rooms.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef enum {
  CM_SUMMARY_DETAILS = 1, /* encryption and room_version too: hierarchies and summaries */
  CM_SUMMARY_ALLOWED = 2, /* allowed_room_ids: which rooms' members may join */
} CmSummaryFlags;

/* Puts room_id, name, topic, avatar_url, canonical_alias, num_joined_members, join_rule, room_type,
 * guest_can_join and world_readable into the object that @writer has open. */
void cm_room_summary_put (CmJsonWriter *writer, const CmRoomView *view, CmSummaryFlags flags);

/* Reads at once what the summaries of @views (of CmRoomView, or NULL) will need. */
void cm_room_summary_prefetch (CmNode *node, GPtrArray *views);

/* Whether @term, in lower case, stands in the room's name, topic or canonical alias. */
gboolean cm_room_summary_mentions (const CmRoomView *view, const char *term);
/* m.room.create's type (transfer full); NULL for ordinary rooms. */
char *cm_room_summary_type (const CmRoomView *view);

/* @user_id NULL: somebody unknown. */
gboolean cm_room_is_open_to_user (CmNode *node, const CmRoomView *view, const char *user_id);
gboolean cm_room_is_open_to_server (CmNode *node, const CmRoomView *view, const char *server);

G_END_DECLS
