#include "federation/event-private.h"

#include "crypto/base64.h"
#include "crypto/hash.h"

#include <string.h>

/* A transaction, an answer or a client's response puts an event some levels down, and readers stop
 * at CM_JSON_MAX_DEPTH: an event that came near it would spoil all that it is sent with. */
#define MAX_NESTING (CM_JSON_MAX_DEPTH - 8)

static const char *
find_redacts (const CmRoomVersion *version, const CmEvent *event)
{
  if (strcmp (event->type, "m.room.redaction") != 0)
    return NULL;
  return cm_json_get_text (version->redacts_in_content ? event->content : event->json, "redacts");
}

CmEvent *
cm_event_from_bytes (const CmRoomVersion *version, GBytes *bytes, GError **error)
{
  g_autoptr (CmEvent) event = g_new0 (CmEvent, 1);

  g_atomic_ref_count_init (&event->refs);
  event->version = version;
  event->bytes = g_bytes_ref (bytes);
  event->doc = cm_json_parse_bytes (bytes, error);
  if (event->doc == NULL)
    return NULL;
  event->json = cm_json_doc_root (event->doc);
  event->type = cm_json_get_text (event->json, "type");
  event->sender = cm_json_get_text (event->json, "sender");
  event->content = cm_json_get_object (event->json, "content");
  if (event->type == NULL || event->sender == NULL || event->content == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "Event without type, sender or content");
    return NULL;
  }
  event->state_key = cm_json_get_text (event->json, "state_key");
  event->redacts = find_redacts (version, event);
  event->depth = cm_json_get_integer (event->json, "depth", 0);
  event->origin_server_ts = cm_json_get_integer (event->json, "origin_server_ts", 0);
  return g_steal_pointer (&event);
}

/* MSC4291: a version 12 room is named by the reference hash of its create event. */
static gboolean
set_room_id (CmEvent *event, GError **error)
{
  const char *room_id = cm_json_get_text (event->json, "room_id");

  if (event->version->room_id_is_create_hash && strcmp (event->type, "m.room.create") == 0)
    event->room_id = g_strconcat ("!", event->event_id + 1, NULL);
  else
    event->room_id = g_strdup (room_id);
  if (event->room_id != NULL)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "Event without room_id");
  return FALSE;
}

/* rooms/v4, "Event IDs": "$" and the reference hash. */
static char *
reference_id (const CmEvent *event)
{
  g_autoptr (GBytes) payload = cm_event_signed_payload (event);
  guint8 digest[CM_SHA256_SIZE];

  cm_sha256 (g_bytes_get_data (payload, NULL), g_bytes_get_size (payload), digest);
  g_autofree char *hash = cm_base64url_encode (digest, sizeof digest);
  return g_strconcat ("$", hash, NULL);
}

/* How deep the containers of @text lie. It is canonical JSON, so that every quote in it either ends
 * a string or has a backslash before it. */
static guint
measure_nesting (const char *text, gsize length)
{
  gboolean in_string = FALSE;
  guint depth = 0, deepest = 0;

  for (gsize i = 0; i < length; i++) {
    if (text[i] == '"')
      in_string = !in_string;
    else if (in_string)
      i += text[i] == '\\';
    else if (text[i] == '{' || text[i] == '[')
      depth++;
    else if (text[i] == '}' || text[i] == ']')
      depth--;
    deepest = MAX (deepest, depth);
  }
  return deepest;
}

/* Most events open so few containers in all that there is nothing to measure. */
static gboolean
is_too_nested (GBytes *bytes)
{
  gsize length, openers = 0;
  const char *text = g_bytes_get_data (bytes, &length);

  for (gsize i = 0; i < length; i++)
    openers += (text[i] | 0x20) == '{';
  return openers > MAX_NESTING && measure_nesting (text, length) > MAX_NESTING;
}

CmEvent *
cm_event_parse (const CmRoomVersion *version, const CmJson *json, GError **error)
{
  static const char *const unproven[] = { "unsigned", NULL };

  if (cm_json_type (json) != CM_JSON_OBJECT) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "An event must be an object");
    return NULL;
  }
  /* rooms/v6, "Canonical JSON" */
  g_autoptr (GBytes) bytes = cm_json_canonical (json, unproven, error);
  if (bytes == NULL)
    return NULL;
  if (g_bytes_get_size (bytes) > CM_EVENT_MAX_BYTES) {
    g_set_error (error, CM_ERROR, CM_ERROR_TOO_LARGE, "Event larger than %d bytes",
                 CM_EVENT_MAX_BYTES);
    return NULL;
  }
  if (is_too_nested (bytes)) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "Event nested too deeply");
    return NULL;
  }
  if (!cm_event_check_format (version, json, error))
    return NULL;

  g_autoptr (CmEvent) event = cm_event_from_bytes (version, bytes, error);
  if (event == NULL)
    return NULL;
  event->event_id = reference_id (event);
  if (!set_room_id (event, error))
    return NULL;
  return g_steal_pointer (&event);
}

CmEvent *
cm_event_load (const CmRoomVersion *version, GBytes *bytes, const char *event_id, GError **error)
{
  g_autoptr (CmEvent) event = cm_event_from_bytes (version, bytes, error);

  if (event == NULL)
    return NULL;
  event->event_id = g_strdup (event_id);
  if (!set_room_id (event, error))
    return NULL;
  return g_steal_pointer (&event);
}

CmEvent *
cm_event_ref (CmEvent *event)
{
  g_atomic_ref_count_inc (&event->refs);
  return event;
}

void
cm_event_unref (CmEvent *event)
{
  if (event == NULL || !g_atomic_ref_count_dec (&event->refs))
    return;
  g_clear_pointer (&event->doc, cm_json_doc_unref);
  g_clear_pointer (&event->bytes, g_bytes_unref);
  g_clear_pointer (&event->auth, g_array_unref);
  g_clear_pointer (&event->prev, g_array_unref);
  g_free (event->event_id);
  g_free (event->room_id);
  g_free (event->redacted_because);
  g_free (event);
}

gboolean
cm_event_is (const CmEvent *event, const char *type, const char *state_key)
{
  return event != NULL && strcmp (event->type, type) == 0 &&
         g_strcmp0 (event->state_key, state_key) == 0;
}

const char *
cm_event_membership (const CmEvent *event)
{
  if (event == NULL || strcmp (event->type, "m.room.member") != 0)
    return NULL;
  return cm_json_get_text (event->content, "membership");
}

CmEvent *
cm_event_redact (const CmEvent *event, const char *because, GError **error)
{
  g_autoptr (GBytes) bytes = cm_redaction_apply (event->version->redaction, event->json, NULL);
  CmEvent *pruned = cm_event_from_bytes (event->version, bytes, error);

  if (pruned == NULL)
    return NULL;
  pruned->event_id = g_strdup (event->event_id);
  pruned->room_id = g_strdup (event->room_id);
  pruned->number = event->number;
  pruned->position = event->position;
  pruned->state_before = event->state_before;
  pruned->state_after = event->state_after;
  pruned->type_sym = event->type_sym;
  pruned->state_key_sym = event->state_key_sym;
  pruned->sender_sym = event->sender_sym;
  pruned->room_sym = event->room_sym;
  pruned->flags = event->flags | CM_EVENT_REDACTED;
  pruned->auth = event->auth != NULL ? g_array_ref (event->auth) : NULL;
  pruned->prev = event->prev != NULL ? g_array_ref (event->prev) : NULL;
  pruned->redacted_because = g_strdup (because);
  return pruned;
}

gboolean
cm_event_hash_matches (const CmEvent *event)
{
  static const char *const unhashed[] = { "hashes", "signatures", "unsigned", NULL };
  const char *claimed = cm_json_get_text (cm_json_get (event->json, "hashes"), "sha256");
  g_autoptr (GBytes) bytes = cm_json_canonical (event->json, unhashed, NULL);
  guint8 expected[CM_SHA256_SIZE], digest[CM_SHA256_SIZE];

  if (claimed == NULL || bytes == NULL ||
      !cm_base64_decode_exact (claimed, expected, sizeof expected))
    return FALSE;
  cm_sha256 (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), digest);
  return memcmp (digest, expected, sizeof digest) == 0;
}

GBytes *
cm_event_signed_payload (const CmEvent *event)
{
  return cm_redaction_apply (event->version->redaction, event->json, "signatures");
}
