/* Who must have signed an event, and whether he has (server-server, "Validating hashes and
 * signatures on received events"). */
#include "federation/intake-private.h"

#include "crypto/id.h"

#include <string.h>

/* An event may bear any number of signatures; of one server's so many are looked at. */
#define MAX_KEYS 4

/* From so many events on the work is worth a second thread. */
#define SHARE_FROM 32

/* An invite that a third party's token stands for need not be signed by the server of its sender,
 * who was away when the token was used: the rules check the third party's signature. */
static gboolean
is_third_party_invite (const CmEvent *event)
{
  return g_strcmp0 (cm_event_membership (event), "invite") == 0 &&
         cm_json_get_object (cm_json_get_object (event->content, "third_party_invite"), "signed") !=
             NULL;
}

/* rooms/v8: the server of the user who vouches for a restricted join signs it too. */
static const char *
authorising_server (const CmEvent *event)
{
  const char *user = cm_json_get_text (event->content, "join_authorised_via_users_server");

  return g_strcmp0 (cm_event_membership (event), "join") == 0 ? cm_id_domain (user) : NULL;
}

/* A policy server signs with a key that servers do not publish ("Validating policy server
 * signatures"). */
static gboolean
is_of_server (const char *key_id)
{
  return g_str_has_prefix (key_id, "ed25519:") && strcmp (key_id, "ed25519:policy_server") != 0;
}

/* "If a signature is from an unknown or expired key, it is skipped"; of the others none may be
 * wrong, and there must be one. */
gboolean
cm_intake_is_signed_by (CmIntake *intake, const CmEvent *event, const char *server)
{
  const CmJson *signatures =
      cm_json_get_object (cm_json_get_object (event->json, "signatures"), server);
  const CmJson *signature;
  const char *key_id;
  gboolean is_signed = FALSE;
  CmJsonIter iter;
  guint tried = 0;

  g_autoptr (GBytes) payload = signatures != NULL ? cm_event_signed_payload (event) : NULL;
  cm_json_iter_init (&iter, signatures);
  while (tried < MAX_KEYS && cm_json_iter_next (&iter, &key_id, &signature)) {
    if (!is_of_server (key_id))
      continue;
    tried++;
    g_autofree char *key = cm_key_ring_get (intake->parts.keys, server, key_id,
                                            MAX (event->origin_server_ts, 1), NULL);
    if (key == NULL)
      continue;
    if (!cm_ed25519_verify (key, cm_json_text (signature), g_bytes_get_data (payload, NULL),
                            g_bytes_get_size (payload)))
      return FALSE;
    is_signed = TRUE;
  }
  return is_signed;
}

static gboolean
check_signatures (CmIntake *intake, const CmEvent *event, const char *countersigner, GError **error)
{
  const char *sender = cm_id_domain (event->sender);
  const char *authority = authorising_server (event);

  if (!is_third_party_invite (event) && !cm_intake_is_signed_by (intake, event, sender)) {
    g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "The event is not signed by %s", sender);
    return FALSE;
  }
  if (authority == NULL || g_strcmp0 (authority, countersigner) == 0 ||
      strcmp (authority, sender) == 0 || cm_intake_is_signed_by (intake, event, authority))
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_FORBIDDEN, "The event is not signed by %s", authority);
  return FALSE;
}

/* Signatures and, for a content that is not the one that was hashed, the pruned form. @event is
 * taken. */
static CmEvent *
prove (CmIntake *intake, CmEvent *event, const char *countersigner, GError **error)
{
  g_autoptr (CmEvent) parsed = event;

  if (!check_signatures (intake, parsed, countersigner, error))
    return NULL;
  if (cm_event_hash_matches (parsed))
    return g_steal_pointer (&parsed);
  g_debug ("Event %s has another content than was hashed", parsed->event_id);
  return cm_event_redact (parsed, NULL, error);
}

CmEvent *
cm_intake_verify_but (CmIntake *intake, const CmRoomVersion *version, const CmJson *pdu,
                      const char *countersigner, GError **error)
{
  CmEvent *event = cm_event_parse (version, pdu, error);

  return event != NULL ? prove (intake, event, countersigner, error) : NULL;
}

CmEvent *
cm_intake_verify (CmIntake *intake, const CmRoomVersion *version, const CmJson *pdu, GError **error)
{
  return cm_intake_verify_but (intake, version, pdu, NULL, error);
}

CmEvent *
cm_event_renew (const CmEvent *event, GError **error)
{
  CmEvent *fresh = cm_event_parse (event->version, event->json, error);

  if (fresh != NULL)
    fresh->flags = event->flags & CM_EVENT_REDACTED;
  return fresh;
}

/* Every other one of some events. */
typedef struct {
  CmIntake *intake;
  CmEvent **events;
  GError **errors; /* nullable */
  gsize first, count;
} Share;

static gpointer
verify_share (gpointer data)
{
  const Share *share = data;

  for (gsize i = share->first; i < share->count; i += 2) {
    g_autoptr (GError) failure = NULL;
    if (share->events[i] == NULL)
      continue;
    share->events[i] = prove (share->intake, share->events[i], NULL, &failure);
    if (share->events[i] == NULL)
      g_debug ("Event refused: %s", failure->message);
    if (share->errors != NULL && failure != NULL)
      share->errors[i] = g_steal_pointer (&failure);
  }
  return NULL;
}

static void
want_keys (GPtrArray *servers, GPtrArray *key_ids, GHashTable *seen, const CmEvent *event,
           const char *server)
{
  const CmJson *signatures =
      cm_json_get_object (cm_json_get_object (event->json, "signatures"), server);
  CmJsonIter iter;
  const char *key_id;

  cm_json_iter_init (&iter, signatures);
  for (guint i = 0; i < MAX_KEYS && cm_json_iter_next (&iter, &key_id, NULL); i++) {
    if (!is_of_server (key_id) || !g_hash_table_add (seen, g_strjoin (" ", server, key_id, NULL)))
      continue;
    g_ptr_array_add (servers, (char *) server);
    g_ptr_array_add (key_ids, (char *) key_id);
  }
}

static void
fetch_keys (CmIntake *intake, CmEvent *const *events, gsize count)
{
  g_autoptr (GPtrArray) servers = g_ptr_array_new (), key_ids = g_ptr_array_new ();
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (gsize i = 0; i < count; i++) {
    const char *authority = events[i] != NULL ? authorising_server (events[i]) : NULL;
    if (events[i] != NULL)
      want_keys (servers, key_ids, seen, events[i], cm_id_domain (events[i]->sender));
    if (authority != NULL)
      want_keys (servers, key_ids, seen, events[i], authority);
  }
  if (servers->len > 0)
    cm_key_ring_prefetch (intake->parts.keys, (const char *const *) servers->pdata,
                          (const char *const *) key_ids->pdata, servers->len);
}

CmEvent *
cm_event_parse_of_room (const CmRoomVersion *version, const char *room_id, const CmJson *pdu,
                        GError **error)
{
  g_autoptr (CmEvent) event = cm_event_parse (version, pdu, error);

  if (event == NULL || strcmp (event->room_id, room_id) == 0)
    return g_steal_pointer (&event);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, "The event is of another room");
  return NULL;
}

void
cm_intake_prove_all (CmIntake *intake, GPtrArray *events, GError **errors)
{
  CmEvent **items = (CmEvent **) events->pdata;
  gsize count = events->len;

  fetch_keys (intake, items, count);
  Share shares[2] = {
    { intake, items, errors, 0, count },
    { intake, items, errors, 1, count },
  };
  GThread *helper = count >= SHARE_FROM ? g_thread_new ("verify", verify_share, &shares[1]) : NULL;
  verify_share (&shares[0]);
  if (helper != NULL)
    g_thread_join (helper);
  else
    verify_share (&shares[1]);
}
