#include "server/ephemeral.h"

#include "crypto/id.h"
#include "federation/destinations.h"
#include "federation/rooms.h"
#include "schema/sync.h"
#include "server/router/lanes.h"
#include "server/sync/hub.h"

#include <string.h>

/* How long without any sync until a user counts as gone, and how long something done counts as
 * activity. */
#define OFFLINE_AFTER (60 * G_TIME_SPAN_SECOND)
#define ACTIVE_FOR_MS (5 * 60 * 1000)
#define MAX_TYPISTS   1000
#define MAX_PRESENCES 200000

typedef struct {
  GHashTable *typists; /* user id -> gint64*: monotonic time at which it ends */
  gint64 counter;
} Room;

typedef struct {
  CmPresence presence;
  gint64 seen; /* monotonic time of the last sync; 0: a user of another server, or never */
} Person;

struct _CmEphemeral {
  CmNode *node;
  guint32 epoch;
  GMutex mutex; /* guards what follows */
  gint64 counter;
  gint64 typing_counter; /* when any typing last changed */
  GHashTable *rooms;     /* room id -> Room */
  GHashTable *people;    /* user id -> Person */
};

static void
free_room (gpointer data)
{
  Room *room = data;

  g_hash_table_unref (room->typists);
  g_free (room);
}

static void
presence_clear (CmPresence *presence)
{
  g_free (presence->user_id);
  g_free (presence->state);
  g_free (presence->status_msg);
}

static void
free_person (gpointer data)
{
  Person *person = data;

  presence_clear (&person->presence);
  g_free (person);
}

CmEphemeral *
cm_ephemeral_new (CmNode *node)
{
  CmEphemeral *ephemeral = g_new0 (CmEphemeral, 1);

  ephemeral->node = node;
  ephemeral->epoch = g_random_int ();
  g_mutex_init (&ephemeral->mutex);
  ephemeral->rooms = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, free_room);
  ephemeral->people = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, free_person);
  return ephemeral;
}

void
cm_ephemeral_free (CmEphemeral *ephemeral)
{
  if (ephemeral == NULL)
    return;
  g_hash_table_unref (ephemeral->rooms);
  g_hash_table_unref (ephemeral->people);
  g_mutex_clear (&ephemeral->mutex);
  g_free (ephemeral);
}

guint32
cm_ephemeral_epoch (CmEphemeral *ephemeral)
{
  return ephemeral->epoch;
}

gint64
cm_ephemeral_counter (CmEphemeral *ephemeral)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);

  return ephemeral->counter;
}

/* Typing */

static void
tell_typing_to (CmEphemeral *ephemeral, const CmRoomView *view, const char *user_id,
                gboolean typing)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_autofree char *key = g_strjoin ("/", "typing", view->room_id, user_id, NULL);
  GHashTableIter iter;
  gpointer server;

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "edu_type", "m.typing");
  cm_json_open_object (writer, "content");
  cm_json_put_text (writer, "room_id", view->room_id);
  cm_json_put_text (writer, "user_id", user_id);
  cm_json_put_boolean (writer, "typing", typing);
  cm_json_close (writer);
  cm_json_close (writer);
  g_autoptr (GBytes) edu = cm_json_writer_end (writer);
  g_hash_table_iter_init (&iter, view->servers);
  while (g_hash_table_iter_next (&iter, &server, NULL))
    if (strcmp (server, ephemeral->node->server_name) != 0)
      cm_destinations_ephemeral (ephemeral->node->destinations, server, key, edu);
}

static void
tell_typing (CmEphemeral *ephemeral, const char *room_id, const char *user_id, gboolean typing)
{
  CmNode *node = ephemeral->node;

  if (node->destinations == NULL || !cm_id_domain_is (user_id, node->server_name))
    return;
  g_autoptr (CmRoomView) view = cm_rooms_view (node->rooms, room_id, NULL);
  if (view != NULL)
    tell_typing_to (ephemeral, view, user_id, typing);
}

/* TRUE when who types changed. */
static gboolean
set_typing (CmEphemeral *ephemeral, const char *room_id, const char *user_id, guint timeout_ms)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
  Room *room = g_hash_table_lookup (ephemeral->rooms, room_id);
  gint64 end = g_get_monotonic_time () + timeout_ms * G_TIME_SPAN_MILLISECOND;
  gboolean changed;

  if (room == NULL) {
    if (timeout_ms == 0)
      return FALSE;
    room = g_new0 (Room, 1);
    room->typists = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert (ephemeral->rooms, g_strdup (room_id), room);
  }
  if (timeout_ms == 0)
    changed = g_hash_table_remove (room->typists, user_id);
  else if (g_hash_table_size (room->typists) >= MAX_TYPISTS)
    return FALSE;
  else
    changed =
        g_hash_table_replace (room->typists, g_strdup (user_id), g_memdup2 (&end, sizeof end));
  if (changed)
    room->counter = ephemeral->typing_counter = ++ephemeral->counter;
  return changed;
}

void
cm_ephemeral_typing (CmEphemeral *ephemeral, const char *room_id, const char *user_id,
                     guint timeout_ms)
{
  gboolean changed = set_typing (ephemeral, room_id, user_id, timeout_ms);

  /* Other servers let it run out by themselves, so they are told again of what goes on. */
  if (changed || timeout_ms > 0)
    tell_typing (ephemeral, room_id, user_id, timeout_ms > 0);
  if (changed)
    cm_sync_hub_wake_room (ephemeral->node->sync, room_id);
}

GPtrArray *
cm_ephemeral_typists (CmEphemeral *ephemeral, const char *room_id, gint64 *counter)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
  GPtrArray *typists = g_ptr_array_new_with_free_func (g_free);
  const Room *room = g_hash_table_lookup (ephemeral->rooms, room_id);
  GHashTableIter iter;
  gpointer user_id;

  *counter = room != NULL ? room->counter : 0;
  if (room == NULL)
    return typists;
  g_hash_table_iter_init (&iter, room->typists);
  while (g_hash_table_iter_next (&iter, &user_id, NULL))
    g_ptr_array_add (typists, g_strdup (user_id));
  return typists;
}

gboolean
cm_ephemeral_typing_changed (CmEphemeral *ephemeral, gint64 since)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);

  return ephemeral->typing_counter > since;
}

/* Rooms that nobody types in stay until nobody can hold a token from before they fell silent: for
 * good, but they are few and small. Appends to @changed the ids of rooms to wake. */
static void
end_typing (CmEphemeral *ephemeral, gint64 now, GPtrArray *changed)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
  GHashTableIter rooms, typists;
  gpointer room_id, value, end;

  g_hash_table_iter_init (&rooms, ephemeral->rooms);
  while (g_hash_table_iter_next (&rooms, &room_id, &value)) {
    Room *room = value;
    gboolean ended = FALSE;
    g_hash_table_iter_init (&typists, room->typists);
    while (g_hash_table_iter_next (&typists, NULL, &end))
      if (*(gint64 *) end <= now) {
        g_hash_table_iter_remove (&typists);
        ended = TRUE;
      }
    if (!ended)
      continue;
    room->counter = ephemeral->typing_counter = ++ephemeral->counter;
    g_ptr_array_add (changed, g_strdup (room_id));
  }
}

/* Presence */

gboolean
cm_presence_is_state (const char *text)
{
  static const char *const states[] = { "online", "offline", "unavailable", NULL };

  return text != NULL && g_strv_contains (states, text);
}

void
cm_presence_free (CmPresence *presence)
{
  presence_clear (presence);
  g_free (presence);
}

CmPresence *
cm_presence_offline (const char *user_id)
{
  CmPresence *presence = g_new0 (CmPresence, 1);

  presence->user_id = g_strdup (user_id);
  presence->state = g_strdup ("offline");
  return presence;
}

void
cm_presence_put (CmJsonWriter *writer, const CmPresence *presence)
{
  gint64 ago = g_get_real_time () / 1000 - presence->last_active_ts;

  cm_json_put_text (writer, "presence", presence->state);
  cm_json_put_text (writer, "status_msg", presence->status_msg);
  if (presence->last_active_ts > 0)
    cm_json_put_integer (writer, "last_active_ago", MAX (ago, 0));
  cm_json_put_boolean (writer, "currently_active", presence->currently_active);
}

static CmPresence *
copy_presence (const CmPresence *presence)
{
  CmPresence *copy = g_memdup2 (presence, sizeof *presence);

  copy->user_id = g_strdup (presence->user_id);
  copy->state = g_strdup (presence->state);
  copy->status_msg = g_strdup (presence->status_msg);
  return copy;
}

/* One change of presence on its way to those whom it concerns. */
typedef struct {
  CmEphemeral *ephemeral;
  CmPresence *presence;
} News;

static void
news_free (News *news)
{
  cm_presence_free (news->presence);
  g_free (news);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (News, news_free)

static GBytes *
presence_edu (const CmPresence *presence)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "edu_type", "m.presence");
  cm_json_open_object (writer, "content");
  cm_json_open_array (writer, "push");
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "user_id", presence->user_id);
  cm_presence_put (writer, presence);
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

static void
send_presence (CmNode *node, const CmPresence *presence, const char *const *servers)
{
  g_autoptr (GBytes) edu = presence_edu (presence);
  g_autofree char *key = g_strjoin ("/", "presence", presence->user_id, NULL);

  for (gsize i = 0; servers[i] != NULL; i++)
    cm_destinations_ephemeral (node->destinations, servers[i], key, edu);
}

/* Only who shares a room may know (CVE-2023-43796). */
static gboolean
find_sharers (CmNode *node, const char *user_id, char ***users, char ***servers, GError **error)
{
  gint64 own = cm_sym (node->ids, node->server_name, error);
  gint64 user = own != 0 ? cm_sym (node->ids, user_id, error) : 0;
  g_autoptr (CmDb) db = user != 0 ? cm_pool_get (node->pool, error) : NULL;

  if (db == NULL)
    return FALSE;
  *users = cm_sync_local_sharers (db, user, error);
  *servers = *users != NULL ? cm_sync_servers_sharing (db, user, own, error) : NULL;
  return *servers != NULL;
}

static void
spread_presence (gpointer data)
{
  g_autoptr (News) news = data;
  CmNode *node = news->ephemeral->node;
  const char *user_id = news->presence->user_id;
  g_auto (GStrv) users = NULL, servers = NULL;
  g_autoptr (GError) error = NULL;

  if (!find_sharers (node, user_id, &users, &servers, &error)) {
    g_info ("The presence of %s is not told: %s", user_id, error->message);
    return;
  }
  cm_sync_hub_wake_user (node->sync, user_id);
  for (gsize i = 0; users[i] != NULL; i++)
    if (strcmp (users[i], user_id) != 0)
      cm_sync_hub_wake_user (node->sync, users[i]);
  if (node->destinations == NULL || !cm_id_domain_is (user_id, node->server_name))
    return;
  send_presence (node, news->presence, (const char *const *) servers);
}

static Person *
person_of (CmEphemeral *ephemeral, const char *user_id)
{
  Person *person = g_hash_table_lookup (ephemeral->people, user_id);

  if (person != NULL || g_hash_table_size (ephemeral->people) >= MAX_PRESENCES)
    return person;
  person = g_new0 (Person, 1);
  person->presence.user_id = g_strdup (user_id);
  person->presence.state = g_strdup ("offline");
  g_hash_table_insert (ephemeral->people, person->presence.user_id, person);
  return person;
}

/* (transfer full) what is to be told; NULL when nothing changed. */
static CmPresence *
change_presence (CmEphemeral *ephemeral, Person *person, const char *state, const char *status_msg,
                 gint64 last_active_ts)
{
  CmPresence *presence = &person->presence;
  gboolean same = strcmp (presence->state, state) == 0 &&
                  g_strcmp0 (presence->status_msg, status_msg) == 0 && presence->counter != 0;

  presence->last_active_ts = MAX (presence->last_active_ts, last_active_ts);
  presence->currently_active = strcmp (state, "online") == 0 &&
                               g_get_real_time () / 1000 - presence->last_active_ts < ACTIVE_FOR_MS;
  if (same)
    return NULL;
  g_autofree char *old_state = g_steal_pointer (&presence->state);
  g_autofree char *old_msg = g_steal_pointer (&presence->status_msg);
  presence->state = g_strdup (state);
  presence->status_msg = g_strdup (status_msg);
  presence->counter = ++ephemeral->counter;
  return copy_presence (presence);
}

static void
spread (CmEphemeral *ephemeral, CmPresence *presence)
{
  News *news = g_new (News, 1);

  *news = (News){ ephemeral, presence };
  if (!cm_lanes_push (ephemeral->node->lanes, CM_LANE_BACKGROUND, spread_presence, news))
    news_free (news);
}

void
cm_ephemeral_presence (CmEphemeral *ephemeral, const char *user_id, const char *state,
                       const char *status_msg, gint64 last_active_ts)
{
  CmPresence *news = NULL;
  {
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
    Person *person = person_of (ephemeral, user_id);
    if (person != NULL)
      news = change_presence (ephemeral, person, state, status_msg, last_active_ts);
    if (person != NULL && cm_id_domain_is (user_id, ephemeral->node->server_name))
      person->seen = g_get_monotonic_time ();
  }
  if (news != NULL)
    spread (ephemeral, news);
}

void
cm_ephemeral_seen (CmEphemeral *ephemeral, const char *user_id, const char *state)
{
  CmPresence *news = NULL;
  {
    g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
    Person *person = person_of (ephemeral, user_id);
    if (person == NULL)
      return;
    person->seen = g_get_monotonic_time ();
    news = change_presence (ephemeral, person, state, person->presence.status_msg,
                            g_get_real_time () / 1000);
  }
  if (news != NULL)
    spread (ephemeral, news);
}

CmPresence *
cm_ephemeral_presence_of (CmEphemeral *ephemeral, const char *user_id)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
  const Person *person = g_hash_table_lookup (ephemeral->people, user_id);

  return person != NULL ? copy_presence (&person->presence) : NULL;
}

gboolean
cm_ephemeral_tell (CmEphemeral *ephemeral, const char *user_id, const char *const *servers)
{
  g_autoptr (CmPresence) presence = cm_ephemeral_presence_of (ephemeral, user_id);

  if (presence == NULL || strcmp (presence->state, "offline") == 0)
    return FALSE;
  send_presence (ephemeral->node, presence, servers);
  return TRUE;
}

GPtrArray *
cm_ephemeral_presence_since (CmEphemeral *ephemeral, gint64 since)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
  GPtrArray *changed = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_presence_free);
  GHashTableIter iter;
  gpointer person;

  g_hash_table_iter_init (&iter, ephemeral->people);
  while (g_hash_table_iter_next (&iter, NULL, &person))
    if (((Person *) person)->presence.counter > since)
      g_ptr_array_add (changed, copy_presence (&((Person *) person)->presence));
  return changed;
}

/* Local users who are not offline and whose clients have been silent. */
static GPtrArray *
find_silent (CmEphemeral *ephemeral, gint64 now)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
  GPtrArray *silent = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer value;

  g_hash_table_iter_init (&iter, ephemeral->people);
  while (g_hash_table_iter_next (&iter, NULL, &value)) {
    const Person *person = value;
    if (person->seen != 0 && person->seen + OFFLINE_AFTER < now &&
        strcmp (person->presence.state, "offline") != 0)
      g_ptr_array_add (silent, g_strdup (person->presence.user_id));
  }
  return silent;
}

static void
end_presence (CmEphemeral *ephemeral, gint64 now)
{
  g_autoptr (GPtrArray) silent = find_silent (ephemeral, now);

  for (guint i = 0; i < silent->len; i++) {
    const char *user_id = g_ptr_array_index (silent, i);
    CmPresence *news = NULL;
    if (cm_sync_hub_is_polling (ephemeral->node->sync, user_id))
      continue;
    {
      g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);
      Person *person = g_hash_table_lookup (ephemeral->people, user_id);
      news = change_presence (ephemeral, person, "offline", person->presence.status_msg, 0);
    }
    if (news != NULL)
      spread (ephemeral, news);
  }
}

void
cm_ephemeral_tick (CmEphemeral *ephemeral)
{
  g_autoptr (GPtrArray) changed = g_ptr_array_new_with_free_func (g_free);
  gint64 now = g_get_monotonic_time ();

  end_typing (ephemeral, now, changed);
  for (guint i = 0; i < changed->len; i++)
    cm_sync_hub_wake_room (ephemeral->node->sync, g_ptr_array_index (changed, i));
  end_presence (ephemeral, now);
}
