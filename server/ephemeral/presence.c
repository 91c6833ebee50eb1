#include "server/ephemeral/presence.h"

#include "crypto/id.h"
#include "federation/destinations.h"
#include "schema/sync.h"
#include "server/ephemeral/ephemeral-private.h"
#include "server/router/lanes.h"
#include "server/sync/hub.h"

#include <string.h>

/* How long without any sync until a user counts as gone, and how long something done counts as
 * activity. */
#define OFFLINE_AFTER (60 * G_TIME_SPAN_SECOND)
#define ACTIVE_FOR_MS (5 * 60 * 1000)
#define MAX_PRESENCES 200000

typedef struct {
  CmPresence presence;
  gint64 seen; /* monotonic time of the last sync; 0: a user of another server, or never */
} Person;

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

GHashTable *
cm_presence_people_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, NULL, free_person);
}

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

/* People of this server always have a place: how many they are it decides itself. */
static Person *
person_of (CmEphemeral *ephemeral, const char *user_id)
{
  Person *person = g_hash_table_lookup (ephemeral->people, user_id);

  if (person != NULL || (g_hash_table_size (ephemeral->people) >= MAX_PRESENCES &&
                         !cm_id_domain_is (user_id, ephemeral->node->server_name)))
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

gboolean
cm_ephemeral_is_crowded (CmEphemeral *ephemeral)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&ephemeral->mutex);

  return g_hash_table_size (ephemeral->people) >= MAX_PRESENCES / 2;
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
  GPtrArray *changed = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer user_id, person;

  g_hash_table_iter_init (&iter, ephemeral->people);
  while (g_hash_table_iter_next (&iter, &user_id, &person))
    if (((Person *) person)->presence.counter > since)
      g_ptr_array_add (changed, g_strdup (user_id));
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

void
cm_presence_tick (CmEphemeral *ephemeral, gint64 now)
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
