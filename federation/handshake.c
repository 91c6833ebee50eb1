#include "federation/handshake-private.h"

#include "crypto/id.h"

#include <string.h>

#define MAKE_TIMEOUT_MS 20000
#define SEND_TIMEOUT_MS 120000
/* The state of a room of some fifty thousand members. Read as JSON it takes up to twelve times as
 * much memory, and the server that gives it is one that a user has named. */
#define MAX_ANSWER (64 * 1024 * 1024)

gboolean
cm_intake_is_entering (CmIntake *intake)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&intake->mutex);

  return g_hash_table_size (intake->joining) > 0;
}

gboolean
cm_intake_is_joining (CmIntake *intake, const char *room_id, const CmRoomVersion **version)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&intake->mutex);
  const CmRoomVersion *found = g_hash_table_lookup (intake->joining, room_id);

  if (found != NULL && version != NULL)
    *version = found;
  return found != NULL;
}

static void
note_failure (GError **worst, GError *failure)
{
  gboolean unheard = *worst == NULL || g_error_matches (*worst, CM_ERROR, CM_ERROR_BAD_GATEWAY) ||
                     g_error_matches (*worst, CM_ERROR, CM_ERROR_GATEWAY_TIMEOUT);

  if (!unheard) {
    g_error_free (failure);
    return;
  }
  g_clear_error (worst);
  *worst = failure;
}

gboolean
cm_plea_through (const CmPlea *plea, const char *const *via, CmPleaFunc func, gpointer data,
                 GError **error)
{
  g_autoptr (GError) worst = NULL;

  for (gsize i = 0; via[i] != NULL; i++) {
    GError *failure = NULL;
    if (func (plea, via[i], data, &failure))
      return TRUE;
    g_message ("Cannot %s %s through %s: %s", plea->membership, plea->room_id, via[i],
               failure->message);
    note_failure (&worst, failure);
  }
  if (worst == NULL)
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND,
                         "No server is known to be in this room");
  else
    g_propagate_error (error, g_steal_pointer (&worst));
  return FALSE;
}

static gboolean
has_ids (const CmJson *template, const char *key, gsize limit)
{
  const CmJson *list = cm_json_get_array (template, key);
  const CmJson *item;
  CmJsonIter iter;

  if (list == NULL || cm_json_length (list) > limit)
    return FALSE;
  cm_json_iter_init (&iter, list);
  while (cm_json_iter_next (&iter, NULL, &item)) {
    if (!cm_id_is_event (cm_json_text (item)))
      return FALSE;
  }
  return TRUE;
}

/* Whether the template is of the event that was asked for. What it says beyond its place in the
 * graph is not taken over. */
static gboolean
agrees (const CmPlea *plea, const CmJson *template)
{
  const CmJson *content = cm_json_get_object (template, "content");
  gint64 depth;

  return g_strcmp0 (cm_json_get_text (template, "type"), "m.room.member") == 0 &&
         g_strcmp0 (cm_json_get_text (template, "room_id"), plea->room_id) == 0 &&
         g_strcmp0 (cm_json_get_text (template, "sender"), plea->user_id) == 0 &&
         g_strcmp0 (cm_json_get_text (template, "state_key"), plea->user_id) == 0 &&
         g_strcmp0 (cm_json_get_text (content, "membership"), plea->membership) == 0 &&
         cm_json_integer (cm_json_get (template, "depth"), &depth) && depth >= 0 &&
         has_ids (template, "prev_events", CM_EVENT_MAX_PREV_EVENTS) &&
         has_ids (template, "auth_events", CM_EVENT_MAX_AUTH_EVENTS);
}

/* rooms/v8: who vouches for the join only the resident server can say. */
static const char *
authority_of (const CmPlea *plea, const CmJson *template)
{
  const char *user = cm_json_get_text (cm_json_get_object (template, "content"),
                                       "join_authorised_via_users_server");

  return strcmp (plea->membership, "join") == 0 && cm_id_is_user (user) ? user : NULL;
}

static void
put_content (CmJsonWriter *writer, const CmPlea *plea, const CmJson *template)
{
  const char *key;
  const CmJson *value;
  CmJsonIter iter;

  cm_json_open_object (writer, "content");
  cm_json_put_text (writer, "membership", plea->membership);
  cm_json_put_text (writer, "join_authorised_via_users_server", authority_of (plea, template));
  cm_json_iter_init (&iter, plea->content);
  while (cm_json_iter_next (&iter, &key, &value)) {
    if (strcmp (key, "membership") != 0 && strcmp (key, "join_authorised_via_users_server") != 0)
      cm_json_put_member (writer, iter.key, value);
  }
  cm_json_close (writer);
}

static CmEvent *
build (const CmPlea *plea, const CmRoomVersion *version, const CmJson *template, GError **error)
{
  const CmRoomsParts *parts = cm_rooms_parts (plea->intake->parts.rooms);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_node (writer, "auth_events", cm_json_get (template, "auth_events"));
  put_content (writer, plea, template);
  cm_json_put_node (writer, "depth", cm_json_get (template, "depth"));
  cm_json_put_integer (writer, "origin_server_ts", g_get_real_time () / 1000);
  cm_json_put_node (writer, "prev_events", cm_json_get (template, "prev_events"));
  cm_json_put_text (writer, "room_id", plea->room_id);
  cm_json_put_text (writer, "sender", plea->user_id);
  cm_json_put_text (writer, "state_key", plea->user_id);
  cm_json_put_text (writer, "type", "m.room.member");
  cm_json_close (writer);
  g_autoptr (CmJsonDoc) object = cm_json_writer_end_doc (writer);
  return cm_event_build (version, cm_json_doc_root (object), parts->server_name, parts->key, error);
}

/* (transfer full) "...?ver=10&ver=11..." */
static char *
make_path (const CmPlea *plea)
{
  g_autofree char *room = cm_fed_path ("%s", plea->room_id);
  g_autofree char *user = cm_fed_path ("%s", plea->user_id);
  g_autoptr (GString) path = g_string_new (NULL);

  g_string_append_printf (path, "/_matrix/federation/v1/make_%s/%s/%s", plea->membership, room,
                          user);
  if (strcmp (plea->membership, "leave") == 0)
    return g_string_free (g_steal_pointer (&path), FALSE);
  for (const CmRoomVersion *version = cm_room_versions (); version->name != NULL; version++)
    g_string_append_printf (path, "%sver=%s", version == cm_room_versions () ? "?" : "&",
                            version->name);
  return g_string_free (g_steal_pointer (&path), FALSE);
}

CmEvent *
cm_plea_make (const CmPlea *plea, const char *server, GError **error)
{
  g_autofree char *target = make_path (plea);
  const CmFedRequest request = {
    .method = "GET",
    .target = target,
    .timeout_ms = MAKE_TIMEOUT_MS,
    .ignore_backoff = TRUE, /* somebody waits for it */
  };
  g_autoptr (CmJsonDoc) answer =
      cm_fed_call (plea->intake->parts.client, server, &request, NULL, error);

  if (answer == NULL)
    return NULL;
  const CmJson *template = cm_json_get_object (cm_json_doc_root (answer), "event");
  const char *name = cm_json_get_text (cm_json_doc_root (answer), "room_version");
  const CmRoomVersion *version = name != NULL ? cm_room_version_find (name) : NULL;
  if (version == NULL) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INCOMPATIBLE_ROOM_VERSION,
                         "This server does not know the room's version");
    return NULL;
  }
  if (agrees (plea, template))
    return build (plea, version, template, error);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_GATEWAY,
                       "The server proposed another event than was asked for");
  return NULL;
}

CmJsonDoc *
cm_plea_send (const CmPlea *plea, const char *server, const CmEvent *event, GError **error)
{
  g_autofree char *room = cm_fed_path ("%s", plea->room_id);
  g_autofree char *id = cm_fed_path ("%s", event->event_id);
  gboolean knock = strcmp (plea->membership, "knock") == 0;
  g_autofree char *target = g_strdup_printf ("/_matrix/federation/%s/send_%s/%s/%s",
                                             knock ? "v1" : "v2", plea->membership, room, id);
  const CmFedRequest request = {
    .method = "PUT",
    .target = target,
    .content = event->json,
    .max_bytes = MAX_ANSWER,
    .timeout_ms = SEND_TIMEOUT_MS,
    .ignore_backoff = TRUE,
  };

  return cm_fed_call (plea->intake->parts.client, server, &request, NULL, error);
}
