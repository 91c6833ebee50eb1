#include "federation/event-private.h"

#include "crypto/id.h"

#include <string.h>

/* A member that is a text without U+0000, and at most 255 bytes (client-server, "Size limits"). */
static gboolean
get_text (const CmJson *json, const char *key, const char **text, GError **error)
{
  const CmJson *node = cm_json_get (json, key);

  *text = cm_json_text (node);
  if (*text == NULL)
    return cm_fail (error, CM_ERROR_BAD_JSON, "Event %s must be a string without U+0000", key);
  if (cm_json_length (node) > CM_ID_MAX_BYTES) {
    g_set_error (error, CM_ERROR, CM_ERROR_TOO_LARGE, "Event %s longer than %d bytes", key,
                 CM_ID_MAX_BYTES);
    return FALSE;
  }
  return TRUE;
}

static gboolean
check_room_id (const CmRoomVersion *version, const CmJson *json, const char *type, GError **error)
{
  const char *room_id;

  /* rooms/v12, "Event format": all events but m.room.create have one. */
  if (version->room_id_is_create_hash && strcmp (type, "m.room.create") == 0) {
    if (cm_json_get (json, "room_id") != NULL)
      return cm_fail (error, CM_ERROR_BAD_JSON,
                      "m.room.create must have no room_id in room version %s", version->name);
    return TRUE;
  }
  if (!get_text (json, "room_id", &room_id, error))
    return FALSE;
  return cm_id_is_room (room_id) ||
         cm_fail (error, CM_ERROR_BAD_JSON, "Event room_id is no room id");
}

static gboolean
check_texts (const CmRoomVersion *version, const CmJson *json, GError **error)
{
  const char *type, *sender, *state_key;

  if (!get_text (json, "type", &type, error) || !get_text (json, "sender", &sender, error))
    return FALSE;
  if (!cm_id_is_user (sender))
    return cm_fail (error, CM_ERROR_BAD_JSON, "Event sender is no user id");
  if (cm_json_get (json, "state_key") != NULL && !get_text (json, "state_key", &state_key, error))
    return FALSE;
  return check_room_id (version, json, type, error);
}

static gboolean
check_integers (const CmJson *json, GError **error)
{
  gint64 depth, timestamp;

  /* The reader gives only what is within 2^53-1 as an integer (rooms/v6, "Event format";
   * CVE-2025-30355). */
  if (!cm_json_integer (cm_json_get (json, "depth"), &depth) || depth < 0)
    return cm_fail (error, CM_ERROR_BAD_JSON, "Event depth must be an integer from 0 to 2^53-1");
  if (!cm_json_integer (cm_json_get (json, "origin_server_ts"), &timestamp))
    return cm_fail (error, CM_ERROR_BAD_JSON, "Event origin_server_ts must be an integer");
  return TRUE;
}

static gboolean
check_event_ids (const CmJson *json, const char *key, gsize limit, GError **error)
{
  const CmJson *list = cm_json_get_array (json, key);
  const CmJson *item;
  CmJsonIter iter;

  if (list == NULL)
    return cm_fail (error, CM_ERROR_BAD_JSON, "Event %s must be an array", key);
  if (cm_json_length (list) > limit)
    return cm_fail (error, CM_ERROR_BAD_JSON, "Event %s names more than %" G_GSIZE_FORMAT " events",
                    key, limit);
  cm_json_iter_init (&iter, list);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (!cm_id_is_event (cm_json_text (item)))
      return cm_fail (error, CM_ERROR_BAD_JSON, "Event %s must hold event ids", key);
  return TRUE;
}

/* { server: { key id: signature } } */
static gboolean
check_signatures (const CmJson *signatures, GError **error)
{
  const CmJson *by_key, *signature;
  CmJsonIter servers, keys;

  if (cm_json_type (signatures) != CM_JSON_OBJECT)
    return cm_fail (error, CM_ERROR_BAD_JSON, "Event signatures must be an object");
  cm_json_iter_init (&servers, signatures);
  while (cm_json_iter_next (&servers, NULL, &by_key)) {
    if (cm_json_text (servers.key) == NULL || cm_json_type (by_key) != CM_JSON_OBJECT)
      return cm_fail (error, CM_ERROR_BAD_JSON, "Event signatures must be an object of objects");
    cm_json_iter_init (&keys, by_key);
    while (cm_json_iter_next (&keys, NULL, &signature))
      if (cm_json_text (keys.key) == NULL || cm_json_text (signature) == NULL)
        return cm_fail (error, CM_ERROR_BAD_JSON, "Event signatures must be strings");
  }
  return TRUE;
}

gboolean
cm_event_check_format (const CmRoomVersion *version, const CmJson *json, GError **error)
{
  const CmJson *unproven = cm_json_get (json, "unsigned");

  if (!check_texts (version, json, error) || !check_integers (json, error))
    return FALSE;
  if (cm_json_get_object (json, "content") == NULL)
    return cm_fail (error, CM_ERROR_BAD_JSON, "Event content must be an object");
  if (cm_json_get_text (cm_json_get (json, "hashes"), "sha256") == NULL)
    return cm_fail (error, CM_ERROR_BAD_JSON, "Event hashes must hold sha256");
  if (unproven != NULL && cm_json_type (unproven) != CM_JSON_OBJECT)
    return cm_fail (error, CM_ERROR_BAD_JSON, "Event unsigned must be an object");
  return check_event_ids (json, "prev_events", CM_EVENT_MAX_PREV_EVENTS, error) &&
         check_event_ids (json, "auth_events", CM_EVENT_MAX_AUTH_EVENTS, error) &&
         check_signatures (cm_json_get (json, "signatures"), error);
}
