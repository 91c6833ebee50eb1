#include "federation/auth-private.h"

#include "crypto/id.h"

#include <string.h>

/* An invite by a third party carries one signature; more tries than this are no honest mistake, and
 * each costs a verification. */
#define MAX_VERIFICATIONS 64

/* Rules of members are 5.x in version 12 and 4.x before. */
static gboolean
deny (const CmAuth *auth, const char *part, const char *why, GError **error)
{
  return cm_auth_deny (auth, 5, part, why, error);
}

static gboolean
is (const char *membership, const char *one)
{
  return strcmp (membership, one) == 0;
}

/* "invite" when the room says nothing; a rule that is no text is none that we know. */
static const char *
join_rule (const CmAuth *auth)
{
  const CmEvent *event = auth->lookup ("m.room.join_rules", "", auth->data);
  const CmJson *rule = event != NULL ? cm_json_get (event->content, "join_rule") : NULL;

  if (rule == NULL)
    return "invite";
  return cm_json_type (rule) == CM_JSON_STRING && cm_json_text (rule) != NULL ? cm_json_text (rule)
                                                                              : "";
}

/* 5.2: whether the signature is valid, the one who has the keys must find out (see cm_auth_check);
 * that it is there, we see. */
static gboolean
check_authoriser_signed (const CmAuth *auth, GError **error)
{
  const CmJson *authoriser = cm_json_get (auth->event->content, "join_authorised_via_users_server");

  if (authoriser == NULL)
    return TRUE;
  const char *user_id = cm_json_text (authoriser);
  const CmJson *signatures = cm_json_get_object (auth->event->json, "signatures");
  if (!cm_id_is_user (user_id) ||
      cm_json_length (cm_json_get_object (signatures, cm_id_domain (user_id))) == 0)
    return deny (auth, "2.1", "The join is not signed by the server that authorised it", error);
  return TRUE;
}

/* 5.3.1 */
static gboolean
is_first_join (const CmAuth *auth)
{
  const CmJson *prev = cm_json_get_array (auth->event->json, "prev_events");

  return cm_json_length (prev) == 1 &&
         g_strcmp0 (cm_json_text (cm_json_item (prev, 0)), auth->create->event_id) == 0 &&
         g_strcmp0 (auth->event->state_key, cm_auth_creator (auth->create)) == 0;
}

/* 5.3.5.2 */
static gboolean
check_authoriser (const CmAuth *auth, GError **error)
{
  const char *authoriser =
      cm_json_get_text (auth->event->content, "join_authorised_via_users_server");

  if (authoriser == NULL || !is (cm_auth_membership (auth, authoriser), "join") ||
      cm_auth_power_of (auth, authoriser) < cm_power_level (auth->power, "invite"))
    return deny (auth, "3.5.2", "The join is not authorised by one who may invite", error);
  return TRUE;
}

static gboolean
check_join (const CmAuth *auth, GError **error)
{
  const char *current = cm_auth_membership (auth, auth->event->state_key);
  const char *rule = join_rule (auth);
  gboolean welcome = is (current, "invite") || is (current, "join");

  if (is_first_join (auth))
    return TRUE;
  if (strcmp (auth->event->sender, auth->event->state_key) != 0)
    return deny (auth, "3.2", "One user cannot join for another", error);
  if (is (current, "ban"))
    return deny (auth, "3.3", "The user is banned", error);
  if (welcome && (is (rule, "invite") || is (rule, "knock")))
    return TRUE;
  if (is (rule, "restricted") || is (rule, "knock_restricted"))
    return welcome || check_authoriser (auth, error);
  if (is (rule, "public"))
    return TRUE;
  return deny (auth, "3.7", "The user is not invited", error);
}

/* Public keys of an invite may be written in either base64 alphabet (m.room.third_party_invite). */
static void
add_public_key (GPtrArray *keys, const char *key)
{
  if (key == NULL)
    return;
  char *standard = g_strdelimit (g_strdup (key), "-", '+');
  g_ptr_array_add (keys, g_strdelimit (standard, "_", '/'));
}

/* 5.4.1.7.1 and 5.4.1.7.2 */
static GPtrArray *
public_keys (const CmEvent *invite)
{
  GPtrArray *keys = g_ptr_array_new_with_free_func (g_free);
  const CmJson *item;
  CmJsonIter iter;

  add_public_key (keys, cm_json_get_text (invite->content, "public_key"));
  cm_json_iter_init (&iter, cm_json_get_array (invite->content, "public_keys"));
  while (cm_json_iter_next (&iter, NULL, &item))
    add_public_key (keys, cm_json_get_text (item, "public_key"));
  return keys;
}

/* 5.4.1.7: any signature by any of the keys. */
static gboolean
is_signed_by_any (const CmJson *signed_object, GPtrArray *keys)
{
  const CmJson *by_key;
  const char *entity, *key_id;
  guint tries = 0;
  CmJsonIter entities, ids;

  cm_json_iter_init (&entities, cm_json_get_object (signed_object, "signatures"));
  while (cm_json_iter_next (&entities, &entity, &by_key)) {
    cm_json_iter_init (&ids, by_key);
    while (ids.object && cm_json_iter_next (&ids, &key_id, NULL))
      for (guint i = 0; i < keys->len; i++) {
        if (++tries > MAX_VERIFICATIONS)
          return FALSE;
        if (cm_verify_json (signed_object, entity, key_id, g_ptr_array_index (keys, i), NULL))
          return TRUE;
      }
  }
  return FALSE;
}

/* 5.4.1 */
static gboolean
check_third_party_invite (const CmAuth *auth, const CmJson *third_party, GError **error)
{
  const CmEvent *event = auth->event;
  const CmJson *signed_object = cm_json_get_object (third_party, "signed");
  const char *mxid = cm_json_get_text (signed_object, "mxid");
  const char *token = cm_json_get_text (signed_object, "token");

  if (is (cm_auth_membership (auth, event->state_key), "ban"))
    return deny (auth, "4.1.1", "The user is banned", error);
  if (signed_object == NULL)
    return deny (auth, "4.1.2", "third_party_invite is not signed", error);
  if (mxid == NULL || token == NULL)
    return deny (auth, "4.1.3", "third_party_invite lacks mxid or token", error);
  if (strcmp (mxid, event->state_key) != 0)
    return deny (auth, "4.1.4", "third_party_invite is for another user", error);

  const CmEvent *invite = auth->lookup ("m.room.third_party_invite", token, auth->data);
  if (invite == NULL)
    return deny (auth, "4.1.5", "The room knows no such third_party_invite", error);
  if (strcmp (invite->sender, event->sender) != 0)
    return deny (auth, "4.1.6", "third_party_invite is by another sender", error);
  g_autoptr (GPtrArray) keys = public_keys (invite);
  if (!is_signed_by_any (signed_object, keys))
    return deny (auth, "4.1.8", "third_party_invite has no valid signature", error);
  return TRUE;
}

static gboolean
check_invite (const CmAuth *auth, GError **error)
{
  const CmEvent *event = auth->event;
  const CmJson *third_party = cm_json_get (event->content, "third_party_invite");
  const char *current = cm_auth_membership (auth, event->state_key);

  if (third_party != NULL)
    return check_third_party_invite (auth, third_party, error);
  if (!is (cm_auth_membership (auth, event->sender), "join"))
    return deny (auth, "4.2", "The sender is not in the room", error);
  if (is (current, "join") || is (current, "ban"))
    return deny (auth, "4.3", "The user is in the room or banned", error);
  if (cm_auth_power_of (auth, event->sender) < cm_power_level (auth->power, "invite"))
    return deny (auth, "4.5", "The sender may not invite", error);
  return TRUE;
}

static gboolean
check_leave (const CmAuth *auth, GError **error)
{
  const CmEvent *event = auth->event;
  const char *current = cm_auth_membership (auth, event->state_key);
  gint64 power = cm_auth_power_of (auth, event->sender);

  if (strcmp (event->sender, event->state_key) == 0)
    return is (current, "invite") || is (current, "join") || is (current, "knock") ||
           deny (auth, "5.1", "The user is not in the room", error);
  if (!is (cm_auth_membership (auth, event->sender), "join"))
    return deny (auth, "5.2", "The sender is not in the room", error);
  if (is (current, "ban") && power < cm_power_level (auth->power, "ban"))
    return deny (auth, "5.3", "The sender may not unban", error);
  if (power < cm_power_level (auth->power, "kick") ||
      cm_auth_power_of (auth, event->state_key) >= power)
    return deny (auth, "5.5", "The sender may not kick this user", error);
  return TRUE;
}

static gboolean
check_ban (const CmAuth *auth, GError **error)
{
  const CmEvent *event = auth->event;
  gint64 power = cm_auth_power_of (auth, event->sender);

  if (!is (cm_auth_membership (auth, event->sender), "join"))
    return deny (auth, "6.1", "The sender is not in the room", error);
  if (power < cm_power_level (auth->power, "ban") ||
      cm_auth_power_of (auth, event->state_key) >= power)
    return deny (auth, "6.3", "The sender may not ban this user", error);
  return TRUE;
}

static gboolean
check_knock (const CmAuth *auth, GError **error)
{
  const char *current = cm_auth_membership (auth, auth->event->state_key);
  const char *rule = join_rule (auth);

  if (!is (rule, "knock") && !is (rule, "knock_restricted"))
    return deny (auth, "7.1", "The room takes no knocks", error);
  if (strcmp (auth->event->sender, auth->event->state_key) != 0)
    return deny (auth, "7.2", "One user cannot knock for another", error);
  if (is (current, "ban") || is (current, "invite") || is (current, "join"))
    return deny (auth, "7.4", "The user is banned, invited or in the room", error);
  return TRUE;
}

static const struct {
  const char *membership;
  gboolean (*check) (const CmAuth *auth, GError **error);
} memberships[] = {
  { "join", check_join }, { "invite", check_invite }, { "leave", check_leave },
  { "ban", check_ban },   { "knock", check_knock },
};

gboolean
cm_auth_check_member (const CmAuth *auth, GError **error)
{
  const CmJson *membership = cm_json_get (auth->event->content, "membership");

  if (auth->event->state_key == NULL || membership == NULL)
    return deny (auth, "1", "m.room.member without state_key or membership", error);
  if (!check_authoriser_signed (auth, error))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (memberships); i++)
    if (g_strcmp0 (cm_json_text (membership), memberships[i].membership) == 0)
      return memberships[i].check (auth, error);
  return deny (auth, "8", "The membership is not known", error);
}
