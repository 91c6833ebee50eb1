/* The current state of a room changes: what the tables that answer every request are told of it. */
#include "federation/room-private.h"

#include "crypto/id.h"

static const CmSql sql_current = {
  "current-state-set",
  "INSERT INTO current_state (room, type, state_key, event, position) "
  "SELECT $1::bigint, t, k, e, $5::bigint "
  "FROM unnest ($2::bigint[], $3::bigint[], $4::bigint[]) AS changes (t, k, e) "
  "ON CONFLICT (room, type, state_key) "
  "DO UPDATE SET event = excluded.event, position = excluded.position",
};

static const CmSql sql_current_gone = {
  "current-state-drop",
  "DELETE FROM current_state USING unnest ($2::bigint[], $3::bigint[]) AS gone (t, k) "
  "WHERE room = $1 AND type = t AND state_key = k",
};

/* A membership keeps the position at which it began when only the profile in it changes. */
static const CmSql sql_member = {
  "member-set",
  "INSERT INTO member (room, user_id, membership, local, event, sender, position) "
  "SELECT $1::bigint, u, m, l = 1, e, s, $7::bigint "
  "FROM unnest ($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) "
  "AS changes (u, m, l, e, s) "
  "ON CONFLICT (room, user_id) DO UPDATE SET membership = excluded.membership, "
  "event = excluded.event, sender = excluded.sender, "
  "position = CASE WHEN member.membership = excluded.membership THEN member.position "
  "ELSE excluded.position END, "
  "forgotten = member.forgotten AND excluded.membership IN ('leave', 'ban')",
};

static const CmSql sql_member_history = {
  "member-history-add",
  "INSERT INTO member_history (user_id, position, room, membership, event) "
  "SELECT u, $5::bigint, $1::bigint, m, e "
  "FROM unnest ($2::bigint[], $3::text[], $4::bigint[]) AS changes (u, m, e)",
};

static const CmSql sql_outside_gone = {
  "outside-membership-drop",
  "DELETE FROM outside_membership WHERE room = $1 AND user_id = ANY ($2)",
};

static const CmSql sql_server = {
  "room-server-set",
  "INSERT INTO room_server (room, server, joined) "
  "SELECT $1::bigint, s, n FROM unnest ($2::bigint[], $3::bigint[]) AS changes (s, n) "
  "ON CONFLICT (room, server) DO UPDATE SET joined = excluded.joined",
};

static const CmSql sql_server_gone = {
  "room-server-drop",
  "DELETE FROM room_server WHERE room = $1 AND server = ANY ($2)",
};

static GArray *
new_integers (void)
{
  return g_array_new (FALSE, FALSE, sizeof (gint64));
}

/* One user whose membership the new state changes. */
typedef struct {
  const CmEvent *event; /* the new one; the old one when there is none any more */
  CmMembership before;
  CmMembership after;
} Change;

/* The change of a whole state, by table. */
typedef struct {
  CmRoomWrite *write;
  gint64 offset;
  GArray *types, *keys, *events; /* current_state */
  GArray *gone_types, *gone_keys;
  GArray *changes;     /* of Change */
  GPtrArray *held;     /* the events that changes borrow */
  GHashTable *servers; /* name -> joined members, where that changed */
} StateChange;

static void
state_change_clear (StateChange *change)
{
  GArray **arrays[] = { &change->types,      &change->keys,      &change->events,
                        &change->gone_types, &change->gone_keys, &change->changes };
  for (gsize i = 0; i < G_N_ELEMENTS (arrays); i++)
    g_clear_pointer (arrays[i], g_array_unref);
  g_clear_pointer (&change->held, g_ptr_array_unref);
  g_clear_pointer (&change->servers, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (StateChange, state_change_clear)

static void
state_change_init (StateChange *change, CmRoomWrite *write, gint64 offset)
{
  *change = (StateChange){
    .write = write,
    .offset = offset,
    .types = new_integers (),
    .keys = new_integers (),
    .events = new_integers (),
    .gone_types = new_integers (),
    .gone_keys = new_integers (),
    .changes = g_array_new (FALSE, FALSE, sizeof (Change)),
    .servers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL),
  };
}

static CmMembership
membership_of (const CmEvent *event)
{
  return event != NULL ? cm_membership_from_text (cm_event_membership (event)) : CM_MEMBERSHIP_NONE;
}

static void
append_integer (GArray *array, gint64 value)
{
  g_array_append_val (array, value);
}

/* Notes the differences; @numbers gets pairs (before, after) of member events. */
static void
compare_states (StateChange *change, const CmStateMap *from, const CmStateMap *to, GArray *numbers)
{
  guint32 member = change->write->room->rooms->member_sym;
  gboolean removed;
  g_autoptr (GArray) set = cm_state_map_diff (from, to, &removed);
  for (guint i = 0; i < set->len; i++) {
    const CmStateEntry *entry = &g_array_index (set, CmStateEntry, i);
    append_integer (change->types, entry->type);
    append_integer (change->keys, entry->state_key);
    append_integer (change->events, entry->event);
    if (entry->type != member)
      continue;
    append_integer (numbers, cm_state_map_get (from, entry->type, entry->state_key));
    append_integer (numbers, entry->event);
  }
  if (!removed)
    return;
  g_autoptr (GArray) back = cm_state_map_diff (to, from, NULL);
  for (guint i = 0; i < back->len; i++) {
    const CmStateEntry *entry = &g_array_index (back, CmStateEntry, i);
    if (cm_state_map_get (to, entry->type, entry->state_key) != 0)
      continue;
    append_integer (change->gone_types, entry->type);
    append_integer (change->gone_keys, entry->state_key);
    if (entry->type != member)
      continue;
    append_integer (numbers, entry->event);
    append_integer (numbers, 0);
  }
}

static void
count_server (StateChange *change, const char *user_id, gint by)
{
  const char *server = cm_id_domain (user_id);
  gpointer joined;
  if (server == NULL)
    return;
  if (!g_hash_table_lookup_extended (change->servers, server, NULL, &joined))
    joined = g_hash_table_lookup (change->write->view->servers, server);
  g_hash_table_insert (change->servers, g_strdup (server),
                       GINT_TO_POINTER (MAX (GPOINTER_TO_INT (joined) + by, 0)));
}

static void
count_member (StateChange *change, const Change *member)
{
  CmRoomView *view = change->write->view;
  const char *user_id = member->event->state_key;
  view->invited +=
      (member->after == CM_MEMBERSHIP_INVITE) - (member->before == CM_MEMBERSHIP_INVITE);
  gint by = (member->after == CM_MEMBERSHIP_JOIN) - (member->before == CM_MEMBERSHIP_JOIN);
  if (by == 0)
    return;
  view->joined += by;
  if (cm_room_write_is_local (change->write, user_id))
    view->local_joined += by;
  count_server (change, user_id, by);
}

static gboolean
compare_members (StateChange *change, const GArray *numbers, GError **error)
{
  CmEventStore *events = change->write->room->rooms->events;
  change->held =
      cm_event_store_get_many (events, (const gint64 *) numbers->data, numbers->len, error);
  if (change->held == NULL)
    return FALSE;
  for (guint i = 0; i + 1 < change->held->len; i += 2) {
    const CmEvent *before = change->held->pdata[i], *after = change->held->pdata[i + 1];
    Change member = { after != NULL ? after : before, membership_of (before),
                      membership_of (after) };
    if (member.event == NULL)
      continue;
    count_member (change, &member);
    g_array_append_val (change->changes, member);
  }
  return TRUE;
}

static void
write_current_state (const StateChange *change)
{
  CmWrite *statements = change->write->write;
  CmParam room = CM_INT (change->write->room->sym);
  if (change->types->len > 0)
    cm_write_add (statements, &sql_current,
                  CM_ARGS (room, cm_param_integers (change->types),
                           cm_param_integers (change->keys), cm_param_integers (change->events),
                           CM_POSITION (change->offset)));
  if (change->gone_types->len > 0)
    cm_write_add (statements, &sql_current_gone,
                  CM_ARGS (room, cm_param_integers (change->gone_types),
                           cm_param_integers (change->gone_keys)));
}

static void
write_members (const StateChange *change)
{
  g_autoptr (GArray) users = new_integers (), local = new_integers (), events = new_integers (),
                     senders = new_integers ();
  g_autoptr (GPtrArray) memberships = g_ptr_array_new ();
  if (change->changes->len == 0)
    return;
  for (guint i = 0; i < change->changes->len; i++) {
    const Change *member = &g_array_index (change->changes, Change, i);
    /* Who stands in no state any more is as one who left. */
    CmMembership after = member->after != CM_MEMBERSHIP_NONE ? member->after : CM_MEMBERSHIP_LEAVE;
    append_integer (users, member->event->state_key_sym);
    append_integer (local, cm_room_write_is_local (change->write, member->event->state_key));
    append_integer (events, member->event->number);
    append_integer (senders, member->event->sender_sym);
    g_ptr_array_add (memberships, (char *) cm_membership_text (after));
  }
  cm_write_add (change->write->write, &sql_member,
                CM_ARGS (CM_INT (change->write->room->sym), cm_param_integers (users),
                         cm_param_texts (memberships), cm_param_integers (local),
                         cm_param_integers (events), cm_param_integers (senders),
                         CM_POSITION (change->offset)));
}

static void
write_local_members (const StateChange *change)
{
  CmWrite *statements = change->write->write;
  CmParam room = CM_INT (change->write->room->sym);
  g_autoptr (GArray) users = new_integers (), events = new_integers ();
  g_autoptr (GPtrArray) memberships = g_ptr_array_new ();
  for (guint i = 0; i < change->changes->len; i++) {
    const Change *member = &g_array_index (change->changes, Change, i);
    if (!cm_room_write_is_local (change->write, member->event->state_key))
      continue;
    cm_write_topic (statements, CM_TOPIC_USER, member->event->state_key);
    if (member->before == member->after)
      continue;
    CmMembership after = member->after != CM_MEMBERSHIP_NONE ? member->after : CM_MEMBERSHIP_LEAVE;
    append_integer (users, member->event->state_key_sym);
    append_integer (events, member->event->number);
    g_ptr_array_add (memberships, (char *) cm_membership_text (after));
  }
  if (users->len == 0)
    return;
  cm_write_add (statements, &sql_member_history,
                CM_ARGS (room, cm_param_integers (users), cm_param_texts (memberships),
                         cm_param_integers (events), CM_POSITION (change->offset)));
  cm_write_add (statements, &sql_outside_gone, CM_ARGS (room, cm_param_integers (users)));
}

static gboolean
write_servers (StateChange *change, GError **error)
{
  CmRoomWrite *write = change->write;
  CmParam room = CM_INT (write->room->sym);
  g_autoptr (GArray) set = new_integers (), counts = new_integers (), gone = new_integers ();
  if (g_hash_table_size (change->servers) == 0)
    return TRUE;
  GHashTable *all = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GHashTableIter iter;
  gpointer name, joined;
  g_hash_table_iter_init (&iter, write->view->servers);
  while (g_hash_table_iter_next (&iter, &name, &joined))
    g_hash_table_insert (all, g_strdup (name), joined);
  g_hash_table_iter_init (&iter, change->servers);
  gboolean ok = TRUE;
  while (ok && g_hash_table_iter_next (&iter, &name, &joined)) {
    gint64 sym = cm_sym (write->room->rooms->parts.ids, name, error);
    ok = sym != 0;
    append_integer (joined != NULL ? set : gone, sym);
    if (joined != NULL) {
      append_integer (counts, GPOINTER_TO_INT (joined));
      g_hash_table_insert (all, g_strdup (name), joined);
    } else {
      g_hash_table_remove (all, name);
    }
  }
  cm_room_view_set_servers (write->view, all);
  if (set->len > 0)
    cm_write_add (write->write, &sql_server,
                  CM_ARGS (room, cm_param_integers (set), cm_param_integers (counts)));
  if (gone->len > 0)
    cm_write_add (write->write, &sql_server_gone, CM_ARGS (room, cm_param_integers (gone)));
  return ok;
}

gboolean
cm_room_write_change_state (CmRoomWrite *write, const CmState *state, gint64 offset, GError **error)
{
  g_auto (StateChange) change;
  g_autoptr (GArray) numbers = new_integers ();
  state_change_init (&change, write, offset);
  compare_states (&change, write->view->state, state->map, numbers);
  if (!compare_members (&change, numbers, error) || !write_servers (&change, error))
    return FALSE;
  write_current_state (&change);
  write_members (&change);
  write_local_members (&change);
  cm_room_view_set_state (write->view, state);
  return TRUE;
}
