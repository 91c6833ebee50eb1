#include "schema/receipt.h"

#include "crypto/id.h"
#include "crypto/json-writer.h"
#include "federation/destinations.h"
#include "schema/account-data.h"
#include "server/node.h"
#include "server/rooms/find.h"
#include "server/rooms/thread.h"
#include "server/routes.h"

#include <string.h>

static gboolean
invalid (const char *message, GError **error)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, message);
  return FALSE;
}

/* (transfer full) the event, which must stand in the room (CVE-2023-42453). */
static CmEvent *
find_event (CmCall *call, const CmRoomView *view, const char *event_id, GError **error)
{
  CmRooms *rooms = cm_call_node (call)->rooms;
  g_autoptr (GError) failure = NULL;

  if (!cm_id_is_event (event_id)) {
    invalid ("The event id is not valid", error);
    return NULL;
  }
  g_autoptr (CmEvent) event = cm_event_store_find (cm_rooms_events (rooms), event_id, &failure);
  if (event != NULL && event->room_sym == view->room && event->position != 0)
    return g_steal_pointer (&event);
  if (event == NULL && !g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND))
    g_propagate_error (error, g_steal_pointer (&failure));
  else
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "There is no such event in the room");
  return NULL;
}

/* "400: thread_id is invalid in some way": not text, empty, or not the thread of the event. */
static gboolean
read_thread (CmCall *call, const CmEvent *event, const char **thread_id, GError **error)
{
  const CmJson *value = cm_json_get (cm_call_json (call), "thread_id");
  const char *text = cm_json_text (value);

  *thread_id = "";
  if (value == NULL)
    return TRUE;
  if (text == NULL || text[0] == '\0' || strlen (text) > CM_ID_MAX_BYTES)
    return invalid ("thread_id must be a string that is not empty", error);
  g_autoptr (CmEvent) root = cm_thread_root (cm_call_node (call)->rooms, event);
  gboolean fits = strcmp (text, "main") == 0
                      ? root == NULL
                      : strcmp (text, root != NULL ? root->event_id : event->event_id) == 0;
  if (!fits)
    return invalid ("The event is not in this thread", error);
  *thread_id = text;
  return TRUE;
}

/* Adds the receipt to @write, unless it is one that reaches as far already. */
static gboolean
add_receipt (CmCall *call, const CmRoomView *view, CmWrite *write, const char *type,
             const CmEvent *event, const char *thread_id, GError **error)
{
  CmReceipt receipt = { .room = view->room,
                        .room_id = view->room_id,
                        .user_id = cm_call_user (call),
                        .type = type,
                        .thread_id = thread_id,
                        .event_id = event->event_id,
                        .event_position = event->position,
                        .ts = g_get_real_time () / 1000 };
  gint64 present;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);

  if (db == NULL || !cm_receipt_position (db, &receipt, &present, error))
    return FALSE;
  if (present == 0 || present < receipt.event_position)
    cm_receipt_write (write, &receipt);
  return TRUE;
}

static void
add_marker (CmCall *call, const CmRoomView *view, CmWrite *write, const CmEvent *event)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "event_id", event->event_id);
  cm_json_close (writer);
  g_autoptr (GBytes) content = cm_json_writer_end (writer);
  cm_account_data_put (write, cm_call_user (call), view->room_id, "m.fully_read", content);
}

/* server-server, "Receipts": m.read only; the others are nobody else's. */
static GBytes *
receipt_edu (const CmReceipt *receipt)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "edu_type", "m.receipt");
  cm_json_open_object (writer, "content");
  cm_json_open_object (writer, receipt->room_id);
  cm_json_open_object (writer, receipt->type);
  cm_json_open_object (writer, receipt->user_id);
  cm_json_open_object (writer, "data");
  cm_json_put_integer (writer, "ts", receipt->ts);
  if (receipt->thread_id[0] != '\0')
    cm_json_put_text (writer, "thread_id", receipt->thread_id);
  cm_json_close (writer);
  cm_json_open_array (writer, "event_ids");
  cm_json_put_text (writer, NULL, receipt->event_id);
  for (guint depth = 0; depth < 6; depth++)
    cm_json_close (writer);
  return cm_json_writer_end (writer);
}

static void
tell_servers (CmNode *node, const CmRoomView *view, const GPtrArray *receipts)
{
  for (guint i = 0; receipts != NULL && i < receipts->len; i++) {
    const CmReceipt *receipt = g_ptr_array_index (receipts, i);
    g_autofree char *key =
        g_strjoin ("/", "receipt", receipt->room_id, receipt->user_id, receipt->thread_id, NULL);
    if (strcmp (receipt->type, "m.read") != 0)
      continue;
    g_autoptr (GBytes) edu = receipt_edu (receipt);
    for (guint s = 0; s + 1 < view->others->len; s++)
      cm_destinations_ephemeral (node->destinations, g_ptr_array_index (view->others, s), key, edu);
  }
}

static CmReply *
commit (CmCall *call, const CmRoomView *view, CmWrite *write, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (GPtrArray) receipts = cm_write_attached (write, "receipts");

  if (receipts != NULL)
    g_ptr_array_ref (receipts);
  if (cm_write_positions (write) == 0) {
    cm_write_free (write);
    return cm_reply_empty ();
  }
  if (cm_committer_commit (node->committer, write, error) < 0)
    return NULL;
  tell_servers (node, view, receipts);
  return cm_reply_empty ();
}

static gboolean
is_receipt_type (const char *type)
{
  return strcmp (type, "m.read") == 0 || strcmp (type, "m.read.private") == 0;
}

static CmReply *
post_receipt (CmCall *call, GError **error)
{
  const char *type = cm_call_param (call, "receiptType");
  gboolean marker = strcmp (type, "m.fully_read") == 0;
  g_autoptr (CmWrite) write = cm_write_new ();
  const char *thread_id;

  if (!marker && !is_receipt_type (type)) {
    invalid ("There is no such type of receipt", error);
    return NULL;
  }
  g_autoptr (CmRoomView) view = cm_call_joined_room (call, error);
  g_autoptr (CmEvent) event =
      view != NULL ? find_event (call, view, cm_call_param (call, "eventId"), error) : NULL;
  if (event == NULL || !read_thread (call, event, &thread_id, error))
    return NULL;
  if (marker && thread_id[0] != '\0') {
    invalid ("m.fully_read is not of a thread", error);
    return NULL;
  }
  if (marker)
    add_marker (call, view, write, event);
  else if (!add_receipt (call, view, write, type, event, thread_id, error))
    return NULL;
  return commit (call, view, g_steal_pointer (&write), error);
}

static gboolean
add_mark (CmCall *call, const CmRoomView *view, CmWrite *write, const char *type, GError **error)
{
  const CmJson *value = cm_json_get (cm_call_json (call), type);

  if (value == NULL || cm_json_type (value) == CM_JSON_NULL)
    return TRUE;
  if (cm_json_text (value) == NULL) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "%s must be an event id", type);
    return FALSE;
  }
  g_autoptr (CmEvent) event = find_event (call, view, cm_json_text (value), error);
  if (event == NULL)
    return FALSE;
  if (is_receipt_type (type))
    return add_receipt (call, view, write, type, event, "", error);
  add_marker (call, view, write, event);
  return TRUE;
}

static CmReply *
post_read_markers (CmCall *call, GError **error)
{
  static const char *const types[] = { "m.fully_read", "m.read", "m.read.private" };
  g_autoptr (CmWrite) write = cm_write_new ();
  g_autoptr (CmRoomView) view = cm_call_joined_room (call, error);

  if (view == NULL)
    return NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (types); i++)
    if (!add_mark (call, view, write, types[i], error))
      return NULL;
  return commit (call, view, g_steal_pointer (&write), error);
}

#define ROOM "/_matrix/client/v3/rooms/{roomId}"

const CmRoute cm_routes_receipts[] = {
  { "POST", ROOM "/receipt/{receiptType}/{eventId}", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT,
    CM_BODY_JSON_OPTIONAL, post_receipt, 64 * 1024 },
  { "POST", ROOM "/read_markers", CM_AUTH_TOKEN, CM_LIMIT_READ, CM_LANE_CLIENT, CM_BODY_JSON,
    post_read_markers, 64 * 1024 },
  CM_ROUTES_END,
};
