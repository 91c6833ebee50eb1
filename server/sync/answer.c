#include "server/sync/answer.h"

#include "schema/receipt.h"

static void
free_datum (gpointer data)
{
  CmSyncDatum *datum = data;

  g_free (datum->type);
  g_bytes_unref (datum->content);
  g_free (datum);
}

GPtrArray *
cm_sync_data_new (void)
{
  return g_ptr_array_new_with_free_func (free_datum);
}

void
cm_sync_room_add_datum (GPtrArray *data, const char *type, GBytes *content)
{
  CmSyncDatum *datum = g_new (CmSyncDatum, 1);

  datum->type = g_strdup (type);
  datum->content = g_bytes_ref (content);
  g_ptr_array_add (data, datum);
}

CmSyncRoom *
cm_sync_room_new (gint64 room_sym, const char *room_id)
{
  CmSyncRoom *room = g_new0 (CmSyncRoom, 1);

  room->room = room_sym;
  room->room_id = g_strdup (room_id);
  room->timeline = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  room->shown = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  room->state = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  room->receipts = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_receipt_free);
  room->account_data = cm_sync_data_new ();
  room->unread = g_array_new (FALSE, FALSE, sizeof (CmSyncCount));
  room->joined = room->invited = -1;
  return room;
}

void
cm_sync_room_free (CmSyncRoom *room)
{
  g_free (room->room_id);
  g_ptr_array_unref (room->timeline);
  g_ptr_array_unref (room->shown);
  g_ptr_array_unref (room->state);
  g_ptr_array_unref (room->receipts);
  g_clear_pointer (&room->typists, g_ptr_array_unref);
  g_ptr_array_unref (room->account_data);
  g_array_unref (room->unread);
  g_strfreev (room->heroes);
  g_clear_pointer (&room->stripped, g_bytes_unref);
  g_free (room);
}

gboolean
cm_sync_room_is_news (const CmSyncRoom *room)
{
  return room->fresh || room->timeline->len > 0 || room->limited || room->state->len > 0 ||
         room->receipts->len > 0 || room->typing || room->account_data->len > 0 ||
         room->stripped != NULL;
}

CmSyncAnswer *
cm_sync_answer_new (const CmSyncRequest *request, gint64 cut)
{
  CmSyncAnswer *answer = g_new0 (CmSyncAnswer, 1);
  CmEphemeral *ephemeral = request->node->ephemeral;

  answer->request = request;
  answer->next.position = MAX (cut, request->since.position);
  answer->next.to_device = request->since.to_device;
  answer->next.ephemeral = cm_ephemeral_counter (ephemeral);
  answer->next.epoch = cm_ephemeral_epoch (ephemeral);
  answer->rooms = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_sync_room_free);
  answer->account_data = cm_sync_data_new ();
  answer->presence = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_presence_free);
  answer->to_device = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  return answer;
}

void
cm_sync_answer_free (CmSyncAnswer *answer)
{
  g_ptr_array_unref (answer->rooms);
  g_ptr_array_unref (answer->account_data);
  g_ptr_array_unref (answer->presence);
  g_ptr_array_unref (answer->to_device);
  g_strfreev (answer->changed);
  g_strfreev (answer->left);
  g_clear_pointer (&answer->keys, cm_json_doc_unref);
  g_clear_pointer (&answer->ignored, g_hash_table_unref);
  g_free (answer);
}

static gboolean
has_items (char **list)
{
  return list != NULL && list[0] != NULL;
}

gboolean
cm_sync_answer_is_empty (const CmSyncAnswer *answer)
{
  return answer->rooms->len == 0 && answer->account_data->len == 0 && answer->presence->len == 0 &&
         answer->to_device->len == 0 && !has_items (answer->changed) && !has_items (answer->left);
}

GHashTable *
cm_sync_ignored (GBytes *content)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (content, NULL);
  const CmJson *users =
      doc != NULL ? cm_json_get_object (cm_json_doc_root (doc), "ignored_users") : NULL;
  GHashTable *ignored = NULL;
  CmJsonIter iter;

  cm_json_iter_init (&iter, users);
  while (cm_json_iter_next (&iter, NULL, NULL)) {
    const char *user_id = cm_json_text (iter.key);
    if (user_id == NULL)
      continue;
    if (ignored == NULL)
      ignored = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_add (ignored, g_strdup (user_id));
  }
  return ignored;
}
