#include "federation/auth-private.h"

#include "crypto/id.h"

#include <string.h>

gboolean
cm_auth_deny (const CmAuth *auth, guint rule, const char *part, const char *why, GError **error)
{
  gboolean has_rule_2 = auth->event->version->room_id_is_create_hash;

  g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "%s (rule %u%s%s)", why,
               rule > 2 && !has_rule_2 ? rule - 1 : rule, part != NULL ? "." : "",
               part != NULL ? part : "");
  return FALSE;
}

const char *
cm_auth_membership (const CmAuth *auth, const char *user_id)
{
  const char *membership =
      cm_event_membership (auth->lookup ("m.room.member", user_id, auth->data));
  return membership != NULL ? membership : "leave";
}

gint64
cm_auth_power_of (const CmAuth *auth, const char *user_id)
{
  return cm_power_of_user (auth->power, auth->create, user_id);
}

/* Rule 1.4 of version 12: user ids, by the same measure as sender. */
static gboolean
are_user_ids (const CmJson *list)
{
  const CmJson *item;
  CmJsonIter iter;

  if (cm_json_type (list) != CM_JSON_ARRAY)
    return FALSE;
  cm_json_iter_init (&iter, list);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (!cm_id_is_user (cm_json_text (item)))
      return FALSE;
  return TRUE;
}

static gboolean
check_create_room_id (const CmAuth *auth, GError **error)
{
  const CmEvent *event = auth->event;
  const char *domain = cm_id_domain (event->room_id);

  if (event->version->room_id_is_create_hash) {
    if (cm_json_get (event->json, "room_id") != NULL)
      return cm_auth_deny (auth, 1, "2", "m.room.create must have no room_id", error);
  } else if (domain == NULL || g_strcmp0 (domain, cm_id_domain (event->sender)) != 0) {
    return cm_auth_deny (auth, 1, "2", "The room id is of another server than the sender", error);
  }
  return TRUE;
}

/* Rule 1. */
static gboolean
check_create (const CmAuth *auth, GError **error)
{
  const CmEvent *event = auth->event;
  const CmJson *room_version = cm_json_get (event->content, "room_version");
  const CmJson *more_creators = cm_json_get (event->content, "additional_creators");

  if (cm_json_length (cm_json_get (event->json, "prev_events")) > 0)
    return cm_auth_deny (auth, 1, "1", "m.room.create must come first", error);
  if (!check_create_room_id (auth, error))
    return FALSE;
  /* It is judged by the rules of the version it names, or is pruned and names none. */
  if (room_version != NULL && g_strcmp0 (cm_json_text (room_version), event->version->name) != 0)
    return cm_auth_deny (auth, 1, "3", "The room version is not known", error);
  if (event->version->create_has_creator && cm_json_get (event->content, "creator") == NULL)
    return cm_auth_deny (auth, 1, "4", "m.room.create must name a creator", error);
  if (event->version->creators_are_privileged && more_creators != NULL &&
      !are_user_ids (more_creators))
    return cm_auth_deny (auth, 1, "4", "additional_creators must be user ids", error);
  return TRUE;
}

/* Rule 2 of version 12; in versions 10 and 11 rules 2.4 and 2.5 ask the same of the auth events. */
static gboolean
check_room (const CmAuth *auth, GError **error)
{
  gboolean hashed = auth->event->version->room_id_is_create_hash;

  if (auth->create == NULL || (auth->create->flags & CM_EVENT_REJECTED) != 0)
    return cm_auth_deny (auth, hashed ? 2 : 3, hashed ? NULL : "4", "The room has no m.room.create",
                         error);
  if (strcmp (auth->create->room_id, auth->event->room_id) != 0)
    return cm_auth_deny (auth, hashed ? 2 : 3, hashed ? NULL : "5", "The event is of another room",
                         error);
  return TRUE;
}

/* Rule 4 (3). */
static gboolean
check_federate (const CmAuth *auth, GError **error)
{
  if (cm_json_get_boolean (auth->create->content, "m.federate", TRUE) ||
      g_strcmp0 (cm_id_domain (auth->event->sender), cm_id_domain (auth->create->sender)) == 0)
    return TRUE;
  return cm_auth_deny (auth, 4, NULL, "The room is not open to other servers", error);
}

gboolean
cm_auth_check (const CmEvent *event, CmAuthLookup lookup, gpointer data, GError **error)
{
  CmAuth auth = { .event = event, .lookup = lookup, .data = data };
  gboolean is_state = event->state_key != NULL;

  if (strcmp (event->type, "m.room.create") == 0)
    return check_create (&auth, error);
  auth.create = lookup ("m.room.create", "", data);
  auth.power = lookup ("m.room.power_levels", "", data);
  if (!check_room (&auth, error) || !check_federate (&auth, error))
    return FALSE;
  if (strcmp (event->type, "m.room.member") == 0)
    return cm_auth_check_member (&auth, error);

  /* Rules 6 to 11 (5 to 10). */
  if (strcmp (cm_auth_membership (&auth, event->sender), "join") != 0)
    return cm_auth_deny (&auth, 6, NULL, "The sender is not in the room", error);
  gint64 power = cm_auth_power_of (&auth, event->sender);
  if (strcmp (event->type, "m.room.third_party_invite") == 0)
    return power >= cm_power_level (auth.power, "invite") ||
           cm_auth_deny (&auth, 7, "1", "The sender may not invite", error);
  if (power < cm_power_to_send (auth.power, event->type, is_state))
    return cm_auth_deny (&auth, 8, NULL, "The sender may not send events of this type", error);
  if (is_state && event->state_key[0] == '@' && strcmp (event->state_key, event->sender) != 0)
    return cm_auth_deny (&auth, 9, NULL, "The state key is another user's", error);
  if (strcmp (event->type, "m.room.power_levels") == 0)
    return cm_auth_check_power_levels (&auth, error);
  return TRUE;
}
