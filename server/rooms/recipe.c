#include "server/rooms/recipe-private.h"

#include "crypto/id.h"
#include "server/config/config.h"

#include <string.h>

static const CmRecipePreset presets[] = {
  { "private_chat", "invite", "can_join", TRUE, FALSE },
  { "trusted_private_chat", "invite", "can_join", TRUE, TRUE },
  { "public_chat", "public", "forbidden", FALSE, FALSE },
};

/* Members of the body have their type or are absent. */
static gboolean
check_types (const CmJson *body, GError **error)
{
  static const struct {
    const char *key;
    CmJsonType type;
  } members[] = {
    { "creation_content", CM_JSON_OBJECT },
    { "initial_state", CM_JSON_ARRAY },
    { "invite", CM_JSON_ARRAY },
    { "invite_3pid", CM_JSON_ARRAY },
    { "name", CM_JSON_STRING },
    { "preset", CM_JSON_STRING },
    { "room_alias_name", CM_JSON_STRING },
    { "room_version", CM_JSON_STRING },
    { "topic", CM_JSON_STRING },
    { "visibility", CM_JSON_STRING },
    { "power_level_content_override", CM_JSON_OBJECT },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (members); i++) {
    const CmJson *value = cm_json_get (body, members[i].key);
    CmJsonType type = cm_json_type (value);
    if (type != CM_JSON_ABSENT && type != CM_JSON_NULL && type != members[i].type)
      return cm_fail (error, CM_ERROR_BAD_JSON, "%s is of the wrong type", members[i].key);
    if (type == CM_JSON_STRING && cm_json_text (value) == NULL)
      return cm_fail (error, CM_ERROR_BAD_JSON, "%s must not hold U+0000", members[i].key);
  }
  if (cm_json_length (cm_json_get (body, "invite_3pid")) > 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN,
                 "This server has no identity server to invite by address with");
    return FALSE;
  }
  return TRUE;
}

static gboolean
choose_version (CmRecipe *recipe, GError **error)
{
  const char *name = cm_json_get_text (recipe->body, "room_version");

  recipe->version =
      cm_room_version_find (name != NULL ? name : recipe->node->config->rooms.default_version);
  if (recipe->version == NULL)
    g_set_error (error, CM_ERROR, CM_ERROR_UNSUPPORTED_ROOM_VERSION,
                 "This room version is not supported");
  return recipe->version != NULL;
}

static gboolean
choose_preset (CmRecipe *recipe, GError **error)
{
  const char *visibility = cm_json_get_text (recipe->body, "visibility");
  const char *name = cm_json_get_text (recipe->body, "preset");

  if (visibility != NULL && strcmp (visibility, "public") != 0 &&
      strcmp (visibility, "private") != 0)
    return cm_fail (error, CM_ERROR_BAD_JSON, "visibility must be public or private");
  if (name == NULL)
    name = g_strcmp0 (visibility, "public") == 0 ? "public_chat" : "private_chat";
  for (gsize i = 0; i < G_N_ELEMENTS (presets); i++)
    if (strcmp (presets[i].name, name) == 0)
      recipe->preset = &presets[i];
  return recipe->preset != NULL || cm_fail (error, CM_ERROR_BAD_JSON, "Unknown preset");
}

static gboolean
choose_alias (CmRecipe *recipe, GError **error)
{
  const char *name = cm_json_get_text (recipe->body, "room_alias_name");

  if (name == NULL)
    return TRUE;
  recipe->alias = g_strdup_printf ("#%s:%s", name, recipe->node->server_name);
  if (strchr (name, ':') == NULL && cm_id_is_alias (recipe->alias))
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "room_alias_name makes no valid alias");
  return FALSE;
}

static gboolean
check_user_ids (const CmJson *list, const char *name, GError **error)
{
  CmJsonType type = cm_json_type (list);
  const CmJson *item;
  CmJsonIter iter;
  gboolean good = type == CM_JSON_ABSENT || type == CM_JSON_NULL || type == CM_JSON_ARRAY;

  cm_json_iter_init (&iter, list);
  while (good && cm_json_iter_next (&iter, NULL, &item))
    good = cm_id_is_user (cm_json_text (item));
  if (!good)
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "%s must be a list of user ids", name);
  return good;
}

static gboolean
check_people (const CmRecipe *recipe, GError **error)
{
  const CmJson *content = cm_json_get (recipe->body, "creation_content");

  return check_user_ids (cm_json_get (recipe->body, "invite"), "invite", error) &&
         (!recipe->version->creators_are_privileged ||
          check_user_ids (cm_json_get (content, "additional_creators"), "additional_creators",
                          error));
}

CmRecipe *
cm_recipe_new (CmNode *node, const char *creator, const CmJson *body, GError **error)
{
  g_autoptr (CmRecipe) recipe = g_new0 (CmRecipe, 1);

  recipe->node = node;
  recipe->body = body;
  recipe->creator = creator;
  recipe->docs = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_json_doc_unref);
  recipe->drafts = g_array_new (FALSE, FALSE, sizeof (CmDraft));
  recipe->remote = g_array_new (FALSE, FALSE, sizeof (CmDraft));
  if (!check_types (body, error) || !choose_version (recipe, error) ||
      !choose_preset (recipe, error) || !choose_alias (recipe, error) ||
      !check_people (recipe, error) || !cm_recipe_cook (recipe, error))
    return NULL;
  return g_steal_pointer (&recipe);
}

void
cm_recipe_free (CmRecipe *recipe)
{
  g_free (recipe->alias);
  g_ptr_array_unref (recipe->docs);
  g_array_unref (recipe->drafts);
  g_array_unref (recipe->remote);
  g_free (recipe);
}

const CmRoomVersion *
cm_recipe_version (const CmRecipe *recipe)
{
  return recipe->version;
}

const CmDraft *
cm_recipe_create_event (const CmRecipe *recipe)
{
  return &g_array_index (recipe->drafts, CmDraft, 0);
}

const CmDraft *
cm_recipe_drafts (const CmRecipe *recipe, gsize *count)
{
  *count = recipe->drafts->len - 1;
  return &g_array_index (recipe->drafts, CmDraft, 1);
}

const CmDraft *
cm_recipe_remote_invites (const CmRecipe *recipe, gsize *count)
{
  *count = recipe->remote->len;
  return (const CmDraft *) recipe->remote->data;
}

const char *
cm_recipe_alias (const CmRecipe *recipe)
{
  return recipe->alias;
}

gboolean
cm_recipe_is_listed (const CmRecipe *recipe)
{
  return g_strcmp0 (cm_json_get_text (recipe->body, "visibility"), "public") == 0;
}
