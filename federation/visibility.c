/* Who may see what (client-server, "History visibility", "Server behaviour"; server-server asks for
 * the same of other servers). The state at an event decides; of it only two keys matter, and the
 * events of a page share few states. */
#include "federation/room-private.h"
#include "federation/timeline.h"

#include <string.h>

typedef enum { WORLD_READABLE, SHARED, INVITED, JOINED } Visibility;

static const char *const visibilities[] = {
  [WORLD_READABLE] = "world_readable",
  [SHARED] = "shared",
  [INVITED] = "invited",
  [JOINED] = "joined",
};

static const CmSql sql_last_join = {
  "visibility-last-join",
  "SELECT max (h.position), bool_or (m.membership = 'join') FROM member_history h "
  "LEFT JOIN member m ON m.room = h.room AND m.user_id = h.user_id "
  "WHERE h.user_id = $1 AND h.room = $2 AND h.membership = 'join'",
};

static const CmSql sql_members_of = {
  "visibility-members-of-server",
  "SELECT m.user_id FROM member m JOIN sym s ON s.id = m.user_id "
  "WHERE m.room = $1 AND right (s.text, length ($2)) = $2",
};

/* One question: what @events look like to a user or to a server. */
typedef struct {
  CmRooms *rooms;
  const char *name; /* of the user or the server */
  gboolean is_server;
  guint32 user; /* sym of the user; 0: nobody knows him */
  guint32 visibility_type;
  guint32 empty_key;
  GHashTable *maps;        /* state number -> CmStateMap */
  GHashTable *rooms_known; /* room sym -> gint64*: the position of the user's last join; or GArray
                              of gint64: the server's users */
  GHashTable *memberships; /* state number -> the server's best membership in it */
} Viewer;

static void
viewer_clear (Viewer *viewer)
{
  g_clear_pointer (&viewer->maps, g_hash_table_unref);
  g_clear_pointer (&viewer->rooms_known, g_hash_table_unref);
  g_clear_pointer (&viewer->memberships, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Viewer, viewer_clear)

/* Syms that do not exist yet are 0 and found in no state. */
static gboolean
look_up (CmRooms *rooms, const char *text, guint32 *sym, GError **error)
{
  g_autoptr (GError) failure = NULL;
  *sym = (guint32) cm_sym_lookup (rooms->parts.ids, text, &failure);
  if (failure == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

static gboolean
viewer_init (Viewer *viewer, CmRooms *rooms, const char *name, gboolean is_server, GError **error)
{
  *viewer = (Viewer){ .rooms = rooms, .name = name, .is_server = is_server };
  viewer->maps = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free,
                                        (GDestroyNotify) cm_state_map_unref);
  viewer->rooms_known =
      g_hash_table_new_full (NULL, NULL, NULL, is_server ? (GDestroyNotify) g_array_unref : g_free);
  viewer->memberships = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  return look_up (rooms, "m.room.history_visibility", &viewer->visibility_type, error) &&
         look_up (rooms, "", &viewer->empty_key, error);
}

/* Rejected, soft-failed and outlier events are seen by nobody: of an outlier not even the state at
 * it is known (CVE-2022-39335). */
static gboolean
is_hidden (const CmEvent *event)
{
  return event == NULL ||
         (event->flags & (CM_EVENT_OUTLIER | CM_EVENT_REJECTED | CM_EVENT_SOFT_FAILED)) != 0;
}

/* A redaction whose target is not known yet, or which may not redact it; an event that only ties
 * branches together: clients are not told. */
static gboolean
is_held_back (const CmEvent *event)
{
  return (event->redacts != NULL && event->state_key == NULL && event->position == 0) ||
         cm_event_is (event, CM_DUMMY_EVENT, NULL);
}

/* Fetches the states around @events, and in one more round trip the events in them that the rules
 * go by. */
static gboolean
load_states (Viewer *viewer, GPtrArray *events, GError **error)
{
  CmRooms *rooms = viewer->rooms;
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = events->pdata[i];
    if (is_hidden (event))
      continue;
    g_array_append_val (ids, event->state_before);
    if (event->state_after != event->state_before)
      g_array_append_val (ids, event->state_after);
  }
  g_autoptr (GPtrArray) maps =
      cm_state_store_get_many (rooms->states, (const gint64 *) ids->data, ids->len, error);
  if (maps == NULL)
    return FALSE;
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; i < ids->len; i++) {
    CmStateMap *map = maps->pdata[i];
    gint64 visibility = cm_state_map_get (map, viewer->visibility_type, viewer->empty_key);
    gint64 member = cm_state_map_get (map, rooms->member_sym, viewer->user);
    if (visibility != 0)
      g_array_append_val (numbers, visibility);
    if (member != 0)
      g_array_append_val (numbers, member);
    g_hash_table_replace (viewer->maps,
                          g_memdup2 (&g_array_index (ids, gint64, i), sizeof (gint64)),
                          cm_state_map_ref (map));
  }
  g_autoptr (GPtrArray) warm =
      cm_event_store_get_many (rooms->events, (const gint64 *) numbers->data, numbers->len, error);
  return warm != NULL;
}

/* (transfer full) the event at a key of the state @id; NULL without @error when there is none. */
static CmEvent *
event_at (const Viewer *viewer, gint64 id, guint32 type, guint32 state_key, GError **error)
{
  gint64 number = cm_state_map_get (g_hash_table_lookup (viewer->maps, &id), type, state_key);
  return number != 0 ? cm_event_store_get (viewer->rooms->events, number, error) : NULL;
}

static gboolean
visibility_at (const Viewer *viewer, gint64 id, Visibility *visibility, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) event =
      event_at (viewer, id, viewer->visibility_type, viewer->empty_key, &failure);
  *visibility = SHARED;
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  const char *text = event != NULL ? cm_json_get_text (event->content, "history_visibility") : NULL;
  for (guint i = 0; text != NULL && i < G_N_ELEMENTS (visibilities); i++) {
    if (strcmp (text, visibilities[i]) == 0)
      *visibility = (Visibility) i;
  }
  return TRUE;
}

/* How the viewer stands in the state @id. */
typedef gboolean (*MembershipFunc) (Viewer *viewer, const CmEvent *event, gint64 id,
                                    CmMembership *membership, GError **error);
/* May the viewer see an event of shared history, in whose state he was no member? */
typedef gboolean (*SharedFunc) (Viewer *viewer, const CmEvent *event, gboolean *may,
                                GError **error);

typedef struct {
  MembershipFunc membership;
  SharedFunc shared;
} Rules;

static gboolean
allowed_by (Viewer *viewer, const Rules *rules, const CmEvent *event, gint64 id, gboolean *allowed,
            GError **error)
{
  Visibility visibility;
  CmMembership membership;
  *allowed = TRUE;
  if (!visibility_at (viewer, id, &visibility, error))
    return FALSE;
  if (visibility == WORLD_READABLE)
    return TRUE;
  if (visibility == SHARED && rules->shared != NULL) {
    if (!rules->shared (viewer, event, allowed, error))
      return FALSE;
    if (*allowed)
      return TRUE;
  }
  if (!rules->membership (viewer, event, id, &membership, error))
    return FALSE;
  *allowed = membership == CM_MEMBERSHIP_JOIN ||
             (membership == CM_MEMBERSHIP_INVITE && visibility == INVITED);
  return TRUE;
}

/* The state after an event is looked at too when the event changes what the rules go by; for a
 * server any membership may. */
static gboolean
changes_sight (const Viewer *viewer, const CmEvent *event)
{
  if (cm_event_is (event, "m.room.history_visibility", ""))
    return TRUE;
  return event->state_key != NULL && event->type_sym == viewer->rooms->member_sym &&
         (viewer->is_server || event->state_key_sym == viewer->user);
}

static gboolean
is_visible (Viewer *viewer, const Rules *rules, const CmEvent *event, gboolean *visible,
            GError **error)
{
  *visible = FALSE;
  if (is_hidden (event) || (!viewer->is_server && is_held_back (event)))
    return TRUE;
  if (!allowed_by (viewer, rules, event, event->state_before, visible, error))
    return FALSE;
  if (*visible || !changes_sight (viewer, event))
    return TRUE;
  return allowed_by (viewer, rules, event, event->state_after, visible, error);
}

static gboolean
user_membership (Viewer *viewer, const CmEvent *event, gint64 id, CmMembership *membership,
                 GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) member =
      event_at (viewer, id, viewer->rooms->member_sym, viewer->user, &failure);
  *membership = CM_MEMBERSHIP_NONE;
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (member != NULL)
    *membership = cm_membership_from_text (cm_event_membership (member));
  return TRUE;
}

/* Rule 3: he joined at any point after the event. Who is in the room now did, whatever the order in
 * which events arrived. */
static gboolean
user_joined_later (Viewer *viewer, const CmEvent *event, gboolean *may, GError **error)
{
  gpointer room = GUINT_TO_POINTER (event->room_sym);
  const gint64 *known = g_hash_table_lookup (viewer->rooms_known, room);
  if (known == NULL) {
    g_autoptr (CmDb) db = cm_pool_get (viewer->rooms->parts.pool, error);
    g_autoptr (CmRows) rows =
        db != NULL ? cm_db_query (db, &sql_last_join,
                                  CM_ARGS (CM_INT (viewer->user), CM_INT (event->room_sym)), error)
                   : NULL;
    if (rows == NULL)
      return FALSE;
    gint64 position = cm_rows_is_null (rows, 0, 0) ? G_MININT64 : cm_rows_integer (rows, 0, 0);
    if (cm_rows_boolean (rows, 0, 1))
      position = G_MAXINT64;
    known = g_memdup2 (&position, sizeof position);
    g_hash_table_insert (viewer->rooms_known, room, (gpointer) known);
  }
  *may = *known > event->position;
  return TRUE;
}

static const Rules user_rules = { user_membership, user_joined_later };

gboolean
cm_timeline_filter_for_user (CmRooms *rooms, GPtrArray *events, const char *user_id, GError **error)
{
  g_auto (Viewer) viewer;
  if (!viewer_init (&viewer, rooms, user_id, FALSE, error) ||
      !look_up (rooms, user_id, &viewer.user, error) || !load_states (&viewer, events, error))
    return FALSE;
  g_autofree gboolean *visible = g_new0 (gboolean, events->len + 1);
  for (guint i = 0; i < events->len; i++) {
    if (!is_visible (&viewer, &user_rules, events->pdata[i], &visible[i], error))
      return FALSE;
  }
  for (guint i = events->len; i > 0; i--) {
    if (!visible[i - 1])
      g_ptr_array_remove_index (events, i - 1);
  }
  return TRUE;
}

/* (borrowed) the syms of all users of the server that the room ever heard of. */
static const GArray *
users_of_server (Viewer *viewer, gint64 room, GError **error)
{
  gpointer key = GSIZE_TO_POINTER ((gsize) room);
  GArray *users = g_hash_table_lookup (viewer->rooms_known, key);
  if (users != NULL)
    return users;
  g_autofree char *suffix = g_strconcat (":", viewer->name, NULL);
  g_autoptr (CmDb) db = cm_pool_get (viewer->rooms->parts.pool, error);
  g_autoptr (CmRows) rows =
      db != NULL
          ? cm_db_query (db, &sql_members_of, CM_ARGS (CM_INT (room), CM_TEXT (suffix)), error)
          : NULL;
  if (rows == NULL)
    return NULL;
  users = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    gint64 sym = cm_rows_integer (rows, i, 0);
    g_array_append_val (users, sym);
  }
  g_hash_table_insert (viewer->rooms_known, key, users);
  return users;
}

/* The membership that opens most: a join, else an invite. */
static gboolean
best_membership (const Viewer *viewer, const GArray *users, gint64 id, CmMembership *best,
                 GError **error)
{
  const CmStateMap *map = g_hash_table_lookup (viewer->maps, &id);
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  *best = CM_MEMBERSHIP_NONE;
  for (guint i = 0; i < users->len; i++) {
    gint64 number = cm_state_map_get (map, viewer->rooms->member_sym,
                                      (guint32) g_array_index (users, gint64, i));
    if (number != 0)
      g_array_append_val (numbers, number);
  }
  g_autoptr (GPtrArray) members = cm_event_store_get_many (
      viewer->rooms->events, (const gint64 *) numbers->data, numbers->len, error);
  if (members == NULL)
    return FALSE;
  for (guint i = 0; i < members->len && *best != CM_MEMBERSHIP_JOIN; i++) {
    const CmEvent *member = members->pdata[i];
    CmMembership membership = member != NULL
                                  ? cm_membership_from_text (cm_event_membership (member))
                                  : CM_MEMBERSHIP_NONE;
    if (membership == CM_MEMBERSHIP_JOIN || membership == CM_MEMBERSHIP_INVITE)
      *best = membership;
  }
  return TRUE;
}

static gboolean
server_membership (Viewer *viewer, const CmEvent *event, gint64 id, CmMembership *membership,
                   GError **error)
{
  gpointer known;
  if (g_hash_table_lookup_extended (viewer->memberships, &id, NULL, &known)) {
    *membership = (CmMembership) GPOINTER_TO_INT (known);
    return TRUE;
  }
  const GArray *users = users_of_server (viewer, event->room_sym, error);
  if (users == NULL || !best_membership (viewer, users, id, membership, error))
    return FALSE;
  g_hash_table_insert (viewer->memberships, g_memdup2 (&id, sizeof id),
                       GINT_TO_POINTER ((gint) *membership));
  return TRUE;
}

/* A server that is in the room sees all of its shared history; whether it is, the caller has asked.
 */
static gboolean
server_is_in_room (Viewer *viewer, const CmEvent *event, gboolean *may, GError **error)
{
  *may = TRUE;
  return TRUE;
}

static const Rules server_rules = { server_membership, server_is_in_room };

/* client-server, POST /account/deactivate: servers that came later get redacted copies of what an
 * erased user said. */
static gboolean
is_in_full (Viewer *viewer, const CmEvent *event, gboolean *full, GError **error)
{
  CmMembership membership = CM_MEMBERSHIP_JOIN;
  if (!is_visible (viewer, &server_rules, event, full, error))
    return FALSE;
  if (!*full || !cm_rooms_is_erased (viewer->rooms, event))
    return TRUE;
  if (!server_membership (viewer, event, event->state_before, &membership, error))
    return FALSE;
  *full = membership == CM_MEMBERSHIP_JOIN;
  return TRUE;
}

gboolean
cm_timeline_filter_for_server (CmRooms *rooms, GPtrArray *events, const char *server,
                               GError **error)
{
  g_auto (Viewer) viewer;
  if (!viewer_init (&viewer, rooms, server, TRUE, error) || !load_states (&viewer, events, error))
    return FALSE;
  g_autoptr (GPtrArray) shown = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  for (guint i = 0; i < events->len; i++) {
    CmEvent *event = events->pdata[i];
    gboolean full;
    if (!is_in_full (&viewer, event, &full, error))
      return FALSE;
    CmEvent *form = full ? cm_event_ref (event) : cm_event_redact (event, NULL, error);
    if (form == NULL)
      return FALSE;
    g_ptr_array_add (shown, form);
  }
  for (guint i = 0; i < events->len; i++) {
    gpointer before = events->pdata[i];
    events->pdata[i] = shown->pdata[i];
    shown->pdata[i] = before;
  }
  return TRUE;
}
