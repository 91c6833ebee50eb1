/* What a new room is made of: POST /createRoom's body turned into drafts of events, in the order
 * that the specification gives. */
#pragma once

#include "crypto/json-writer.h"
#include "federation/append.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef struct _CmRecipe CmRecipe;

/* The caller's wishes; @body is borrowed while the recipe lives. @creator has an account here.
 * CM_ERROR_BAD_JSON, CM_ERROR_INVALID_PARAM, CM_ERROR_UNSUPPORTED_ROOM_VERSION. */
CmRecipe *cm_recipe_new (CmNode *node, const char *creator, const CmJson *body, GError **error);
void cm_recipe_free (CmRecipe *recipe);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmRecipe, cm_recipe_free)

const CmRoomVersion *cm_recipe_version (const CmRecipe *recipe);
const CmDraft *cm_recipe_create_event (const CmRecipe *recipe);
/* All events after m.room.create, invites of this server's users included. */
const CmDraft *cm_recipe_drafts (const CmRecipe *recipe, gsize *count);
/* Invites of other servers' users, to be sent once the room is there. */
const CmDraft *cm_recipe_remote_invites (const CmRecipe *recipe, gsize *count);
/* The alias wanted, whole; NULL when none is. */
const char *cm_recipe_alias (const CmRecipe *recipe);
gboolean cm_recipe_is_listed (const CmRecipe *recipe);

G_END_DECLS
