#include "server/participant/hearing.h"

#include "crypto/json-writer.h"
#include "server/participant/channel.h"
#include "server/participant/listeners.h"
#include "server/participant/mending.h"
#include "server/participant/room-keys.h"

#include <string.h>

/* How many events may wait for their keys, and how long. */
#define MAX_WAITING 1000
#define MAX_WAIT_US (5 * 60 * G_TIME_SPAN_SECOND)

/* An event whose key has not come. */
typedef struct {
  char *room_id;
  CmJsonDoc *event;
  gint64 since_us;
} Waiting;

static void
waiting_free (gpointer data)
{
  Waiting *waiting = data;

  g_free (waiting->room_id);
  cm_json_doc_unref (waiting->event);
  g_free (waiting);
}

static void
take_to_device (CmParticipant *participant, const CmJson *event)
{
  g_autoptr (GError) error = NULL;
  const char *sender = cm_json_get_text (event, "sender");
  const char *sender_key;
  gboolean wedged;

  /* Room keys are believed only when they came over Olm. */
  if (g_strcmp0 (cm_json_get_text (event, "type"), "m.room.encrypted") != 0)
    return;
  g_rec_mutex_lock (&participant->crypto);
  g_autoptr (CmJsonDoc) payload =
      cm_channel_decrypt (participant, event, &sender_key, &wedged, &error);
  const CmJson *inner = cm_json_doc_root (payload);
  if (payload != NULL && g_strcmp0 (cm_json_get_text (inner, "type"), "m.room_key") == 0)
    cm_room_keys_receive (participant, sender, sender_key, cm_json_get (inner, "content"), &error);
  if (wedged)
    cm_mending_begin (participant, sender, sender_key);
  g_rec_mutex_unlock (&participant->crypto);
  if (error != NULL)
    g_message ("%s got a message from %s that it does not take: %s", participant->user_id, sender,
               error->message);
}

static void
take_device_lists (CmParticipant *participant, const CmJson *lists)
{
  static const char *const kinds[] = { "changed", "left" };
  const CmJson *user;
  CmJsonIter iter;

  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++) {
    cm_json_iter_init (&iter, cm_json_get_array (lists, kinds[i]));
    while (cm_json_iter_next (&iter, NULL, &user))
      if (cm_json_text (user) != NULL)
        cm_peers_forget (participant->peers, cm_json_text (user));
  }
}

static void
take_key_counts (CmParticipant *participant, const CmJson *answer)
{
  gint64 count = cm_json_get_integer (cm_json_get (answer, "device_one_time_keys_count"),
                                      "signed_curve25519", 0);
  const CmJson *unused = cm_json_get_array (answer, "device_unused_fallback_key_types");
  gboolean fallback_used = unused != NULL && cm_json_length (unused) == 0;
  g_autoptr (GError) error = NULL;

  g_rec_mutex_lock (&participant->crypto);
  gboolean enough = count >= (gint64) cm_olm_account_max_one_time_keys (participant->account) / 4 &&
                    !fallback_used;
  if (!enough && !cm_participant_upload_keys (participant, count, fallback_used, &error))
    g_warning ("%s could not upload keys: %s", participant->user_id, error->message);
  g_rec_mutex_unlock (&participant->crypto);
}

void
cm_hearing_tell (CmParticipant *participant, const char *room_id, const CmJson *event,
                 CmHearFunc func, gpointer data, GError **error)
{
  const char *type = cm_json_get_text (event, "type");
  CmHeard heard = { .room_id = room_id,
                    .event_id = cm_json_get_text (event, "event_id"),
                    .sender = cm_json_get_text (event, "sender"),
                    .type = type,
                    .content = cm_json_get_object (event, "content"),
                    .encrypted = g_strcmp0 (type, "m.room.encrypted") == 0 };
  g_autoptr (CmJsonDoc) payload = NULL;
  GError *local = NULL;

  heard.own = g_strcmp0 (heard.sender, participant->user_id) == 0;
  if (heard.encrypted) {
    g_rec_mutex_lock (&participant->crypto);
    payload = cm_room_keys_decrypt (participant, room_id, event, &local);
    g_rec_mutex_unlock (&participant->crypto);
    heard.type = cm_json_get_text (cm_json_doc_root (payload), "type");
    heard.content = cm_json_get_object (cm_json_doc_root (payload), "content");
    heard.problem = local != NULL ? local->message : NULL;
  }
  func (&heard, data);
  if (local != NULL)
    g_propagate_error (error, local);
}

static void
tell_listeners (const CmHeard *heard, gpointer data)
{
  CmParticipant *participant = data;

  /* What may still come to be read is told then. */
  if (heard->problem == NULL)
    cm_listeners_tell (participant, heard);
}

static gboolean
is_message (const CmJson *event)
{
  const char *type = cm_json_get_text (event, "type");

  return g_strcmp0 (type, "m.room.message") == 0 || g_strcmp0 (type, "m.room.encrypted") == 0;
}

static CmJsonDoc *
copy_of (const CmJson *event)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_put_node (writer, NULL, event);
  return cm_json_writer_end_doc (writer);
}

static void
wait_for_key (CmParticipant *participant, const char *room_id, const CmJson *event)
{
  Waiting *waiting = g_new0 (Waiting, 1);

  waiting->room_id = g_strdup (room_id);
  waiting->event = copy_of (event);
  waiting->since_us = g_get_monotonic_time ();
  if (participant->undecrypted == NULL)
    participant->undecrypted = g_ptr_array_new_with_free_func (waiting_free);
  if (participant->undecrypted->len >= MAX_WAITING)
    g_ptr_array_remove_index (participant->undecrypted, 0);
  g_ptr_array_add (participant->undecrypted, waiting);
}

static void
take_event (CmParticipant *participant, const char *room_id, const CmJson *event)
{
  g_autoptr (GError) error = NULL;

  if (!is_message (event) || !cm_listeners_want (participant, room_id))
    return;
  cm_hearing_tell (participant, room_id, event, tell_listeners, participant, &error);
  if (g_error_matches (error, CM_ERROR, CM_ERROR_NOT_FOUND))
    wait_for_key (participant, room_id, event);
  else if (error != NULL)
    g_message ("%s cannot read %s: %s", participant->user_id, cm_json_get_text (event, "event_id"),
               error->message);
}

/* Keys travel another way than messages and may come later. */
static void
retry_waiting (CmParticipant *participant)
{
  for (guint i = 0; participant->undecrypted != NULL && i < participant->undecrypted->len;) {
    Waiting *waiting = g_ptr_array_index (participant->undecrypted, i);
    g_autoptr (GError) error = NULL;
    cm_hearing_tell (participant, waiting->room_id, cm_json_doc_root (waiting->event),
                     tell_listeners, participant, &error);
    if (g_error_matches (error, CM_ERROR, CM_ERROR_NOT_FOUND) &&
        g_get_monotonic_time () - waiting->since_us < MAX_WAIT_US)
      i++;
    else
      g_ptr_array_remove_index (participant->undecrypted, i);
  }
}

void
cm_hearing_take (CmParticipant *participant, const CmJson *answer)
{
  const CmJson *rooms = cm_json_get (cm_json_get (answer, "rooms"), "join");
  const CmJson *room, *event;
  const char *room_id;
  CmJsonIter iter, events;

  take_device_lists (participant, cm_json_get (answer, "device_lists"));
  cm_json_iter_init (&events, cm_json_get_array (cm_json_get (answer, "to_device"), "events"));
  gboolean new_keys = events.left > 0;
  while (cm_json_iter_next (&events, NULL, &event))
    take_to_device (participant, event);
  take_key_counts (participant, answer);
  if (new_keys)
    retry_waiting (participant);
  cm_json_iter_init (&iter, rooms);
  while (cm_json_iter_next (&iter, &room_id, &room)) {
    cm_json_iter_init (&events, cm_json_get_array (cm_json_get (room, "timeline"), "events"));
    while (cm_json_iter_next (&events, NULL, &event))
      take_event (participant, room_id, event);
  }
}
