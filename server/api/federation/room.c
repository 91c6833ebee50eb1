#include "server/api/federation/room.h"

#include "crypto/id.h"
#include "federation/intake.h"
#include "federation/timeline.h"

#include <string.h>

#define PORTION 1000

static CmRoom *
find_room (CmCall *call, const char *room_id, GError **error)
{
  CmNode *node = cm_call_node (call);

  if (!cm_id_is_room (room_id)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "That is no room id");
    return NULL;
  }
  g_autoptr (CmRoom) room = cm_rooms_get (node->rooms, room_id, error);
  g_autoptr (CmRoomView) view = room != NULL ? cm_room_view (room) : NULL;
  if (view == NULL)
    return NULL;
  if (view->local_joined == 0) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "This server is not in the room");
    return NULL;
  }
  return cm_room_check_acl (view, cm_call_origin (call), error) ? g_steal_pointer (&room) : NULL;
}

CmRoom *
cm_federation_room (CmCall *call, GError **error)
{
  return find_room (call, cm_call_param (call, "roomId"), error);
}

CmRoomView *
cm_federation_joined_room_of (CmCall *call, const char *room_id, GError **error)
{
  g_autoptr (CmRoom) room = find_room (call, room_id, error);
  g_autoptr (CmRoomView) view = room != NULL ? cm_room_view (room) : NULL;

  if (view == NULL || g_hash_table_contains (view->servers, cm_call_origin (call)))
    return g_steal_pointer (&view);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "Your server is not in the room");
  return NULL;
}

CmRoomView *
cm_federation_joined_room (CmCall *call, GError **error)
{
  return cm_federation_joined_room_of (call, cm_call_param (call, "roomId"), error);
}

static CmEvent *
find_in_graph (CmNode *node, const CmRoomView *view, const char *event_id, GError **error)
{
  g_autoptr (CmEvent) event = cm_event_store_find (cm_rooms_events (node->rooms), event_id, error);

  if (event == NULL)
    return NULL;
  if (strcmp (event->room_id, view->room_id) == 0 &&
      (event->flags & (CM_EVENT_OUTLIER | CM_EVENT_REJECTED)) == 0)
    return g_steal_pointer (&event);
  g_set_error_literal (error, CM_ERROR, CM_ERROR_NOT_FOUND, "Event not found");
  return NULL;
}

CmEvent *
cm_federation_event (CmCall *call, const CmRoomView *view, const char *event_id, gboolean *visible,
                     GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (GPtrArray) events = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_event_unref);

  if (!cm_id_is_event (event_id)) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "That is no event id");
    return NULL;
  }
  g_autoptr (CmEvent) event = find_in_graph (node, view, event_id, error);
  if (event == NULL)
    return NULL;
  g_ptr_array_add (events, cm_event_ref (event));
  if (!cm_timeline_filter_for_server (node->rooms, events, cm_call_origin (call), error))
    return NULL;
  if (visible != NULL)
    *visible = events->pdata[0] == event;
  return cm_event_ref (events->pdata[0]);
}

gboolean
cm_federation_check_own (CmCall *call, const char *user_id, GError **error)
{
  if (cm_id_is_user (user_id) && cm_id_domain_is (user_id, cm_call_origin (call)))
    return TRUE;
  g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "That is no user of your server");
  return FALSE;
}

/* Adds to @next the auth events of those in @numbers from @first on that are not in @seen. */
static gboolean
step_back (CmRooms *rooms, const gint64 *numbers, gsize count, GHashTable *seen, GArray *next,
           GError **error)
{
  g_autoptr (GPtrArray) events =
      cm_event_store_get_many (cm_rooms_events (rooms), numbers, count, error);

  if (events == NULL)
    return FALSE;
  for (guint i = 0; i < events->len; i++) {
    const CmEvent *event = events->pdata[i];
    for (guint j = 0; event != NULL && j < event->auth->len; j++) {
      gint64 number = g_array_index (event->auth, gint64, j);
      if (g_hash_table_add (seen, g_memdup2 (&number, sizeof number)))
        g_array_append_val (next, number);
    }
  }
  return TRUE;
}

/* rooms/v12: nobody names the create event, but who is to judge the others needs it. */
static gboolean
add_create (CmRooms *rooms, gint64 number, GHashTable *seen, GArray *chain, GError **error)
{
  g_autoptr (CmEvent) event = cm_event_store_get (cm_rooms_events (rooms), number, error);

  if (event == NULL)
    return FALSE;
  if (!event->version->room_id_is_create_hash)
    return TRUE;
  g_autofree char *id = g_strconcat ("$", event->room_id + 1, NULL);
  g_autoptr (CmEvent) create = cm_event_store_find (cm_rooms_events (rooms), id, error);
  if (create == NULL)
    return FALSE;
  if (g_hash_table_add (seen, g_memdup2 (&create->number, sizeof create->number)))
    g_array_append_val (chain, create->number);
  return TRUE;
}

GArray *
cm_federation_auth_chain (CmRooms *rooms, const GArray *numbers, GError **error)
{
  g_autoptr (GArray) chain = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  guint done = 0;

  if (numbers->len == 0)
    return g_steal_pointer (&chain);
  for (guint at = 0; at < numbers->len; at += PORTION) {
    if (!step_back (rooms, &g_array_index (numbers, gint64, at), MIN (PORTION, numbers->len - at),
                    seen, chain, error))
      return NULL;
  }
  while (done < chain->len) {
    guint count = MIN (PORTION, chain->len - done);
    g_autofree gint64 *step =
        g_memdup2 (&g_array_index (chain, gint64, done), count * sizeof (gint64));
    done += count;
    if (!step_back (rooms, step, count, seen, chain, error))
      return NULL;
  }
  return add_create (rooms, g_array_index (numbers, gint64, 0), seen, chain, error)
             ? g_steal_pointer (&chain)
             : NULL;
}

typedef void (*PutFunc) (CmJsonWriter *writer, const CmEvent *event);

static gboolean
put_each (CmJsonWriter *writer, const char *key, CmRooms *rooms, const GArray *numbers, PutFunc put,
          GError **error)
{
  cm_json_open_array (writer, key);
  for (guint at = 0; at < numbers->len; at += PORTION) {
    g_autoptr (GPtrArray) events =
        cm_event_store_get_many (cm_rooms_events (rooms), &g_array_index (numbers, gint64, at),
                                 MIN (PORTION, numbers->len - at), error);
    if (events == NULL)
      return FALSE;
    for (guint i = 0; i < events->len; i++) {
      if (events->pdata[i] != NULL)
        put (writer, events->pdata[i]);
    }
  }
  cm_json_close (writer);
  return TRUE;
}

static void
put_pdu (CmJsonWriter *writer, const CmEvent *event)
{
  cm_event_write (writer, NULL, event, CM_FORMAT_FEDERATION, NULL);
}

gboolean
cm_federation_put_events (CmJsonWriter *writer, const char *key, CmRooms *rooms,
                          const GArray *numbers, GError **error)
{
  return put_each (writer, key, rooms, numbers, put_pdu, error);
}

static void
put_id (CmJsonWriter *writer, const CmEvent *event)
{
  cm_json_put_text (writer, NULL, event->event_id);
}

gboolean
cm_federation_put_ids (CmJsonWriter *writer, const char *key, CmRooms *rooms, const GArray *numbers,
                       GError **error)
{
  return put_each (writer, key, rooms, numbers, put_id, error);
}

GArray *
cm_federation_state_numbers (const CmStateMap *state)
{
  GArray *numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  const CmStateEntry *entries = cm_state_map_entries (state);

  for (gsize i = 0; i < cm_state_map_size (state); i++)
    g_array_append_val (numbers, entries[i].event);
  return numbers;
}
