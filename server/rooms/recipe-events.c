/* The events of a new room, one after the other (client-server, POST createRoom). */
#include "server/rooms/recipe-private.h"

#include "crypto/id.h"
#include "server/config/config.h"
#include "server/rooms/invite.h"
#include "server/rooms/member-content.h"

#include <string.h>

#define MAX_LEVEL G_GINT64_CONSTANT (9007199254740991) /* as JSON has it in events */

/* What else a moderator must have to change it, in new rooms. */
static const struct {
  const char *type;
  gint64 level;
} event_levels[] = {
  { "m.room.name", 50 },
  { "m.room.avatar", 50 },
  { "m.room.canonical_alias", 50 },
  { "m.room.power_levels", 100 },
  { "m.room.server_acl", 100 },
  { "m.room.history_visibility", 100 },
  { "m.room.encryption", 100 },
};

/* Keeps @doc (transfer full) and appends a draft with it as content. */
static void
add_doc (CmRecipe *recipe, GArray *drafts, const char *type, const char *state_key, CmJsonDoc *doc)
{
  CmDraft draft = { .type = type,
                    .state_key = state_key,
                    .sender = recipe->creator,
                    .content = cm_json_doc_root (doc) };

  g_ptr_array_add (recipe->docs, doc);
  g_array_append_val (drafts, draft);
}

/* Ends @writer and appends a state event with what it wrote as content. */
static void
add_state (CmRecipe *recipe, const char *type, CmJsonWriter *writer)
{
  add_doc (recipe, recipe->drafts, type, "", cm_json_writer_end_doc (writer));
}

static void
add_text (CmRecipe *recipe, const char *type, const char *key, const char *value)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (value == NULL)
    return;
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, key, value);
  cm_json_close (writer);
  add_state (recipe, type, writer);
}

static gboolean
is_invited (const CmRecipe *recipe, const char *user_id)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_array (recipe->body, "invite"));
  while (cm_json_iter_next (&iter, NULL, &item))
    if (strcmp (cm_json_text (item), user_id) == 0)
      return TRUE;
  return FALSE;
}

/* From version 12 on the trusted are creators too (MSC4289), beside those that the client names. */
static void
put_additional_creators (const CmRecipe *recipe, CmJsonWriter *writer)
{
  const CmJson *wanted =
      cm_json_get (cm_json_get (recipe->body, "creation_content"), "additional_creators");
  const CmJson *item;
  CmJsonIter iter;

  if (!recipe->version->creators_are_privileged || !recipe->preset->invited_are_trusted ||
      cm_json_length (cm_json_get (recipe->body, "invite")) == 0) {
    cm_json_put_node (writer, "additional_creators", wanted);
    return;
  }
  cm_json_open_array (writer, "additional_creators");
  cm_json_iter_init (&iter, wanted);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (cm_json_text (item) == NULL || !is_invited (recipe, cm_json_text (item)))
      cm_json_put_node (writer, NULL, item);
  cm_json_iter_init (&iter, cm_json_get_array (recipe->body, "invite"));
  while (cm_json_iter_next (&iter, NULL, &item))
    cm_json_put_node (writer, NULL, item);
  cm_json_close (writer);
}

static void
add_create (CmRecipe *recipe)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *value;
  const char *key;
  CmJsonIter iter;

  cm_json_open_object (writer, NULL);
  cm_json_iter_init (&iter, cm_json_get_object (recipe->body, "creation_content"));
  while (cm_json_iter_next (&iter, &key, &value))
    if (strcmp (key, "creator") != 0 && strcmp (key, "room_version") != 0 &&
        strcmp (key, "additional_creators") != 0)
      cm_json_put_member (writer, iter.key, value);
  put_additional_creators (recipe, writer);
  cm_json_put_text (writer, "room_version", recipe->version->name);
  if (recipe->version->create_has_creator)
    cm_json_put_text (writer, "creator", recipe->creator);
  cm_json_close (writer);
  add_state (recipe, "m.room.create", writer);
}

/* A member event with the content of @member, into @drafts. */
static gboolean
add_member (CmRecipe *recipe, GArray *drafts, const char *user_id, const CmMemberContent *member,
            GError **error)
{
  CmJsonDoc *doc = cm_member_content_new (recipe->node, member, error);

  if (doc == NULL)
    return FALSE;
  add_doc (recipe, drafts, "m.room.member", user_id, doc);
  return TRUE;
}

static gboolean
add_creator (CmRecipe *recipe, GError **error)
{
  CmMemberContent member = { .membership = "join", .user_id = recipe->creator };

  return add_member (recipe, recipe->drafts, recipe->creator, &member, error);
}

/* Creators of version 12 rooms outrank all levels and must not stand among them. */
static void
put_user_levels (const CmRecipe *recipe, CmJsonWriter *writer)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_open_object (writer, "users");
  if (!recipe->version->creators_are_privileged) {
    cm_json_put_integer (writer, recipe->creator, 100);
    cm_json_iter_init (&iter, recipe->preset->invited_are_trusted
                                  ? cm_json_get_array (recipe->body, "invite")
                                  : NULL);
    while (cm_json_iter_next (&iter, NULL, &item))
      if (strcmp (cm_json_text (item), recipe->creator) != 0)
        cm_json_put_integer (writer, cm_json_text (item), 100);
  }
  cm_json_close (writer);
}

/* rooms/v12: an upgrade takes the creators' power away, so moderators must not be able to force
 * one: the level "MUST explicitly be higher than state_default" ("POST /createRoom"). */
static gint64
tombstone_level (const CmRecipe *recipe)
{
  const CmJson *override = cm_json_get_object (recipe->body, "power_level_content_override");
  gint64 state_default = 0;

  if (!recipe->version->creators_are_privileged)
    return 100;
  cm_json_integer (cm_json_get (override, "state_default"), &state_default);
  return CLAMP (state_default, 149, MAX_LEVEL - 1) + 1;
}

static void
put_event_levels (const CmRecipe *recipe, CmJsonWriter *writer)
{
  cm_json_open_object (writer, "events");
  for (gsize i = 0; i < G_N_ELEMENTS (event_levels); i++)
    cm_json_put_integer (writer, event_levels[i].type, event_levels[i].level);
  cm_json_put_integer (writer, "m.room.tombstone", tombstone_level (recipe));
  cm_json_close (writer);
}

/* The client's own levels of events. */
static void
put_event_override (const CmRecipe *recipe, CmJsonWriter *writer, const CmJson *events)
{
  const CmJson *value;
  CmJsonIter iter;

  cm_json_open_object (writer, "events");
  if (recipe->version->creators_are_privileged && cm_json_get (events, "m.room.tombstone") == NULL)
    cm_json_put_integer (writer, "m.room.tombstone", tombstone_level (recipe));
  cm_json_iter_init (&iter, events);
  while (cm_json_iter_next (&iter, NULL, &value))
    cm_json_put_member (writer, iter.key, value);
  cm_json_close (writer);
}

static void
add_power_levels (CmRecipe *recipe)
{
  static const struct {
    const char *key;
    gint64 level;
  } levels[] = { { "ban", 50 },           { "kick", 50 },          { "redact", 50 },
                 { "events_default", 0 }, { "state_default", 50 }, { "users_default", 0 } };
  const CmJson *override = cm_json_get_object (recipe->body, "power_level_content_override");
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *value;
  const char *key;
  CmJsonIter iter;

  cm_json_open_object (writer, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++)
    if (cm_json_get (override, levels[i].key) == NULL)
      cm_json_put_integer (writer, levels[i].key, levels[i].level);
  if (cm_json_get (override, "invite") == NULL)
    cm_json_put_integer (writer, "invite", recipe->preset->all_may_invite ? 0 : 50);
  if (cm_json_get (override, "users") == NULL)
    put_user_levels (recipe, writer);
  if (cm_json_get (override, "events") == NULL)
    put_event_levels (recipe, writer);
  cm_json_iter_init (&iter, override);
  while (cm_json_iter_next (&iter, &key, &value))
    if (strcmp (key, "events") == 0 && cm_json_type (value) == CM_JSON_OBJECT)
      put_event_override (recipe, writer, value);
    else
      cm_json_put_member (writer, iter.key, value);
  cm_json_close (writer);
  add_state (recipe, "m.room.power_levels", writer);
}

static gboolean
is_in_initial_state (const CmRecipe *recipe, const char *type)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_array (recipe->body, "initial_state"));
  while (cm_json_iter_next (&iter, NULL, &item))
    if (g_strcmp0 (cm_json_get_text (item, "type"), type) == 0)
      return TRUE;
  return FALSE;
}

static void
add_preset (CmRecipe *recipe)
{
  if (!is_in_initial_state (recipe, "m.room.join_rules"))
    add_text (recipe, "m.room.join_rules", "join_rule", recipe->preset->join_rule);
  if (!is_in_initial_state (recipe, "m.room.history_visibility"))
    add_text (recipe, "m.room.history_visibility", "history_visibility", "shared");
  if (!is_in_initial_state (recipe, "m.room.guest_access"))
    add_text (recipe, "m.room.guest_access", "guest_access", recipe->preset->guest_access);
  if (recipe->node->config->rooms.encrypt_by_default &&
      !is_in_initial_state (recipe, "m.room.encryption"))
    add_text (recipe, "m.room.encryption", "algorithm", "m.megolm.v1.aes-sha2");
}

static gboolean
add_initial_state (CmRecipe *recipe, GError **error)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_array (recipe->body, "initial_state"));
  while (cm_json_iter_next (&iter, NULL, &item)) {
    const CmJson *key = cm_json_get (item, "state_key");
    CmDraft draft = { .type = cm_json_get_text (item, "type"),
                      .state_key = key != NULL ? cm_json_text (key) : "",
                      .sender = recipe->creator,
                      .content = cm_json_get_object (item, "content") };
    if (draft.type == NULL || draft.state_key == NULL || draft.content == NULL)
      return cm_fail (error, CM_ERROR_BAD_JSON,
                      "initial_state must hold objects with type, state_key and content");
    /* These are made above, once. */
    if (strcmp (draft.type, "m.room.create") != 0 && strcmp (draft.type, "m.room.member") != 0)
      g_array_append_val (recipe->drafts, draft);
  }
  return TRUE;
}

/* client-server, "m.room.topic": the rich form beside the plain one. */
static void
add_topic (CmRecipe *recipe)
{
  const char *topic = cm_json_get_text (recipe->body, "topic");
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (topic == NULL)
    return;
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "topic", topic);
  cm_json_open_object (writer, "m.topic");
  cm_json_open_array (writer, "m.text");
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "body", topic);
  for (int open = 0; open < 4; open++)
    cm_json_close (writer);
  add_state (recipe, "m.room.topic", writer);
}

static gboolean
add_invite (CmRecipe *recipe, const char *user_id, GError **error)
{
  gboolean local = cm_id_domain_is (user_id, recipe->node->server_name);
  CmMemberContent member = { .membership = "invite",
                             .user_id = user_id,
                             .is_direct = cm_json_get_boolean (recipe->body, "is_direct", FALSE) };

  if (local && !cm_invite_check_wanted (recipe->node, user_id, error))
    return FALSE;
  return add_member (recipe, local ? recipe->drafts : recipe->remote, user_id, &member, error);
}

static gboolean
add_invites (CmRecipe *recipe, GError **error)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, cm_json_get_array (recipe->body, "invite"));
  while (cm_json_iter_next (&iter, NULL, &item))
    if (strcmp (cm_json_text (item), recipe->creator) != 0 &&
        !add_invite (recipe, cm_json_text (item), error))
      return FALSE;
  return TRUE;
}

/* client-server, POST createRoom: the server "will create the following events, in this order". */
gboolean
cm_recipe_cook (CmRecipe *recipe, GError **error)
{
  add_create (recipe);
  if (!add_creator (recipe, error))
    return FALSE;
  add_power_levels (recipe);
  add_text (recipe, "m.room.canonical_alias", "alias", recipe->alias);
  add_preset (recipe);
  if (!add_initial_state (recipe, error))
    return FALSE;
  add_text (recipe, "m.room.name", "name", cm_json_get_text (recipe->body, "name"));
  add_topic (recipe);
  return add_invites (recipe, error);
}
