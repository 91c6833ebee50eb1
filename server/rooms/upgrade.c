#include "server/rooms/upgrade.h"

#include "federation/append.h"
#include "federation/auth-rules.h"
#include "schema/room-directory.h"
#include "server/rooms/member-content.h"
#include "server/rooms/power.h"
#include "server/rooms/successor.h"

#include <string.h>

/* client-server, "Server behaviour" of room upgrades, 3: what is transferred. Power levels go last,
 * lest they forbid the rest. */
static const char *const transferred[] = {
  "m.room.server_acl", "m.room.encryption",   "m.room.name",
  "m.room.avatar",     "m.room.topic",        "m.room.history_visibility",
  "m.room.join_rules", "m.room.guest_access", "m.room.canonical_alias",
};

typedef struct {
  CmNode *node;
  CmRoom *old;
  CmRoomView *view; /* of the old room */
  const CmUpgrade *upgrade;
  GPtrArray *docs;   /* contents that were made here */
  GPtrArray *events; /* of CmEvent: the old ones that drafts borrow from */
  GArray *drafts;    /* the create event first */
  gboolean listed;
} Work;

static void
work_clear (Work *work)
{
  g_clear_pointer (&work->view, cm_room_view_unref);
  g_clear_pointer (&work->docs, g_ptr_array_unref);
  g_clear_pointer (&work->events, g_ptr_array_unref);
  g_clear_pointer (&work->drafts, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Work, work_clear)

static void
add (Work *work, const char *type, const char *state_key, const CmJson *content)
{
  CmDraft draft = {
    .type = type, .state_key = state_key, .sender = work->upgrade->user_id, .content = content
  };

  g_array_append_val (work->drafts, draft);
}

/* As add, of what @writer wrote. */
static void
add_written (Work *work, const char *type, const char *state_key, CmJsonWriter *writer)
{
  CmJsonDoc *doc = cm_json_writer_end_doc (writer);

  g_ptr_array_add (work->docs, doc);
  add (work, type, state_key, cm_json_doc_root (doc));
}

static void
put_predecessor (Work *work, CmJsonWriter *writer)
{
  gint64 newest = g_array_index (work->view->extremities, gint64, 0);
  g_autoptr (CmEvent) last = cm_event_store_get (cm_rooms_events (work->node->rooms), newest, NULL);

  cm_json_open_object (writer, "predecessor");
  cm_json_put_text (writer, "room_id", work->view->room_id);
  if (last != NULL)
    cm_json_put_text (writer, "event_id", last->event_id);
  cm_json_close (writer);
}

static gboolean
add_create (Work *work, GError **error)
{
  static const char *const replaced[] = { "creator", "room_version", "predecessor",
                                          "additional_creators", NULL };
  const CmRoomVersion *version = work->upgrade->version;
  g_autoptr (CmEvent) old = cm_room_state_event (work->view, "m.room.create", "", error);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *value;
  const char *key;
  CmJsonIter iter;

  if (old == NULL)
    return FALSE;
  cm_json_open_object (writer, NULL);
  cm_json_iter_init (&iter, old->content);
  while (cm_json_iter_next (&iter, &key, &value))
    if (!g_strv_contains (replaced, key))
      cm_json_put_member (writer, iter.key, value);
  cm_json_put_text (writer, "room_version", version->name);
  if (version->create_has_creator)
    cm_json_put_text (writer, "creator", work->upgrade->user_id);
  if (version->creators_are_privileged)
    cm_json_put_node (writer, "additional_creators", work->upgrade->additional_creators);
  put_predecessor (work, writer);
  cm_json_close (writer);
  add_written (work, "m.room.create", "", writer);
  return TRUE;
}

static gboolean
add_creator (Work *work, GError **error)
{
  CmMemberContent member = { .membership = "join", .user_id = work->upgrade->user_id };
  CmJsonDoc *doc = cm_member_content_new (work->node, &member, error);

  if (doc == NULL)
    return FALSE;
  g_ptr_array_add (work->docs, doc);
  add (work, "m.room.member", work->upgrade->user_id, cm_json_doc_root (doc));
  return TRUE;
}

/* Takes over the events of @type as they are, in the old room's own words. */
static gboolean
take_over (Work *work, const char *type, gboolean (*wanted) (const CmEvent *event), GError **error)
{
  g_autoptr (GPtrArray) events = cm_room_state_events (work->view, type, error);

  if (events == NULL)
    return FALSE;
  for (guint i = 0; i < events->len; i++) {
    CmEvent *event = events->pdata[i];
    if (event == NULL || !wanted (event))
      continue;
    g_ptr_array_add (work->events, cm_event_ref (event));
    add (work, event->type, event->state_key, event->content);
  }
  return TRUE;
}

static gboolean
has_empty_key (const CmEvent *event)
{
  return event->state_key[0] == '\0';
}

static gboolean
is_ban (const CmEvent *event)
{
  return g_strcmp0 (cm_event_membership (event), "ban") == 0;
}

static gboolean
is_child (const CmEvent *event)
{
  return cm_json_get_array (event->content, "via") != NULL;
}

static gboolean
is_creator (const Work *work, const char *user_id)
{
  const CmJson *item;
  CmJsonIter iter;

  if (strcmp (user_id, work->upgrade->user_id) == 0)
    return TRUE;
  cm_json_iter_init (&iter, work->upgrade->additional_creators);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (g_strcmp0 (cm_json_text (item), user_id) == 0)
      return TRUE;
  return FALSE;
}

/* rooms/v12: creators must not stand among the users. Creators of an old version 12 room outranked
 * everybody; in an older version they keep the most that anybody has. */
static void
put_users (Work *work, CmJsonWriter *writer, const CmJson *users)
{
  gboolean privileged = work->upgrade->version->creators_are_privileged;
  gboolean was_privileged = work->view->version->creators_are_privileged;
  const char *user_id;
  const CmJson *level;
  CmJsonIter iter;

  cm_json_open_object (writer, "users");
  cm_json_iter_init (&iter, users);
  while (cm_json_iter_next (&iter, &user_id, &level))
    if (!privileged || !is_creator (work, user_id))
      cm_json_put_member (writer, iter.key, level);
  if (!privileged && was_privileged && cm_json_get (users, work->upgrade->user_id) == NULL)
    cm_json_put_integer (writer, work->upgrade->user_id, 100);
  cm_json_close (writer);
}

static gboolean
add_power_levels (Work *work, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) old = cm_room_state_event (work->view, "m.room.power_levels", "", &failure);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmJson *value;
  const char *key;
  CmJsonIter iter;

  if (old == NULL) {
    if (failure != NULL)
      g_propagate_error (error, g_steal_pointer (&failure));
    return failure == NULL;
  }
  cm_json_open_object (writer, NULL);
  cm_json_iter_init (&iter, old->content);
  while (cm_json_iter_next (&iter, &key, &value))
    if (strcmp (key, "users") != 0)
      cm_json_put_member (writer, iter.key, value);
  put_users (work, writer, cm_json_get_object (old->content, "users"));
  cm_json_close (writer);
  add_written (work, "m.room.power_levels", "", writer);
  return TRUE;
}

static gboolean
prepare (Work *work, GError **error)
{
  if (!add_create (work, error) || !add_creator (work, error))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (transferred); i++)
    if (!take_over (work, transferred[i], has_empty_key, error))
      return FALSE;
  if (!take_over (work, "m.space.child", is_child, error) ||
      !take_over (work, "m.room.member", is_ban, error) || !add_power_levels (work, error))
    return FALSE;
  g_autoptr (CmDb) db = cm_pool_get (work->node->pool, error);
  return db != NULL && cm_room_is_listed (db, work->view->room, &work->listed, error);
}

/* With the new room come the old one's aliases and its place in the directory. */
static void
move_names (CmWrite *write, const char *room_id, gint64 room, gpointer data)
{
  const Work *work = data;

  cm_aliases_move (write, work->view->room, room);
  if (!work->listed)
    return;
  cm_room_set_listed (write, room, TRUE);
  cm_room_set_listed (write, work->view->room, FALSE);
}

static void
put_restricted_levels (CmJsonWriter *writer, const CmJson *content)
{
  gint64 level = MAX (50, cm_json_get_integer (content, "users_default", 0) + 1);
  const CmJson *value;
  const char *key;
  CmJsonIter iter;

  cm_json_open_object (writer, NULL);
  cm_json_iter_init (&iter, content);
  while (cm_json_iter_next (&iter, &key, &value))
    if (strcmp (key, "events_default") != 0 && strcmp (key, "invite") != 0)
      cm_json_put_member (writer, iter.key, value);
  cm_json_put_integer (writer, "events_default",
                       MAX (level, cm_json_get_integer (content, "events_default", 0)));
  cm_json_put_integer (writer, "invite", MAX (level, cm_json_get_integer (content, "invite", 0)));
  cm_json_close (writer);
}

/* What is done to the old room when its tombstone stands is as well as can be: the upgrade is made.
 */
static void
append_to_old (Work *work, const char *type, CmJsonWriter *writer)
{
  g_autoptr (CmJsonDoc) content = cm_json_writer_end_doc (writer);
  g_autoptr (GError) error = NULL;
  CmDraft draft = { .type = type,
                    .state_key = "",
                    .sender = work->upgrade->user_id,
                    .content = cm_json_doc_root (content) };
  g_autoptr (CmEvent) event = cm_room_append_one (work->old, &draft, &error);

  if (event == NULL)
    g_message ("After the upgrade of %s its %s stays: %s", work->view->room_id, type,
               error->message);
}

static void
close_old (Work *work)
{
  g_autoptr (CmEvent) power = cm_room_state_event (work->view, "m.room.power_levels", "", NULL);
  g_autoptr (CmEvent) alias = cm_room_state_event (work->view, "m.room.canonical_alias", "", NULL);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (alias != NULL) {
    cm_json_open_object (writer, NULL);
    cm_json_close (writer);
    append_to_old (work, "m.room.canonical_alias", writer);
  }
  if (power != NULL) {
    put_restricted_levels (writer, power->content);
    append_to_old (work, "m.room.power_levels", writer);
  }
}

static gboolean
bury_old (Work *work, const char *replacement, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "body", "This room has been replaced");
  cm_json_put_text (writer, "replacement_room", replacement);
  cm_json_close (writer);
  g_autoptr (CmJsonDoc) content = cm_json_writer_end_doc (writer);
  CmDraft draft = { .type = "m.room.tombstone",
                    .state_key = "",
                    .sender = work->upgrade->user_id,
                    .content = cm_json_doc_root (content) };
  g_autoptr (CmEvent) event = cm_room_append_one (work->old, &draft, error);
  return event != NULL;
}

char *
cm_room_upgrade (CmNode *node, CmRoom *room, const CmUpgrade *upgrade, GError **error)
{
  g_auto (Work) work = { .node = node, .old = room, .upgrade = upgrade };

  work.view = cm_room_view (room);
  work.docs = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_json_doc_unref);
  work.events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  work.drafts = g_array_new (FALSE, FALSE, sizeof (CmDraft));
  if (!cm_room_may_send_state (work.view, upgrade->user_id, "m.room.tombstone")) {
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "You may not upgrade this room");
    return NULL;
  }
  if (!prepare (&work, error))
    return NULL;
  const CmDraft *drafts = (const CmDraft *) work.drafts->data;
  g_autoptr (CmRoom) replacement =
      cm_rooms_create (node->rooms, upgrade->version, &drafts[0], &drafts[1], work.drafts->len - 1,
                       move_names, &work, error);
  if (replacement == NULL)
    return NULL;
  g_autoptr (CmRoomView) view = cm_room_view (replacement);
  if (!bury_old (&work, view->room_id, error))
    return NULL;
  close_old (&work);
  /* Who upgrades was in the new room before the old one named it. */
  g_autoptr (GError) failure = NULL;
  if (!cm_successor_carry_over (node, upgrade->user_id, work.view->room_id, view->room_id,
                                &failure))
    g_message ("After the upgrade of %s not all that %s kept with it went over: %s",
               work.view->room_id, upgrade->user_id, failure->message);
  return g_strdup (view->room_id);
}
