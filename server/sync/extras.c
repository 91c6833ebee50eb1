#include "server/sync/extras.h"

#include "schema/sync.h"
#include "server/e2ee/device-lists.h"
#include "server/e2ee/to-device.h"
#include "server/node.h"
#include "server/push/push-rules.h"

#include <string.h>

/* Messages to a device in one answer. */
#define MAX_MESSAGES 100

gint64
cm_sync_ephemeral_since (const CmSyncAnswer *answer)
{
  const CmSyncToken *since = &answer->request->since;

  return since->epoch == answer->next.epoch ? since->ephemeral : 0;
}

gboolean
cm_sync_wants_ephemeral (const CmSyncAnswer *answer, const char *room_id, const char *type)
{
  const CmEventFilter *filter = answer->request->filter->ephemeral;

  return cm_event_filter_wants_room (filter, room_id) &&
         cm_event_filter_wants (filter, type, NULL, NULL);
}

static void
add_global (CmSyncAnswer *answer, const char *type, GBytes *content)
{
  if (cm_event_filter_wants (answer->request->filter->account_data, type, NULL, NULL))
    cm_sync_room_add_datum (answer->account_data, type, content);
}

static gboolean
has_datum (const GPtrArray *data, const char *type)
{
  for (guint i = 0; i < data->len; i++)
    if (strcmp (((CmSyncDatum *) g_ptr_array_index (data, i))->type, type) == 0)
      return TRUE;
  return FALSE;
}

void
cm_sync_add_account_data (CmSyncAnswer *answer, const CmRows *rows, GHashTable *rooms)
{
  const CmEventFilter *filter = answer->request->filter->room_account_data;

  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    const char *room_id = cm_rows_text (rows, i, 0), *type = cm_rows_text (rows, i, 1);
    g_autoptr (GBytes) content = cm_rows_bytes (rows, i, 2);
    CmSyncRoom *room = room_id[0] != '\0' ? g_hash_table_lookup (rooms, room_id) : NULL;
    if (room_id[0] == '\0')
      add_global (answer, type, content);
    else if (room != NULL && !has_datum (room->account_data, type) &&
             cm_event_filter_wants_room (filter, room_id) &&
             cm_event_filter_wants (filter, type, NULL, NULL))
      cm_sync_room_add_datum (room->account_data, type, content);
  }
}

gboolean
cm_sync_add_push_rules (CmSyncAnswer *answer, GError **error)
{
  g_autoptr (GBytes) document =
      cm_push_rules_document (answer->request->node, answer->request->user_id, error);

  if (document == NULL)
    return FALSE;
  add_global (answer, "m.push_rules", document);
  return TRUE;
}

void
cm_sync_room_add_typing (const CmSyncAnswer *answer, CmSyncRoom *room)
{
  gint64 since = cm_sync_ephemeral_since (answer), counter;

  if (!cm_sync_wants_ephemeral (answer, room->room_id, "m.typing"))
    return;
  room->typists = cm_ephemeral_typists (answer->request->node->ephemeral, room->room_id, &counter);
  room->typing = room->fresh ? room->typists->len > 0 : counter > since;
}

void
cm_sync_add_typing (CmSyncAnswer *answer)
{
  gboolean changed = cm_ephemeral_typing_changed (answer->request->node->ephemeral,
                                                  cm_sync_ephemeral_since (answer));

  for (guint i = 0; i < answer->rooms->len; i++) {
    CmSyncRoom *room = g_ptr_array_index (answer->rooms, i);
    if (room->membership == CM_MEMBERSHIP_JOIN && (changed || room->fresh))
      cm_sync_room_add_typing (answer, room);
  }
}

/* Those whose presence changed, and those who came into a room: for who is new to a client all is
 * news. */
static GPtrArray *
presence_candidates (const CmSyncAnswer *answer)
{
  CmEphemeral *ephemeral = answer->request->node->ephemeral;
  gint64 since = cm_sync_ephemeral_since (answer);
  gboolean all = answer->request->initial;

  for (guint i = 0; i < answer->rooms->len && !all; i++) {
    const CmSyncRoom *room = g_ptr_array_index (answer->rooms, i);
    all = room->membership == CM_MEMBERSHIP_JOIN && (room->fresh || room->changed_members);
  }
  return cm_ephemeral_presence_since (ephemeral, all ? 0 : since);
}

static gboolean
is_wanted (const CmSyncAnswer *answer, const CmPresence *presence)
{
  return cm_event_filter_wants (answer->request->filter->presence, "m.presence", presence->user_id,
                                NULL);
}

/* Only of those who share a room, and the user's own (CVE-2023-43796). */
gboolean
cm_sync_add_presence (CmSyncAnswer *answer, GError **error)
{
  const CmSyncRequest *request = answer->request;
  g_autoptr (GPtrArray) candidates = presence_candidates (answer);
  g_autoptr (GPtrArray) user_ids = g_ptr_array_new ();

  for (guint i = candidates->len; i > 0; i--) {
    const CmPresence *presence = g_ptr_array_index (candidates, i - 1);
    if (is_wanted (answer, presence))
      g_ptr_array_add (user_ids, presence->user_id);
    else
      g_ptr_array_remove_index_fast (candidates, i - 1);
  }
  if (candidates->len == 0)
    return TRUE;
  g_ptr_array_add (user_ids, NULL);
  g_autoptr (CmDb) db = cm_pool_get (request->node->pool, error);
  g_auto (GStrv) sharing =
      db != NULL ? cm_sync_sharing (db, request->user, (const char *const *) user_ids->pdata, error)
                 : NULL;
  if (sharing == NULL)
    return FALSE;
  while (candidates->len > 0) {
    CmPresence *presence = g_ptr_array_steal_index_fast (candidates, candidates->len - 1);
    if (strcmp (presence->user_id, request->user_id) == 0 ||
        g_strv_contains ((const char *const *) sharing, presence->user_id))
      g_ptr_array_add (answer->presence, presence);
    else
      cm_presence_free (presence);
  }
  return TRUE;
}

static gboolean
add_messages (CmSyncAnswer *answer, GError **error)
{
  const CmSyncRequest *request = answer->request;
  gint64 from = request->since.to_device, last = answer->next.position;

  /* The client has what came before its token ("Extensions to /sync" of Send-to-Device). */
  if (from > 0 &&
      !cm_to_device_acknowledge (request->node, request->user_id, request->device_id, from, error))
    return FALSE;
  GPtrArray *messages = cm_to_device_read (request->node, request->user_id, request->device_id,
                                           from, answer->next.position, MAX_MESSAGES, &last, error);
  if (messages == NULL)
    return FALSE;
  g_ptr_array_unref (answer->to_device);
  answer->to_device = messages;
  answer->next.to_device = MAX (last, from);
  return TRUE;
}

gboolean
cm_sync_add_key_counts (CmSyncAnswer *answer, GError **error)
{
  const CmSyncRequest *request = answer->request;
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  if (request->device_id == NULL)
    return TRUE;
  cm_json_open_object (writer, NULL);
  if (!cm_device_key_counts_put (request->node, writer, request->user_id, request->device_id,
                                 error))
    return FALSE;
  cm_json_close (writer);
  answer->keys = cm_json_writer_end_doc (writer);
  return TRUE;
}

gboolean
cm_sync_add_encryption (CmSyncAnswer *answer, GError **error)
{
  const CmSyncRequest *request = answer->request;

  if (request->device_id == NULL)
    return TRUE;
  return add_messages (answer, error) &&
         (request->initial || cm_device_lists_between (
                                  request->node, request->user_id, request->since.position,
                                  answer->next.position, &answer->changed, &answer->left, error)) &&
         cm_sync_add_key_counts (answer, error);
}
