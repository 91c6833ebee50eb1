#include "federation/auth-private.h"

#include "crypto/id.h"

#include <string.h>

/* What each level is when m.room.power_levels, or the room, does not say (CVE-2022-36009). */
static const struct {
  const char *field;
  gint64 fallback;
} levels[] = {
  { "ban", 50 },    { "events_default", 0 }, { "invite", 0 },        { "kick", 50 },
  { "redact", 50 }, { "state_default", 50 }, { "users_default", 0 },
};

#define NOTIFY_FALLBACK  50
#define CREATOR_FALLBACK 100 /* of a room without m.room.power_levels, to version 11 */

static const CmJson *
content_of (const CmEvent *event)
{
  return event != NULL ? event->content : NULL;
}

const char *
cm_auth_creator (const CmEvent *create)
{
  if (create->version->create_has_creator)
    return cm_json_get_text (create->content, "creator");
  return create->sender;
}

gboolean
cm_auth_is_creator (const CmEvent *create, const char *user_id)
{
  const CmJson *item;
  CmJsonIter iter;

  if (strcmp (create->sender, user_id) == 0)
    return TRUE;
  cm_json_iter_init (&iter, cm_json_get_array (create->content, "additional_creators"));
  while (cm_json_iter_next (&iter, NULL, &item))
    if (g_strcmp0 (cm_json_text (item), user_id) == 0)
      return TRUE;
  return FALSE;
}

gint64
cm_power_of_user (const CmEvent *power, const CmEvent *create, const char *user_id)
{
  gint64 level;

  if (create != NULL && create->version->creators_are_privileged &&
      cm_auth_is_creator (create, user_id))
    return CM_POWER_INFINITE;
  if (power == NULL)
    return create != NULL && g_strcmp0 (cm_auth_creator (create), user_id) == 0 ? CREATOR_FALLBACK
                                                                                : 0;
  if (cm_json_integer (cm_json_get (cm_json_get (power->content, "users"), user_id), &level))
    return level;
  return cm_power_level (power, "users_default");
}

gint64
cm_power_level (const CmEvent *power, const char *field)
{
  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++)
    if (strcmp (levels[i].field, field) == 0)
      return cm_json_get_integer (content_of (power), field, levels[i].fallback);
  return CM_POWER_INFINITE;
}

gint64
cm_power_to_send (const CmEvent *power, const char *type, gboolean state)
{
  gint64 level;

  if (cm_json_integer (cm_json_get (cm_json_get (content_of (power), "events"), type), &level))
    return level;
  return cm_power_level (power, state ? "state_default" : "events_default");
}

gint64
cm_power_to_notify (const CmEvent *power, const char *notification)
{
  const CmJson *notifications = cm_json_get (content_of (power), "notifications");
  return cm_json_get_integer (notifications, notification, NOTIFY_FALLBACK);
}

/* @part in version 12, where rule 10.4 was put in; @old_part in the versions before (9.x). */
static gboolean
deny (const CmAuth *auth, const char *part, const char *old_part, const char *why, GError **error)
{
  gboolean has_10_4 = auth->event->version->creators_are_privileged;
  return cm_auth_deny (auth, 10, has_10_4 ? part : old_part, why, error);
}

/* An object whose values are integers, or nothing. */
static gboolean
is_level_map (const CmJson *map)
{
  const CmJson *value;
  CmJsonIter iter;

  if (map == NULL)
    return TRUE;
  if (cm_json_type (map) != CM_JSON_OBJECT)
    return FALSE;
  cm_json_iter_init (&iter, map);
  while (cm_json_iter_next (&iter, NULL, &value))
    if (cm_json_type (value) != CM_JSON_INTEGER)
      return FALSE;
  return TRUE;
}

static gboolean
are_keys_user_ids (const CmJson *map)
{
  CmJsonIter iter;

  cm_json_iter_init (&iter, map);
  while (cm_json_iter_next (&iter, NULL, NULL))
    if (!cm_id_is_user (cm_json_text (iter.key)))
      return FALSE;
  return TRUE;
}

static gboolean
names_creator (const CmAuth *auth, const CmJson *users)
{
  const CmJson *item;
  CmJsonIter iter;

  if (cm_json_get (users, auth->create->sender) != NULL)
    return TRUE;
  cm_json_iter_init (&iter, cm_json_get_array (auth->create->content, "additional_creators"));
  while (cm_json_iter_next (&iter, NULL, &item))
    if (cm_json_text (item) != NULL && cm_json_get (users, cm_json_text (item)) != NULL)
      return TRUE;
  return FALSE;
}

/* 10.1 to 10.4 */
static gboolean
check_shape (const CmAuth *auth, GError **error)
{
  const CmJson *content = auth->event->content;
  const CmJson *users = cm_json_get (content, "users");

  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++) {
    const CmJson *level = cm_json_get (content, levels[i].field);
    if (level != NULL && cm_json_type (level) != CM_JSON_INTEGER)
      return deny (auth, "1", "1", "Power levels must be integers", error);
  }
  if (!is_level_map (cm_json_get (content, "events")) ||
      !is_level_map (cm_json_get (content, "notifications")))
    return deny (auth, "2", "2", "Power levels of events must be integers", error);
  if (!is_level_map (users) || !are_keys_user_ids (users))
    return deny (auth, "3", "3", "Power levels of users must be integers by user id", error);
  if (auth->event->version->creators_are_privileged && names_creator (auth, users))
    return deny (auth, "4", NULL, "Creators of the room have no power level", error);
  return TRUE;
}

static gboolean
is_above (const CmJson *level, gint64 limit)
{
  gint64 value;
  return cm_json_integer (level, &value) && value > limit;
}

/* Are both there with one value, or both absent? */
static gboolean
is_same (const CmJson *old_level, const CmJson *new_level)
{
  gint64 x, y;
  gboolean has_old = cm_json_integer (old_level, &x), has_new = cm_json_integer (new_level, &y);
  return has_old == has_new && (!has_old || x == y);
}

/* 10.6 */
static gboolean
check_fields (const CmAuth *auth, gint64 power, GError **error)
{
  for (gsize i = 0; i < G_N_ELEMENTS (levels); i++) {
    const CmJson *old_level = cm_json_get (auth->power->content, levels[i].field);
    const CmJson *new_level = cm_json_get (auth->event->content, levels[i].field);
    if (is_same (old_level, new_level))
      continue;
    if (is_above (old_level, power))
      return deny (auth, "6.1", "5.1", "The sender may not change so high a level", error);
    if (is_above (new_level, power))
      return deny (auth, "6.2", "5.2", "The sender may not set so high a level", error);
  }
  return TRUE;
}

/* 10.7 and 10.8 */
static gboolean
check_event_change (const CmAuth *auth, const char *key, const CmJson *old_level,
                    const CmJson *new_level, gint64 power, GError **error)
{
  if (is_above (old_level, power))
    return deny (auth, "7.1", "6.1", "The sender may not change so high a level", error);
  if (is_above (new_level, power))
    return deny (auth, "8.1", "7.1", "The sender may not set so high a level", error);
  return TRUE;
}

/* 10.9 and the first 10.10 */
static gboolean
check_user_change (const CmAuth *auth, const char *key, const CmJson *old_level,
                   const CmJson *new_level, gint64 power, GError **error)
{
  gboolean own = strcmp (key, auth->event->sender) == 0;
  gint64 value;

  if (!own && cm_json_integer (old_level, &value) && value >= power)
    return deny (auth, "9.1", "8.1", "The sender may not change the level of this user", error);
  if (is_above (new_level, power))
    return deny (auth, "10.1", "9.1", "The sender may not set so high a level", error);
  return TRUE;
}

typedef gboolean (*ChangeCheck) (const CmAuth *auth, const char *key, const CmJson *old_level,
                                 const CmJson *new_level, gint64 power, GError **error);

typedef struct {
  CmJsonIter iter;
  const char *key;
  const CmJson *value;
  gboolean more;
} Cursor;

static void
advance (Cursor *cursor)
{
  cursor->more = cm_json_iter_next (&cursor->iter, &cursor->key, &cursor->value);
}

static int
compare_cursors (const Cursor *a, const Cursor *b)
{
  gsize a_length, b_length;

  if (!a->more || !b->more)
    return b->more - a->more;
  const char *x = cm_json_string (a->iter.key, &a_length);
  const char *y = cm_json_string (b->iter.key, &b_length);
  int order = memcmp (x, y, MIN (a_length, b_length));
  return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

/* Both objects are in canonical order, so that one walk along them finds every change: an event
 * holds thousands of entries, and a search for each would be quadratic. */
static gboolean
check_map (const CmAuth *auth, const char *name, ChangeCheck check, gint64 power, GError **error)
{
  Cursor present = { 0 }, wanted = { 0 };

  cm_json_iter_init (&present.iter, cm_json_get_object (auth->power->content, name));
  cm_json_iter_init (&wanted.iter, cm_json_get_object (auth->event->content, name));
  advance (&present);
  advance (&wanted);
  while (present.more || wanted.more) {
    int order = compare_cursors (&present, &wanted);
    const CmJson *old_level = order <= 0 ? present.value : NULL;
    const CmJson *new_level = order >= 0 ? wanted.value : NULL;
    const char *key = order <= 0 ? present.key : wanted.key;
    if (!is_same (old_level, new_level) && !check (auth, key, old_level, new_level, power, error))
      return FALSE;
    if (order <= 0)
      advance (&present);
    if (order >= 0)
      advance (&wanted);
  }
  return TRUE;
}

gboolean
cm_auth_check_power_levels (const CmAuth *auth, GError **error)
{
  gint64 power = cm_auth_power_of (auth, auth->event->sender);

  if (!check_shape (auth, error))
    return FALSE;
  /* 10.5 */
  if (auth->power == NULL)
    return TRUE;
  return check_fields (auth, power, error) &&
         check_map (auth, "events", check_event_change, power, error) &&
         check_map (auth, "notifications", check_event_change, power, error) &&
         check_map (auth, "users", check_user_change, power, error);
}
