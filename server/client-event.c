#include "server/client-event.h"

#include "schema/client-transaction.h"
#include "server/aggregations.h"
#include "server/node.h"

#include <string.h>

/* What "unsigned" needs beside the event itself. Arrays run parallel to the events; items may be
 * NULL. */
typedef struct {
  GHashTable *transactions; /* event number -> transaction id */
  GPtrArray *before;        /* of CmStateMap */
  GPtrArray *replaced;      /* of CmEvent: the state event that this one took the place of */
  GPtrArray *redactions;    /* of CmEvent */
  GPtrArray *memberships;   /* of CmEvent: the viewer's own, at that event */
  GPtrArray *relations;     /* of GBytes */
} Gathered;

static void
gathered_clear (Gathered *gathered)
{
  g_clear_pointer (&gathered->transactions, g_hash_table_unref);
  g_clear_pointer (&gathered->before, g_ptr_array_unref);
  g_clear_pointer (&gathered->replaced, g_ptr_array_unref);
  g_clear_pointer (&gathered->redactions, g_ptr_array_unref);
  g_clear_pointer (&gathered->memberships, g_ptr_array_unref);
  g_clear_pointer (&gathered->relations, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Gathered, gathered_clear)

/* Only the events of the viewer's own can carry a transaction id of his. */
static gboolean
gather_transactions (Gathered *gathered, const CmViewer *viewer, GPtrArray *events, GError **error)
{
  if (viewer->user_id == NULL || viewer->device_id == NULL)
    return TRUE;
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    if (event != NULL && strcmp (event->sender, viewer->user_id) == 0)
      g_array_append_val (numbers, event->number);
  }
  if (numbers->len == 0)
    return TRUE;
  g_autoptr (CmDb) db = cm_pool_get (viewer->node->pool, error);
  if (db == NULL)
    return FALSE;
  gathered->transactions =
      cm_client_transactions_of (db, viewer->user_id, viewer->device_id, numbers, error);
  return gathered->transactions != NULL;
}

static gboolean
gather_states (Gathered *gathered, CmRooms *rooms, GPtrArray *events, GError **error)
{
  g_autofree gint64 *ids = g_new (gint64, events->len + 1);

  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    ids[i] = event != NULL ? event->state_before : 0;
  }
  gathered->before = cm_rooms_states_at (rooms, ids, events->len, error);
  return gathered->before != NULL;
}

/* The events at one key of each state, in one look-up. */
static GPtrArray *
events_at (Gathered *gathered, CmRooms *rooms, GPtrArray *events, guint32 type, guint32 state_key,
           GError **error)
{
  g_autoptr (GArray) numbers = g_array_sized_new (FALSE, FALSE, sizeof (gint64), events->len);
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    CmStateMap *map = g_ptr_array_index (gathered->before, i);
    gint64 number = 0;
    if (map != NULL && type == 0 && event->state_key_sym != 0)
      number = cm_state_map_get (map, event->type_sym, event->state_key_sym);
    else if (map != NULL && type != 0)
      number = cm_state_map_get (map, type, state_key);
    g_array_append_val (numbers, number);
  }
  return cm_event_store_get_many (cm_rooms_events (rooms), (const gint64 *) numbers->data,
                                  numbers->len, error);
}

static gboolean
gather_memberships (Gathered *gathered, const CmViewer *viewer, GPtrArray *events, GError **error)
{
  if (viewer->user_id == NULL)
    return TRUE;
  CmIds *ids = viewer->node->ids;
  GError *local = NULL;
  gint64 member = cm_sym (ids, "m.room.member", error);
  gint64 user = member != 0 ? cm_sym_lookup (ids, viewer->user_id, &local) : 0;
  if (local != NULL)
    g_propagate_error (error, local);
  if (member == 0 || local != NULL)
    return FALSE;
  if (user == 0)
    return TRUE;
  gathered->memberships =
      events_at (gathered, viewer->node->rooms, events, (guint32) member, (guint32) user, error);
  return gathered->memberships != NULL;
}

static gboolean
gather_redactions (Gathered *gathered, CmRooms *rooms, GPtrArray *events, GError **error)
{
  g_autoptr (GPtrArray) ids = g_ptr_array_new ();
  gathered->redactions = g_ptr_array_new_full (events->len, (GDestroyNotify) NULL);
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    if (event != NULL && event->redacted_because != NULL)
      g_ptr_array_add (ids, event->redacted_because);
  }
  if (ids->len == 0)
    return TRUE;
  g_autoptr (GPtrArray) found = cm_event_store_find_many (
      cm_rooms_events (rooms), (const char *const *) ids->pdata, ids->len, error);
  if (found == NULL)
    return FALSE;
  g_ptr_array_unref (gathered->redactions);
  gathered->redactions = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);
  guint next = 0;
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    gboolean redacted = event != NULL && event->redacted_because != NULL;
    CmEvent *redaction = redacted ? g_ptr_array_index (found, next++) : NULL;
    g_ptr_array_add (gathered->redactions, redaction != NULL ? cm_event_ref (redaction) : NULL);
  }
  return TRUE;
}

static gboolean
gather_past (Gathered *gathered, const CmViewer *viewer, GPtrArray *events, GError **error)
{
  CmRooms *rooms = viewer->node->rooms;

  if (!gather_states (gathered, rooms, events, error) ||
      !gather_memberships (gathered, viewer, events, error))
    return FALSE;
  gathered->replaced = events_at (gathered, rooms, events, 0, 0, error);
  return gathered->replaced != NULL;
}

static gboolean
gather (Gathered *gathered, const CmViewer *viewer, GPtrArray *events, GError **error)
{
  gboolean state = (viewer->flags & CM_SHOW_STATE) != 0;

  if (!gather_transactions (gathered, viewer, events, error) ||
      !gather_redactions (gathered, viewer->node->rooms, events, error) ||
      (!state && !gather_past (gathered, viewer, events, error)))
    return FALSE;
  if (state || (viewer->flags & CM_SHOW_NO_AGGREGATIONS))
    return TRUE;
  gathered->relations = cm_aggregations (viewer, events, error);
  return gathered->relations != NULL;
}

static gpointer
item (GPtrArray *array, guint i)
{
  return array != NULL && i < array->len ? g_ptr_array_index (array, i) : NULL;
}

static const char *
membership_text (const CmEvent *event, const CmEvent *viewer_member, const char *user_id)
{
  /* MSC4115: the membership after the event, if the event is itself the viewer's. */
  if (cm_event_is (event, "m.room.member", user_id))
    return cm_event_membership (event);
  return viewer_member != NULL ? cm_event_membership (viewer_member) : "leave";
}

static CmJsonDoc *
unsigned_of (const CmViewer *viewer, const CmEvent *event, const Gathered *gathered, guint i)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  const CmEvent *replaced = item (gathered->replaced, i);
  const CmEvent *redaction = item (gathered->redactions, i);
  const char *transaction = gathered->transactions != NULL
                                ? g_hash_table_lookup (gathered->transactions, &event->number)
                                : NULL;

  cm_json_open_object (writer, NULL);
  cm_json_put_integer (writer, "age", MAX (0, g_get_real_time () / 1000 - event->origin_server_ts));
  cm_json_put_text (writer, "transaction_id", transaction);
  if (viewer->user_id != NULL && !(viewer->flags & CM_SHOW_STATE))
    cm_json_put_text (writer, "membership",
                      membership_text (event, item (gathered->memberships, i), viewer->user_id));
  if (replaced != NULL) {
    cm_json_put_node (writer, "prev_content", replaced->content);
    cm_json_put_text (writer, "prev_sender", replaced->sender);
    cm_json_put_text (writer, "replaces_state", replaced->event_id);
  }
  if (redaction != NULL)
    cm_event_write (writer, "redacted_because", redaction, CM_FORMAT_CLIENT, NULL);
  GBytes *relations = item (gathered->relations, i);
  if (relations != NULL)
    cm_json_put_bytes (writer, "m.relations", relations);
  cm_json_close (writer);
  return cm_json_writer_end_doc (writer);
}

/* client-server, POST /account/deactivate: who came later is shown redacted copies of what an
 * erased user said. */
static gboolean
is_withheld (const CmViewer *viewer, const CmEvent *event, const Gathered *gathered, guint i)
{
  if (viewer->user_id == NULL || (viewer->flags & CM_SHOW_STATE) != 0 ||
      !cm_rooms_is_erased (viewer->node->rooms, event))
    return FALSE;
  const char *membership =
      membership_text (event, item (gathered->memberships, i), viewer->user_id);
  return g_strcmp0 (membership, "join") != 0;
}

static GBytes *
show (const CmViewer *viewer, const CmEvent *event, const Gathered *gathered, guint i)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_autoptr (CmJsonDoc) members = unsigned_of (viewer, event, gathered, i);
  CmEventFormat format =
      viewer->flags & CM_SHOW_NO_ROOM_ID ? CM_FORMAT_CLIENT_NO_ROOM_ID : CM_FORMAT_CLIENT;

  cm_event_write (writer, NULL, event, format, cm_json_doc_root (members));
  return cm_json_writer_end (writer);
}

GPtrArray *
cm_client_events (const CmViewer *viewer, GPtrArray *events, GError **error)
{
  g_auto (Gathered) gathered = { 0 };

  if (!gather (&gathered, viewer, events, error))
    return NULL;
  GPtrArray *shown = g_ptr_array_new_full (events->len, (GDestroyNotify) g_bytes_unref);
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = g_ptr_array_index (events, i);
    g_autoptr (CmEvent) pruned = NULL;
    if (event != NULL && is_withheld (viewer, event, &gathered, i))
      event = pruned = cm_event_redact (event, NULL, NULL);
    g_ptr_array_add (shown, event != NULL ? show (viewer, event, &gathered, i) : NULL);
  }
  return shown;
}

GBytes *
cm_client_event (const CmViewer *viewer, CmEvent *event, GError **error)
{
  g_autoptr (GPtrArray) one = g_ptr_array_new ();

  g_ptr_array_add (one, event);
  g_autoptr (GPtrArray) shown = cm_client_events (viewer, one, error);
  return shown != NULL ? g_bytes_ref (g_ptr_array_index (shown, 0)) : NULL;
}

gboolean
cm_client_events_put (CmJsonWriter *writer, const char *key, const CmViewer *viewer,
                      GPtrArray *events, GError **error)
{
  g_autoptr (GPtrArray) shown = cm_client_events (viewer, events, error);

  if (shown == NULL)
    return FALSE;
  cm_json_open_array (writer, key);
  for (guint i = 0; i < shown->len; i++)
    if (g_ptr_array_index (shown, i) != NULL)
      cm_json_put_bytes (writer, NULL, g_ptr_array_index (shown, i));
  cm_json_close (writer);
  return TRUE;
}

void
cm_client_event_put_stripped (CmJsonWriter *writer, const char *key, const CmEvent *event)
{
  cm_event_write (writer, key, event, CM_FORMAT_STRIPPED, NULL);
}
