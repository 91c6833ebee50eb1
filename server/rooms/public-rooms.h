/* The directory of public rooms, as this server's clients and other servers read it. */
#pragma once

#include "crypto/json-writer.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef struct {
  gsize limit;
  gsize offset;        /* where the page begins */
  const char *term;    /* nullable: only rooms that mention it */
  const CmJson *types; /* nullable: an array of room types, null for ordinary rooms */
} CmPublicRoomsQuery;

/* Reads limit, since and filter of a request's body (POST /publicRooms, here and in the federation
 * API). CM_ERROR_BAD_JSON, CM_ERROR_INVALID_PARAM. */
gboolean cm_public_rooms_query_read (const CmJson *body, CmPublicRoomsQuery *query, GError **error);
/* As cm_public_rooms_query_read for query parameters; either may be NULL. */
gboolean cm_public_rooms_query_set (CmPublicRoomsQuery *query, const char *limit, const char *since,
                                    GError **error);

/* Puts chunk, next_batch, prev_batch and total_room_count_estimate into the object that @writer has
 * open. */
gboolean cm_public_rooms_put (CmNode *node, const CmPublicRoomsQuery *query, CmJsonWriter *writer,
                              GError **error);

G_END_DECLS
