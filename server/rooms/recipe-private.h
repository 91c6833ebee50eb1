/* What the two files of a recipe share: recipe.c reads the caller's wishes, recipe-events.c makes
 * the room's events of them. */
#pragma once

#include "server/rooms/recipe.h"

G_BEGIN_DECLS

/* client-server, POST createRoom, "preset". */
typedef struct {
  const char *name;
  const char *join_rule;
  const char *guest_access;
  gboolean all_may_invite;
  gboolean invited_are_trusted;
} CmRecipePreset;

struct _CmRecipe {
  CmNode *node;
  const CmJson *body;
  const char *creator;
  const CmRoomVersion *version;
  const CmRecipePreset *preset;
  char *alias;
  GPtrArray *docs; /* of CmJsonDoc: what the drafts' contents stand in */
  GArray *drafts;  /* of CmDraft, the create event first */
  GArray *remote;
};

/* recipe-events.c: fills in drafts and remote, once everything else is there. */
gboolean cm_recipe_cook (CmRecipe *recipe, GError **error);

G_END_DECLS
