#include "server/sync/extras.h"

#include "schema/sync.h"
#include "server/e2ee/device-lists.h"
#include "server/e2ee/to-device.h"
#include "server/ephemeral/typing.h"
#include "server/node.h"
#include "server/push/push-rules.h"

#include <string.h>

/* Messages to a device in one answer. */
#define MAX_MESSAGES 100
/* Members of rooms that are new to the client whose presence it is told. */
#define MAX_NEWCOMERS 100

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

static gboolean
wants_presence (const CmSyncAnswer *answer, const char *user_id)
{
  return cm_event_filter_wants (answer->request->filter->presence, "m.presence", user_id, NULL);
}

static void
note_newcomers_of (const CmSyncRoom *room, GHashTable *newcomers)
{
  GPtrArray *lists[] = { room->timeline, room->state };

  for (gsize l = 0; l < G_N_ELEMENTS (lists); l++)
    for (guint i = 0; i < lists[l]->len; i++) {
      const CmEvent *event = g_ptr_array_index (lists[l], i);
      if (strcmp (event->type, "m.room.member") == 0 &&
          g_strcmp0 (cm_event_membership (event), "join") == 0)
        g_hash_table_add (newcomers, g_strdup (event->state_key));
    }
}

/* (transfer full) a set of user ids: those whom the client may never have heard of, since they came
 * into a room of the user's, or he into theirs. Of large rooms they are not all. */
static GHashTable *
find_newcomers (const CmSyncAnswer *answer, GError **error)
{
  g_autoptr (GHashTable) newcomers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GArray) fresh = g_array_new (FALSE, FALSE, sizeof (gint64));

  for (guint i = 0; i < answer->rooms->len && !answer->request->initial; i++) {
    const CmSyncRoom *room = g_ptr_array_index (answer->rooms, i);
    if (room->membership != CM_MEMBERSHIP_JOIN)
      continue;
    if (room->fresh)
      g_array_append_val (fresh, room->room);
    else if (room->changed_members)
      note_newcomers_of (room, newcomers);
  }
  if (fresh->len == 0)
    return g_steal_pointer (&newcomers);
  g_autoptr (CmDb) db = cm_pool_get (answer->request->node->pool, error);
  g_auto (GStrv) members =
      db != NULL ? cm_sync_some_members (db, fresh, MAX_NEWCOMERS, error) : NULL;
  if (members == NULL)
    return NULL;
  for (gsize i = 0; members[i] != NULL; i++)
    g_hash_table_add (newcomers, g_strdup (members[i]));
  return g_steal_pointer (&newcomers);
}

/* What is known of a user, or else that he is not here. */
static void
add_presence_of (CmSyncAnswer *answer, const char *user_id)
{
  CmPresence *presence = cm_ephemeral_presence_of (answer->request->node->ephemeral, user_id);

  g_ptr_array_add (answer->presence, presence != NULL ? presence : cm_presence_offline (user_id));
}

/* Adds to @people those whose presence changed, and takes out whom the filter does not want. */
static void
find_changed (const CmSyncAnswer *answer, GHashTable *people)
{
  g_autoptr (GPtrArray) changed = cm_ephemeral_presence_since (answer->request->node->ephemeral,
                                                               cm_sync_ephemeral_since (answer));
  GHashTableIter iter;
  gpointer user_id;

  g_hash_table_remove (people, answer->request->user_id);
  while (changed->len > 0)
    g_hash_table_add (people, g_ptr_array_steal_index_fast (changed, changed->len - 1));
  g_hash_table_iter_init (&iter, people);
  while (g_hash_table_iter_next (&iter, &user_id, NULL))
    if (!wants_presence (answer, user_id))
      g_hash_table_iter_remove (&iter);
}

/* Takes the presence of those who share a room, and the user's own (CVE-2023-43796). */
static gboolean
take_sharing (CmSyncAnswer *answer, GHashTable *people, GError **error)
{
  const CmSyncRequest *request = answer->request;
  gboolean own = g_hash_table_remove (people, request->user_id);
  g_autofree gpointer *user_ids = g_hash_table_get_keys_as_array (people, NULL);
  g_autoptr (CmDb) db = cm_pool_get (request->node->pool, error);
  g_auto (GStrv) sharing =
      db != NULL ? cm_sync_sharing (db, request->user, (const char *const *) user_ids, error)
                 : NULL;

  if (sharing == NULL)
    return FALSE;
  if (own)
    add_presence_of (answer, request->user_id);
  for (gsize i = 0; sharing[i] != NULL; i++)
    add_presence_of (answer, sharing[i]);
  return TRUE;
}

gboolean
cm_sync_add_presence (CmSyncAnswer *answer, GError **error)
{
  g_autoptr (GHashTable) people = find_newcomers (answer, error);

  if (people == NULL)
    return FALSE;
  find_changed (answer, people);
  return g_hash_table_size (people) == 0 || take_sharing (answer, people, error);
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
