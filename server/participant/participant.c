#include "server/participant/participant.h"

#include "crypto/hash.h"
#include "crypto/json-writer.h"
#include "federation/fed-client.h"
#include "schema/device.h"
#include "schema/ids.h"
#include "schema/participant.h"
#include "server/accounts/accounts.h"
#include "server/participant/hearing.h"
#include "server/participant/peers.h"
#include "server/participant/room-keys.h"

#include <string.h>

#define LOCALPART "comity"

/* A short poll: the thread looks between two whether it should end. */
#define SYNC_TIMEOUT_MS 1000
#define LONGEST_PAUSE_S 30

static gboolean
ensure_account (CmParticipant *participant, GError **error)
{
  CmNewAccount account = { .user_id = participant->user_id,
                           .origin = CM_ORIGIN_SERVICE,
                           .display_name = "Comity" };
  gboolean exists;

  if (!cm_accounts_exists (participant->node, participant->user_id, &exists, error))
    return FALSE;
  return exists || cm_accounts_create (participant->node, &account, error);
}

static gboolean
make_device (CmParticipant *participant, CmDb *db, GError **error)
{
  g_autofree char *suffix = cm_random_token (10);

  participant->device_id = g_ascii_strup (suffix, -1);
  participant->account = cm_olm_account_new (error);
  return participant->account != NULL && cm_participant_store_account (participant, db, error);
}

static gboolean
load_device (CmParticipant *participant, const CmRows *rows, GError **error)
{
  g_autofree char *context = cm_participant_context (participant, "account");
  g_autoptr (GBytes) sealed = cm_rows_bytes (rows, 0, 1);

  participant->device_id = g_strdup (cm_rows_text (rows, 0, 0));
  participant->since = g_strdup (cm_rows_text (rows, 0, 2));
  participant->account = cm_olm_account_open (participant->node->vault, context, sealed, error);
  return participant->account != NULL;
}

static gboolean
ensure_device (CmParticipant *participant, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (participant->node->pool, error);
  g_autoptr (CmRows) rows =
      db != NULL ? cm_participant_find (db, participant->user_id, error) : NULL;

  if (rows == NULL)
    return FALSE;
  gboolean ready = cm_rows_count (rows) > 0 ? load_device (participant, rows, error)
                                            : make_device (participant, db, error);
  return ready && cm_device_ensure (db, participant->user_id, participant->device_id,
                                    "Comity participant", g_get_real_time () / 1000, NULL, error);
}

static gboolean
sync_once (CmParticipant *participant, GError **error)
{
  g_autofree char *path =
      participant->since != NULL
          ? g_strdup_printf ("/_matrix/client/v3/sync?timeout=%d&since=%s", SYNC_TIMEOUT_MS,
                             participant->since)
          : g_strdup ("/_matrix/client/v3/"
                      "sync?filter=%7B%22room%22:%7B%22timeline%22:%7B%22limit%22:1%7D%7D%7D");
  g_autoptr (CmJsonDoc) answer = cm_ask (&participant->asker, "GET", path, NULL, error);
  const char *next = cm_json_get_text (cm_json_doc_root (answer), "next_batch");

  if (next == NULL)
    return FALSE;
  cm_hearing_take (participant, cm_json_doc_root (answer));
  if (g_strcmp0 (next, participant->since) == 0)
    return TRUE;
  /* Only now: what a crash takes from us, the server still has. */
  g_autoptr (CmDb) db = cm_pool_get (participant->node->pool, error);
  if (db == NULL || !cm_participant_set_since (db, participant->user_id, next, error))
    return FALSE;
  g_free (participant->since);
  participant->since = g_strdup (next);
  return TRUE;
}

static void
pause_for (CmParticipant *participant, guint seconds)
{
  for (guint i = 0; i < seconds * 10 && !g_atomic_int_get (&participant->stopping); i++)
    g_usleep (G_USEC_PER_SEC / 10);
}

static gpointer
follow_sync (gpointer data)
{
  CmParticipant *participant = data;
  guint pause = 1;

  while (!g_atomic_int_get (&participant->stopping)) {
    g_autoptr (GError) error = NULL;
    if (sync_once (participant, &error)) {
      pause = 1;
      continue;
    }
    if (g_atomic_int_get (&participant->stopping))
      break;
    g_warning ("%s cannot sync: %s", participant->user_id,
               error != NULL ? error->message : "no next_batch");
    pause_for (participant, pause);
    pause = MIN (pause * 2, LONGEST_PAUSE_S);
  }
  return NULL;
}

CmParticipant *
cm_participant_new (CmNode *node, GError **error)
{
  CmParticipant *participant = g_new0 (CmParticipant, 1);

  participant->node = node;
  participant->user_id = g_strdup_printf ("@%s:%s", LOCALPART, node->server_name);
  g_rec_mutex_init (&participant->crypto);
  g_mutex_init (&participant->listeners_lock);
  participant->peers = cm_peers_new (participant);
  participant->mended = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  if (!ensure_account (participant, error) || !ensure_device (participant, error)) {
    cm_participant_free (participant);
    return NULL;
  }
  gint64 user = cm_sym (node->ids, participant->user_id, error);
  participant->asker =
      (CmAsker){ node, participant->user_id, participant->device_id, user, &participant->stopping };
  if (user == 0) {
    cm_participant_free (participant);
    return NULL;
  }
  participant->thread = g_thread_new ("participant", follow_sync, participant);
  return participant;
}

void
cm_participant_free (CmParticipant *participant)
{
  if (participant == NULL)
    return;
  g_atomic_int_set (&participant->stopping, TRUE);
  if (participant->thread != NULL)
    g_thread_join (participant->thread);
  g_clear_pointer (&participant->listeners, g_ptr_array_unref);
  g_clear_pointer (&participant->undecrypted, g_ptr_array_unref);
  g_clear_pointer (&participant->account, cm_olm_account_free);
  cm_peers_free (participant->peers);
  g_hash_table_unref (participant->mended);
  g_mutex_clear (&participant->listeners_lock);
  g_rec_mutex_clear (&participant->crypto);
  g_free (participant->since);
  g_free (participant->user_id);
  g_free (participant->device_id);
  g_free (participant);
}

const char *
cm_participant_user_id (const CmParticipant *participant)
{
  return participant->user_id;
}

char *
cm_participant_join (CmParticipant *participant, const char *room_id, GError **error)
{
  g_autofree char *path = cm_fed_path ("/_matrix/client/v3/join/%s", room_id);
  g_autoptr (CmJsonDoc) answer = cm_ask (&participant->asker, "POST", path, NULL, error);

  return answer != NULL ? g_strdup (cm_json_get_text (cm_json_doc_root (answer), "room_id")) : NULL;
}

static CmJsonDoc *
text_message (const char *text)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "msgtype", "m.text");
  cm_json_put_text (writer, "body", text);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

static char *
send_content (CmParticipant *participant, const char *room_id, const char *type,
              const CmJson *content, GError **error)
{
  g_autofree char *transaction = cm_random_token (24);
  g_autofree char *path =
      cm_fed_path ("/_matrix/client/v3/rooms/%s/send/%s/%s", room_id, type, transaction);
  g_autoptr (GBytes) body = cm_json_canonical (content, NULL, error);
  g_autoptr (CmJsonDoc) answer =
      body != NULL ? cm_ask (&participant->asker, "PUT", path, body, error) : NULL;

  return answer != NULL ? g_strdup (cm_json_get_text (cm_json_doc_root (answer), "event_id"))
                        : NULL;
}

/* content of m.room.encryption; NULL without @error when the room was never encrypted. */
static CmJsonDoc *
encryption_of (CmParticipant *participant, const char *room_id, GError **error)
{
  g_autofree char *path =
      cm_fed_path ("/_matrix/client/v3/rooms/%s/state/m.room.encryption", room_id);
  GError *local = NULL;
  CmJsonDoc *settings = cm_ask (&participant->asker, "GET", path, NULL, &local);

  if (g_error_matches (local, CM_ERROR, CM_ERROR_NOT_FOUND))
    g_clear_error (&local);
  if (local != NULL)
    g_propagate_error (error, local);
  return settings;
}

char *
cm_participant_say (CmParticipant *participant, const char *room_id, const char *text,
                    GError **error)
{
  g_autoptr (CmJsonDoc) message = text_message (text);
  GError *local = NULL;
  g_autoptr (CmJsonDoc) settings = encryption_of (participant, room_id, &local);

  if (local != NULL) {
    g_propagate_error (error, local);
    return NULL;
  }
  if (settings == NULL)
    return send_content (participant, room_id, "m.room.message", cm_json_doc_root (message), error);
  g_rec_mutex_lock (&participant->crypto);
  g_autoptr (CmJsonDoc) encrypted =
      cm_room_keys_encrypt (participant, room_id, cm_json_doc_root (settings), "m.room.message",
                            cm_json_doc_root (message), error);
  g_rec_mutex_unlock (&participant->crypto);
  if (encrypted == NULL)
    return NULL;
  return send_content (participant, room_id, "m.room.encrypted", cm_json_doc_root (encrypted),
                       error);
}

gboolean
cm_participant_recall (CmParticipant *participant, const char *room_id, guint count,
                       CmHearFunc func, gpointer data, GError **error)
{
  g_autofree char *room_path = cm_fed_path ("/_matrix/client/v3/rooms/%s/messages", room_id);
  g_autofree char *path =
      g_strdup_printf ("%s?dir=b&limit=%u&filter=%%7B%%22types%%22:%%5B%%22m.room.message%%22,"
                       "%%22m.room.encrypted%%22%%5D%%7D",
                       room_path, count);
  g_autoptr (CmJsonDoc) answer =
      count > 0 ? cm_ask (&participant->asker, "GET", path, NULL, error) : NULL;
  const CmJson *chunk = cm_json_get_array (cm_json_doc_root (answer), "chunk");

  for (gsize i = cm_json_length (chunk); i > 0; i--)
    cm_hearing_tell (participant, room_id, cm_json_item (chunk, i - 1), func, data, NULL);
  return answer != NULL || count == 0;
}
