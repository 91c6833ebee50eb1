/* An answer as JSON (client-server, GET /sync). */
#include "server/sync/compute.h"

#include "schema/receipt.h"
#include "server/client-event.h"
#include "server/node.h"
#include "server/rooms/page-token.h"

#include <string.h>

typedef struct {
  const CmSyncAnswer *answer;
  const CmSyncRequest *request;
  CmJsonWriter *writer;
  GHashTable *texts; /* CmEvent -> GBytes */
} Text;

/* The texts of @events, for a place where @flags are wanted. */
static gboolean
render_some (Text *text, GPtrArray *events, CmShowFlags flags, GError **error)
{
  const CmSyncRequest *request = text->request;
  CmViewer viewer = { .node = request->node,
                      .user_id = request->user_id,
                      .device_id = request->device_id,
                      .flags = CM_SHOW_NO_ROOM_ID | flags };

  if (events->len == 0)
    return TRUE;
  g_autoptr (GPtrArray) shown = cm_client_events (&viewer, events, error);
  if (shown == NULL)
    return FALSE;
  for (guint i = 0; i < events->len; i++)
    g_hash_table_insert (text->texts, g_ptr_array_index (events, i),
                         g_bytes_ref (g_ptr_array_index (shown, i)));
  return TRUE;
}

/* The texts of all events of the answer that have none yet. */
static gboolean
render (Text *text, GError **error)
{
  g_autoptr (GPtrArray) events = g_ptr_array_new (), state = g_ptr_array_new ();

  if (text->request->filter->federation_format)
    return TRUE;
  for (guint r = 0; r < text->answer->rooms->len; r++) {
    const CmSyncRoom *room = g_ptr_array_index (text->answer->rooms, r);
    for (guint i = 0; i < room->timeline->len; i++)
      if (room->shown->pdata[i] == NULL)
        g_ptr_array_add (events, g_ptr_array_index (room->timeline, i));
    g_ptr_array_extend (state, room->state, NULL, NULL);
  }
  return render_some (text, events, 0, error) && render_some (text, state, CM_SHOW_STATE, error);
}

/* What servers exchange does not name the event, which a client cannot do without. */
static void
put_federation_event (CmJsonWriter *writer, const CmEvent *event)
{
  g_autoptr (CmJsonWriter) id = cm_json_writer_new ();
  g_autoptr (GString) text =
      g_string_new_len (g_bytes_get_data (event->bytes, NULL), g_bytes_get_size (event->bytes));

  cm_json_put_text (id, NULL, event->event_id);
  g_autofree char *quoted = cm_json_writer_end_text (id);
  g_string_truncate (text, text->len - 1);
  g_string_append_printf (text, ",\"event_id\":%s}", quoted);
  cm_json_put_raw (writer, NULL, text->str, text->len);
}

static void
put_events (Text *text, const char *key, GPtrArray *events, GPtrArray *shown)
{
  cm_json_open_array (text->writer, key);
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    GBytes *bytes = shown != NULL ? g_ptr_array_index (shown, i) : NULL;
    if (text->request->filter->federation_format)
      put_federation_event (text->writer, event);
    else
      cm_json_put_bytes (text->writer, NULL,
                         bytes != NULL ? bytes : g_hash_table_lookup (text->texts, event));
  }
  cm_json_close (text->writer);
}

static void
put_data (Text *text, const char *key, GPtrArray *data)
{
  cm_json_open_object (text->writer, key);
  cm_json_open_array (text->writer, "events");
  for (guint i = 0; i < data->len; i++) {
    const CmSyncDatum *datum = g_ptr_array_index (data, i);
    cm_json_open_object (text->writer, NULL);
    cm_json_put_text (text->writer, "type", datum->type);
    cm_json_put_bytes (text->writer, "content", datum->content);
    cm_json_close (text->writer);
  }
  cm_json_close (text->writer);
  cm_json_close (text->writer);
}

static void
put_timeline (Text *text, const CmSyncRoom *room)
{
  g_autofree char *prev_batch = cm_page_token (room->prev_batch);

  cm_json_open_object (text->writer, "timeline");
  put_events (text, "events", room->timeline, room->shown);
  cm_json_put_boolean (text->writer, "limited", room->limited);
  cm_json_put_text (text->writer, "prev_batch", prev_batch);
  cm_json_close (text->writer);
}

static void
put_state (Text *text, const CmSyncRoom *room)
{
  cm_json_open_object (text->writer, text->request->state_after ? "state_after" : "state");
  put_events (text, "events", room->state, NULL);
  cm_json_close (text->writer);
}

/* event id -> type -> user id -> receipt. One user may have several receipts of a type at one
 * event, by thread; what finds its place taken goes into the next m.receipt. */
static GPtrArray *
put_receipt_event (CmJsonWriter *writer, GPtrArray *receipts)
{
  GPtrArray *left = g_ptr_array_new ();
  g_autoptr (GHashTable) by_event =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_hash_table_unref);
  GHashTableIter events, types, users;
  gpointer event_id, by_type, type, by_user, user_id, value;

  for (guint i = 0; i < receipts->len; i++) {
    const CmReceipt *receipt = g_ptr_array_index (receipts, i);
    by_type = g_hash_table_lookup (by_event, receipt->event_id);
    if (by_type == NULL) {
      by_type = g_hash_table_new_full (g_str_hash, g_str_equal, NULL,
                                       (GDestroyNotify) g_hash_table_unref);
      g_hash_table_insert (by_event, (char *) receipt->event_id, by_type);
    }
    by_user = g_hash_table_lookup (by_type, receipt->type);
    if (by_user == NULL) {
      by_user = g_hash_table_new (g_str_hash, g_str_equal);
      g_hash_table_insert (by_type, (char *) receipt->type, by_user);
    }
    if (!g_hash_table_contains (by_user, receipt->user_id))
      g_hash_table_insert (by_user, (char *) receipt->user_id, (gpointer) receipt);
    else
      g_ptr_array_add (left, (gpointer) receipt);
  }
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "type", "m.receipt");
  cm_json_open_object (writer, "content");
  g_hash_table_iter_init (&events, by_event);
  while (g_hash_table_iter_next (&events, &event_id, &by_type)) {
    cm_json_open_object (writer, event_id);
    g_hash_table_iter_init (&types, by_type);
    while (g_hash_table_iter_next (&types, &type, &by_user)) {
      cm_json_open_object (writer, type);
      g_hash_table_iter_init (&users, by_user);
      while (g_hash_table_iter_next (&users, &user_id, &value)) {
        const CmReceipt *receipt = value;
        cm_json_open_object (writer, user_id);
        cm_json_put_integer (writer, "ts", receipt->ts);
        if (receipt->thread_id[0] != '\0')
          cm_json_put_text (writer, "thread_id", receipt->thread_id);
        cm_json_close (writer);
      }
      cm_json_close (writer);
    }
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_close (writer);
  return left;
}

static void
put_ephemeral (Text *text, const CmSyncRoom *room)
{
  CmJsonWriter *writer = text->writer;
  g_autoptr (GPtrArray) receipts = g_ptr_array_ref (room->receipts);

  cm_json_open_object (writer, "ephemeral");
  cm_json_open_array (writer, "events");
  while (receipts->len > 0) {
    GPtrArray *left = put_receipt_event (writer, receipts);
    g_ptr_array_unref (receipts);
    receipts = left;
  }
  if (room->typing) {
    cm_json_open_object (writer, NULL);
    cm_json_put_text (writer, "type", "m.typing");
    cm_json_open_object (writer, "content");
    cm_json_open_array (writer, "user_ids");
    for (guint i = 0; i < room->typists->len; i++)
      cm_json_put_text (writer, NULL, g_ptr_array_index (room->typists, i));
    cm_json_close (writer);
    cm_json_close (writer);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_close (writer);
}

static void
put_count (CmJsonWriter *writer, const char *key, gint64 notifications, gint64 highlights)
{
  cm_json_open_object (writer, key);
  cm_json_put_integer (writer, "highlight_count", highlights);
  cm_json_put_integer (writer, "notification_count", notifications);
  cm_json_close (writer);
}

/* Threads count with the rest of the room for who does not ask for them (client-server, "Receiving
 * notifications"). */
static void
put_unread (Text *text, const CmSyncRoom *room)
{
  CmRooms *rooms = text->request->node->rooms;
  gboolean threads = text->request->filter->timeline->unread_thread_notifications;
  gint64 notifications = 0, highlights = 0;

  for (guint i = 0; i < room->unread->len; i++) {
    const CmSyncCount *count = &g_array_index (room->unread, CmSyncCount, i);
    if (threads && count->thread != 0)
      continue;
    notifications += count->notifications;
    highlights += count->highlights;
  }
  put_count (text->writer, "unread_notifications", notifications, highlights);
  if (!threads)
    return;
  cm_json_open_object (text->writer, "unread_thread_notifications");
  for (guint i = 0; i < room->unread->len; i++) {
    const CmSyncCount *count = &g_array_index (room->unread, CmSyncCount, i);
    g_autoptr (CmEvent) root =
        count->thread != 0 && count->notifications > 0
            ? cm_event_store_get (cm_rooms_events (rooms), count->thread, NULL)
            : NULL;
    if (root != NULL)
      put_count (text->writer, root->event_id, count->notifications, count->highlights);
  }
  cm_json_close (text->writer);
}

static void
put_summary (Text *text, const CmSyncRoom *room)
{
  CmJsonWriter *writer = text->writer;

  cm_json_open_object (writer, "summary");
  if (room->heroes != NULL) {
    cm_json_open_array (writer, "m.heroes");
    for (gsize i = 0; room->heroes[i] != NULL; i++)
      cm_json_put_text (writer, NULL, room->heroes[i]);
    cm_json_close (writer);
  }
  if (room->joined >= 0) {
    cm_json_put_integer (writer, "m.joined_member_count", room->joined);
    cm_json_put_integer (writer, "m.invited_member_count", room->invited);
  }
  cm_json_close (writer);
}

static void
put_room (Text *text, const CmSyncRoom *room)
{
  CmJsonWriter *writer = text->writer;

  cm_json_open_object (writer, room->room_id);
  if (room->stripped != NULL) {
    gboolean invited = room->membership == CM_MEMBERSHIP_INVITE;
    cm_json_open_object (writer, invited ? "invite_state" : "knock_state");
    cm_json_put_bytes (writer, "events", room->stripped);
    cm_json_close (writer);
    cm_json_close (writer);
    return;
  }
  put_timeline (text, room);
  put_state (text, room);
  put_data (text, "account_data", room->account_data);
  if (room->membership == CM_MEMBERSHIP_JOIN) {
    put_ephemeral (text, room);
    put_unread (text, room);
    put_summary (text, room);
  }
  cm_json_close (writer);
}

static const char *
section_of (const CmSyncRoom *room)
{
  switch (room->membership) {
  case CM_MEMBERSHIP_JOIN:
    return "join";
  case CM_MEMBERSHIP_INVITE:
    return "invite";
  case CM_MEMBERSHIP_KNOCK:
    return "knock";
  default:
    return "leave";
  }
}

static void
put_rooms (Text *text)
{
  static const char *const sections[] = { "invite", "join", "knock", "leave" };

  cm_json_open_object (text->writer, "rooms");
  for (gsize s = 0; s < G_N_ELEMENTS (sections); s++) {
    cm_json_open_object (text->writer, sections[s]);
    for (guint i = 0; i < text->answer->rooms->len; i++) {
      const CmSyncRoom *room = g_ptr_array_index (text->answer->rooms, i);
      if (strcmp (section_of (room), sections[s]) == 0)
        put_room (text, room);
    }
    cm_json_close (text->writer);
  }
  cm_json_close (text->writer);
}

static void
put_presence (Text *text)
{
  CmJsonWriter *writer = text->writer;

  cm_json_open_object (writer, "presence");
  cm_json_open_array (writer, "events");
  for (guint i = 0; i < text->answer->presence->len; i++) {
    const CmPresence *presence = g_ptr_array_index (text->answer->presence, i);
    cm_json_open_object (writer, NULL);
    cm_json_put_text (writer, "type", "m.presence");
    cm_json_put_text (writer, "sender", presence->user_id);
    cm_json_open_object (writer, "content");
    cm_presence_put (writer, presence);
    cm_json_close (writer);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_close (writer);
}

static gboolean
has_items (char **list)
{
  return list != NULL && list[0] != NULL;
}

static void
put_texts (CmJsonWriter *writer, const char *key, char **texts)
{
  cm_json_open_array (writer, key);
  for (gsize i = 0; texts != NULL && texts[i] != NULL; i++)
    cm_json_put_text (writer, NULL, texts[i]);
  cm_json_close (writer);
}

static void
put_encryption (Text *text)
{
  const CmSyncAnswer *answer = text->answer;
  CmJsonWriter *writer = text->writer;
  const CmJson *value;
  CmJsonIter iter;

  cm_json_open_object (writer, "to_device");
  cm_json_open_array (writer, "events");
  for (guint i = 0; i < answer->to_device->len; i++)
    cm_json_put_bytes (writer, NULL, g_ptr_array_index (answer->to_device, i));
  cm_json_close (writer);
  cm_json_close (writer);
  if (has_items (answer->changed) || has_items (answer->left)) {
    cm_json_open_object (writer, "device_lists");
    if (has_items (answer->changed))
      put_texts (writer, "changed", answer->changed);
    if (has_items (answer->left))
      put_texts (writer, "left", answer->left);
    cm_json_close (writer);
  }
  cm_json_iter_init (&iter, answer->keys != NULL ? cm_json_doc_root (answer->keys) : NULL);
  while (cm_json_iter_next (&iter, NULL, &value))
    cm_json_put_member (writer, iter.key, value);
}

CmReply *
cm_sync_write (const CmSyncAnswer *answer, GError **error)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_autoptr (GHashTable) texts =
      g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) g_bytes_unref);
  g_autofree char *next_batch = cm_sync_token_text (&answer->next);
  Text text = { answer, answer->request, writer, texts };

  if (!render (&text, error))
    return NULL;
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "next_batch", next_batch);
  put_data (&text, "account_data", answer->account_data);
  put_rooms (&text);
  put_presence (&text);
  put_encryption (&text);
  cm_json_close (writer);
  return cm_reply_json (writer);
}
