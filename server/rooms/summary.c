#include "server/rooms/summary.h"

#include "schema/membership.h"
#include "server/rooms/guests.h"
#include "server/rooms/restricted.h"

#include <string.h>

/* (transfer full) a text of the content of the state event @type; NULL when there is none. */
static char *
state_text (const CmRoomView *view, const char *type, const char *key)
{
  g_autoptr (CmEvent) event = cm_room_state_event (view, type, "", NULL);

  return event != NULL ? g_strdup (cm_json_get_text (event->content, key)) : NULL;
}

static gboolean
state_text_is (const CmRoomView *view, const char *type, const char *key, const char *value)
{
  g_autofree char *text = state_text (view, type, key);

  return g_strcmp0 (text, value) == 0;
}

char *
cm_room_summary_type (const CmRoomView *view)
{
  return state_text (view, "m.room.create", "type");
}

static void
put_allowed (CmJsonWriter *writer, const CmRoomView *view)
{
  g_autoptr (CmEvent) rules = cm_room_state_event (view, "m.room.join_rules", "", NULL);
  const CmJson *allow = rules != NULL ? cm_json_get_array (rules->content, "allow") : NULL;
  const CmJson *condition;
  CmJsonIter iter;

  if (allow == NULL)
    return;
  cm_json_open_array (writer, "allowed_room_ids");
  cm_json_iter_init (&iter, allow);
  while (cm_json_iter_next (&iter, NULL, &condition))
    cm_json_put_text (writer, NULL, cm_json_get_text (condition, "room_id"));
  cm_json_close (writer);
}

void
cm_room_summary_prefetch (CmNode *node, GPtrArray *views)
{
  static const char *const types[] = { "m.room.name",
                                       "m.room.topic",
                                       "m.room.avatar",
                                       "m.room.canonical_alias",
                                       "m.room.join_rules",
                                       "m.room.create",
                                       "m.room.encryption",
                                       "m.room.guest_access",
                                       "m.room.history_visibility",
                                       "" };
  gint64 syms[G_N_ELEMENTS (types)];
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));

  if (!cm_sym_many (node->ids, types, G_N_ELEMENTS (types), syms, NULL))
    return;
  guint32 no_key = (guint32) syms[G_N_ELEMENTS (types) - 1];
  for (guint i = 0; i < views->len; i++) {
    const CmRoomView *view = views->pdata[i];
    for (gsize t = 0; view != NULL && t + 1 < G_N_ELEMENTS (types); t++) {
      gint64 number = cm_state_map_get (view->state, (guint32) syms[t], no_key);
      if (number != 0)
        g_array_append_val (numbers, number);
    }
  }
  g_autoptr (GPtrArray) events = cm_event_store_get_many (
      cm_rooms_events (node->rooms), (const gint64 *) numbers->data, numbers->len, NULL);
}

void
cm_room_summary_put (CmJsonWriter *writer, const CmRoomView *view, CmSummaryFlags flags)
{
  static const struct {
    const char *name;
    const char *type;
    const char *key;
    CmSummaryFlags flags;
  } texts[] = {
    { "name", "m.room.name", "name", 0 },
    { "topic", "m.room.topic", "topic", 0 },
    { "avatar_url", "m.room.avatar", "url", 0 },
    { "canonical_alias", "m.room.canonical_alias", "alias", 0 },
    { "join_rule", "m.room.join_rules", "join_rule", 0 },
    { "room_type", "m.room.create", "type", 0 },
    { "encryption", "m.room.encryption", "algorithm", CM_SUMMARY_DETAILS },
  };

  cm_json_put_text (writer, "room_id", view->room_id);
  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *text = state_text (view, texts[i].type, texts[i].key);
    if ((texts[i].flags & ~flags) == 0 && text != NULL && text[0] != '\0')
      cm_json_put_text (writer, texts[i].name, text);
  }
  if (flags & CM_SUMMARY_DETAILS)
    cm_json_put_text (writer, "room_version", view->version->name);
  if (flags & CM_SUMMARY_ALLOWED)
    put_allowed (writer, view);
  cm_json_put_integer (writer, "num_joined_members", view->joined);
  cm_json_put_boolean (writer, "guest_can_join", cm_guests_may_join (view));
  cm_json_put_boolean (
      writer, "world_readable",
      state_text_is (view, "m.room.history_visibility", "history_visibility", "world_readable"));
}

gboolean
cm_room_summary_mentions (const CmRoomView *view, const char *term)
{
  static const struct {
    const char *type;
    const char *key;
  } texts[] = { { "m.room.name", "name" },
                { "m.room.topic", "topic" },
                { "m.room.canonical_alias", "alias" } };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *text = state_text (view, texts[i].type, texts[i].key);
    g_autofree char *lower = text != NULL ? g_utf8_strdown (text, -1) : NULL;
    if (lower != NULL && strstr (lower, term) != NULL)
      return TRUE;
  }
  return FALSE;
}

/* Everybody may come in, knock, or look. */
static gboolean
is_open_to_all (const CmRoomView *view)
{
  static const char *const rules[] = { "public", "knock", "knock_restricted", NULL };
  g_autofree char *rule = state_text (view, "m.room.join_rules", "join_rule");

  return (rule != NULL && g_strv_contains (rules, rule)) ||
         state_text_is (view, "m.room.history_visibility", "history_visibility", "world_readable");
}

gboolean
cm_room_is_open_to_user (CmNode *node, const CmRoomView *view, const char *user_id)
{
  if (is_open_to_all (view))
    return TRUE;
  if (user_id == NULL)
    return FALSE;
  CmMembership membership = cm_room_membership (view, user_id);
  return membership == CM_MEMBERSHIP_JOIN || membership == CM_MEMBERSHIP_INVITE ||
         cm_restricted_is_allowed (node, view, user_id, NULL);
}

static gboolean
has_invited (CmNode *node, const CmRoomView *view, const char *server)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, NULL);
  gboolean invited;

  return db != NULL && cm_membership_server_invited (db, view->room, server, &invited, NULL) &&
         invited;
}

gboolean
cm_room_is_open_to_server (CmNode *node, const CmRoomView *view, const char *server)
{
  return is_open_to_all (view) || g_hash_table_contains (view->servers, server) ||
         has_invited (node, view, server) || cm_restricted_is_allowed (node, view, NULL, server);
}
