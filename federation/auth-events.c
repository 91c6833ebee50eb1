#include "federation/auth-private.h"

#include <string.h>

/* The most keys that any event needs: power levels, create, and for a member event join rules, the
 * members it concerns (three at most) or an invite by a third party. */
#define MAX_KEYS 8

typedef struct {
  const char *type;
  const char *state_key;
  gboolean seen;
} Key;

typedef struct {
  Key keys[MAX_KEYS];
  gsize count;
} Selection;

static Key *
find_key (Selection *selection, const char *type, const char *state_key)
{
  for (gsize i = 0; i < selection->count; i++)
    if (strcmp (selection->keys[i].type, type) == 0 &&
        g_strcmp0 (selection->keys[i].state_key, state_key) == 0)
      return &selection->keys[i];
  return NULL;
}

/* Each key once: the sender may be the target, and whoever authorised the join. */
static void
add_key (Selection *selection, const char *type, const char *state_key)
{
  if (state_key != NULL && find_key (selection, type, state_key) == NULL)
    selection->keys[selection->count++] = (Key){ type, state_key, FALSE };
}

static void
select_for_member (Selection *selection, const char *state_key, const CmJson *content)
{
  const char *membership = cm_json_get_text (content, "membership");
  gboolean join = g_strcmp0 (membership, "join") == 0;
  gboolean invite = g_strcmp0 (membership, "invite") == 0;

  add_key (selection, "m.room.member", state_key);
  if (join || invite || g_strcmp0 (membership, "knock") == 0)
    add_key (selection, "m.room.join_rules", "");
  if (invite) {
    const CmJson *third_party = cm_json_get (content, "third_party_invite");
    add_key (selection, "m.room.third_party_invite",
             cm_json_get_text (cm_json_get (third_party, "signed"), "token"));
  }
  if (join)
    add_key (selection, "m.room.member",
             cm_json_get_text (content, "join_authorised_via_users_server"));
}

/* server-server, "Auth events selection" */
static void
select_keys (Selection *selection, const CmRoomVersion *version, const char *type,
             const char *sender, const char *state_key, const CmJson *content)
{
  selection->count = 0;
  if (strcmp (type, "m.room.create") == 0)
    return;
  /* MSC4291: the room id names the create event. */
  if (!version->room_id_is_create_hash)
    add_key (selection, "m.room.create", "");
  add_key (selection, "m.room.power_levels", "");
  add_key (selection, "m.room.member", sender);
  if (strcmp (type, "m.room.member") == 0)
    select_for_member (selection, state_key, content);
}

void
cm_auth_keys (const CmRoomVersion *version, const char *type, const char *sender,
              const char *state_key, const CmJson *content, CmAuthKeyFunc func, gpointer data)
{
  Selection selection;

  select_keys (&selection, version, type, sender, state_key, content);
  for (gsize i = 0; i < selection.count; i++)
    func (selection.keys[i].type, selection.keys[i].state_key, data);
}

/* Rule 3 (2 in versions 10 and 11) for one of the auth events. */
static gboolean
check_auth_event (const CmAuth *auth, Selection *selection, const CmEvent *other, GError **error)
{
  Key *key = find_key (selection, other->type, other->state_key);

  if (key == NULL)
    return cm_auth_deny (auth, 3, "2", "auth_events names an event that gives no permission",
                         error);
  if (key->seen)
    return cm_auth_deny (auth, 3, "1", "auth_events names two events of one type and state key",
                         error);
  key->seen = TRUE;
  if ((other->flags & CM_EVENT_REJECTED) != 0)
    return cm_auth_deny (auth, 3, "3", "auth_events names a rejected event", error);
  if (strcmp (other->room_id, auth->event->room_id) != 0)
    return cm_auth_deny (auth, 3, "5", "auth_events names an event of another room", error);
  return TRUE;
}

/* An id that stands twice is given once or twice in the list of events: so it is looked for in the
 * text. */
static gboolean
names_one_twice (const CmJson *list)
{
  const char *ids[CM_EVENT_MAX_AUTH_EVENTS];
  const CmJson *item;
  gsize count = 0;
  CmJsonIter iter;

  cm_json_iter_init (&iter, list);
  while (count < G_N_ELEMENTS (ids) && cm_json_iter_next (&iter, NULL, &item)) {
    ids[count] = cm_json_text (item);
    for (gsize i = 0; i < count; i++)
      if (g_strcmp0 (ids[i], ids[count]) == 0)
        return TRUE;
    count++;
  }
  return FALSE;
}

gboolean
cm_auth_check_auth_events (const CmEvent *event, GPtrArray *auth_events, GError **error)
{
  CmAuth auth = { .event = event };
  Selection selection;

  if (names_one_twice (cm_json_get (event->json, "auth_events")))
    return cm_auth_deny (&auth, 3, "1", "auth_events names an event twice", error);
  select_keys (&selection, event->version, event->type, event->sender, event->state_key,
               event->content);
  for (guint i = 0; i < auth_events->len; i++)
    if (!check_auth_event (&auth, &selection, g_ptr_array_index (auth_events, i), error))
      return FALSE;

  Key *create = find_key (&selection, "m.room.create", "");
  if (create != NULL && !create->seen)
    return cm_auth_deny (&auth, 3, "4", "auth_events does not name m.room.create", error);
  return TRUE;
}
