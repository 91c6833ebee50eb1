#include "server/rooms/successor.h"

#include "crypto/id.h"
#include "schema/account-data.h"
#include "schema/committer.h"
#include "server/push/push-rules.h"

#include <string.h>

/* How often somebody else may be faster. */
#define MAX_TRIES 5

typedef struct {
  CmNode *node;
  const char *user_id;
  const char *old_room;
  const char *new_room;
} Move;

/* FALSE with @error; *@content (transfer full) NULL when there is none. */
static gboolean
read_data (const Move *move, const char *room_id, const char *type, CmJsonDoc **content,
           gint64 *position, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmDb) db = cm_pool_get (move->node->pool, error);

  *content = NULL;
  if (db == NULL)
    return FALSE;
  g_autoptr (GBytes) bytes =
      cm_account_data_get (db, move->user_id, room_id, type, position, &failure);
  if (bytes != NULL)
    *content = cm_json_parse_bytes (bytes, &failure);
  if (failure == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

static gboolean
change_data (const Move *move, const char *room_id, const char *type, GBytes *content,
             gint64 before, GError **error)
{
  CmWrite *write = cm_write_new ();

  cm_account_data_change (write, move->user_id, room_id, type, content, before);
  return cm_committer_commit (move->node->committer, write, error) > 0;
}

static gboolean
carry_tags (const Move *move, GError **error)
{
  g_autoptr (CmJsonDoc) old = NULL, present = NULL;
  gint64 position;

  if (!read_data (move, move->old_room, "m.tag", &old, &position, error) ||
      !read_data (move, move->new_room, "m.tag", &present, &position, error))
    return FALSE;
  if (old == NULL || present != NULL)
    return TRUE;
  g_autoptr (GBytes) content = cm_json_canonical_lenient (cm_json_doc_root (old), NULL);
  return change_data (move, move->new_room, "m.tag", content, position, error);
}

static gboolean
contains (const CmJson *list, const char *text)
{
  const CmJson *item;
  CmJsonIter iter;

  cm_json_iter_init (&iter, list);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (g_strcmp0 (cm_json_text (item), text) == 0)
      return TRUE;
  return FALSE;
}

/* (transfer full) m.direct with the new room beside the old one; NULL: nothing is to be changed. */
static GBytes *
direct_with_new (const Move *move, const CmJson *direct)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  gboolean changed = FALSE;
  const CmJson *list, *item;
  CmJsonIter people, rooms;

  cm_json_open_object (writer, NULL);
  cm_json_iter_init (&people, direct);
  while (cm_json_iter_next (&people, NULL, &list)) {
    const char *with = cm_json_text (people.key);
    if (with == NULL || !contains (list, move->old_room) || contains (list, move->new_room)) {
      cm_json_put_member (writer, people.key, list);
      continue;
    }
    changed = TRUE;
    cm_json_open_array (writer, with);
    cm_json_iter_init (&rooms, list);
    while (cm_json_iter_next (&rooms, NULL, &item))
      cm_json_put_node (writer, NULL, item);
    cm_json_put_text (writer, NULL, move->new_room);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  g_autoptr (GBytes) content = cm_json_writer_end (writer);
  return changed ? g_steal_pointer (&content) : NULL;
}

static gboolean
carry_direct (const Move *move, GError **error)
{
  g_autoptr (CmJsonDoc) direct = NULL;
  gint64 position;

  if (!read_data (move, "", "m.direct", &direct, &position, error))
    return FALSE;
  g_autoptr (GBytes) content =
      direct != NULL ? direct_with_new (move, cm_json_doc_root (direct)) : NULL;
  return content == NULL || change_data (move, "", "m.direct", content, position, error);
}

/* (transfer full) @conditions that speak of the new room where they spoke of the old; NULL: none.
 */
static CmJsonDoc *
conditions_for_new (const Move *move, const CmJsonDoc *conditions)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *condition, *value;
  CmJsonIter list, members;
  const char *key;

  if (conditions == NULL)
    return NULL;
  cm_json_open_array (writer, NULL);
  cm_json_iter_init (&list, cm_json_doc_root (conditions));
  while (cm_json_iter_next (&list, NULL, &condition)) {
    cm_json_open_object (writer, NULL);
    cm_json_iter_init (&members, condition);
    while (cm_json_iter_next (&members, &key, &value)) {
      if (g_strcmp0 (cm_json_text (value), move->old_room) == 0)
        cm_json_put_text (writer, key, move->new_room);
      else
        cm_json_put_member (writer, members.key, value);
    }
    cm_json_close (writer);
  }
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

/* Clients name a rule about one room after it: a room rule always, an override that mutes it by
 * custom. *@changed is set when a rule was added. */
static gboolean
add_rule (const Move *move, CmRuleSet *set, CmRuleKind kind, gboolean *changed, GError **error)
{
  const CmPushRule *old = cm_rule_set_find (set, kind, move->old_room, NULL, NULL);

  if (old == NULL || cm_rule_set_find (set, kind, move->new_room, NULL, NULL) != NULL)
    return TRUE;
  CmPushRule *rule = g_new0 (CmPushRule, 1);
  rule->id = g_strdup (move->new_room);
  rule->enabled = old->enabled;
  rule->conditions = conditions_for_new (move, old->conditions);
  rule->actions = cm_json_doc_ref (old->actions);
  *changed = TRUE;
  return cm_rule_set_put (set, kind, rule, NULL, NULL, error);
}

static gboolean
carry_rules (const Move *move, GError **error)
{
  gint64 position;
  gboolean changed = FALSE;
  g_autoptr (CmRuleSet) set = cm_push_rules_load (move->node, move->user_id, &position, error);

  if (set == NULL || !add_rule (move, set, CM_RULES_OVERRIDE, &changed, error) ||
      !add_rule (move, set, CM_RULES_ROOM, &changed, error))
    return FALSE;
  return !changed || cm_push_rules_save (move->node, move->user_id, set, position, error);
}

gboolean
cm_successor_carry_over (CmNode *node, const char *user_id, const char *old_room,
                         const char *new_room, GError **error)
{
  static gboolean (*const steps[]) (const Move *move, GError **error) = { carry_tags, carry_direct,
                                                                          carry_rules };
  const Move move = { node, user_id, old_room, new_room };

  for (gsize i = 0; i < G_N_ELEMENTS (steps); i++) {
    g_autoptr (GError) failure = NULL;
    guint tries = 0;
    while (!steps[i](&move, &failure)) {
      if (++tries == MAX_TRIES || !g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT)) {
        g_propagate_error (error, g_steal_pointer (&failure));
        return FALSE;
      }
      g_clear_error (&failure);
    }
  }
  return TRUE;
}

gboolean
cm_successor_concerns (CmNode *node, const CmEvent *event)
{
  return g_strcmp0 (cm_event_membership (event), "join") == 0 &&
         cm_id_domain_is (event->state_key, node->server_name);
}

/* (transfer full) the room that @view's says it replaces. */
static char *
find_predecessor (const CmRoomView *view)
{
  g_autoptr (CmEvent) create = cm_room_state_event (view, "m.room.create", "", NULL);
  const CmJson *predecessor =
      create != NULL ? cm_json_get_object (create->content, "predecessor") : NULL;
  const char *room_id = cm_json_get_text (predecessor, "room_id");

  return cm_id_is_room (room_id) ? g_strdup (room_id) : NULL;
}

/* Anybody can claim to replace a room: the old one has the last word. */
static gboolean
is_replaced_by (CmNode *node, const char *old_room, const char *new_room)
{
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, old_room, NULL);
  g_autoptr (CmEvent) tombstone =
      view != NULL ? cm_room_state_event (view, "m.room.tombstone", "", NULL) : NULL;

  return tombstone != NULL &&
         g_strcmp0 (cm_json_get_text (tombstone->content, "replacement_room"), new_room) == 0;
}

gboolean
cm_successor_entered (CmNode *node, const CmEvent *event, GError **error)
{
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, event->room_id, error);

  if (view == NULL)
    return FALSE;
  g_autofree char *old_room = find_predecessor (view);
  if (old_room == NULL || !is_replaced_by (node, old_room, event->room_id))
    return TRUE;
  return cm_successor_carry_over (node, event->state_key, old_room, event->room_id, error);
}
