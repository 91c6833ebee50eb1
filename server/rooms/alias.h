/* Room aliases, whoever's they are. */
#pragma once

#include "federation/rooms.h"
#include "server/http/call.h"
#include "server/node.h"

G_BEGIN_DECLS

/* Where an alias points. */
typedef struct {
  char *room_id;
  char **servers; /* through which the room can be joined, at most CM_ALIAS_MAX_SERVERS */
} CmAliasTarget;

#define CM_ALIAS_MAX_SERVERS 50

void cm_alias_target_free (CmAliasTarget *target);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmAliasTarget, cm_alias_target_free)

/**
 * cm_alias_resolve: asks the alias' server, where that is another; blocking then.
 * Errors: CM_ERROR_INVALID_PARAM for no alias, CM_ERROR_NOT_FOUND, those of cm_fed_call.
 */
CmAliasTarget *cm_alias_resolve (CmNode *node, const char *alias, GError **error);

/* (transfer full) the room that a path names by its id, with @via (transfer full), or by an alias.
 * Errors: those of cm_alias_resolve; CM_ERROR_INVALID_PARAM for neither. */
CmAliasTarget *cm_alias_target_named (CmNode *node, const char *name, GStrv via, GError **error);

/* The answer to who asks for an alias, user or server. */
CmReply *cm_alias_target_reply (const CmAliasTarget *target);

/* Whether m.room.canonical_alias of @content names only aliases that point to @view's room, those
 * left aside that it named before (@present, nullable). CM_ERROR_BAD_ALIAS, CM_ERROR_INVALID_PARAM.
 */
gboolean cm_alias_check_canonical (CmNode *node, const CmRoomView *view, const CmEvent *present,
                                   const CmJson *content, GError **error);

G_END_DECLS
