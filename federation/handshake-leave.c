/* Knocking at a room that this node is not in; refusing an invite to one, or taking a knock back.
 */
#include "federation/handshake-private.h"

#include "crypto/id.h"
#include "federation/stripped.h"
#include "schema/inbound.h"

#include <string.h>

/* How many servers are asked to let somebody out before he is let out here alone. */
#define MAX_SERVERS 4

/* Names, rooms and users as numbers. */
static gboolean
find_syms (CmIntake *intake, const char *room_id, const char *user_id, gint64 *room, gint64 *user,
           GError **error)
{
  CmIds *ids = cm_rooms_parts (intake->parts.rooms)->ids;

  *room = cm_sym (ids, room_id, error);
  *user = *room != 0 ? cm_sym (ids, user_id, error) : 0;
  return *user != 0;
}

static gboolean
commit (CmIntake *intake, CmWrite *write, GError **error)
{
  return cm_committer_commit (cm_rooms_parts (intake->parts.rooms)->committer, write, error) >= 0;
}

static gboolean
store_knock (const CmPlea *plea, const CmEvent *event, const CmJson *answer, GError **error)
{
  g_autoptr (GBytes) stripped = cm_stripped_read (cm_json_get_array (answer, "knock_room_state"));
  CmOutside outside = {
    .membership = "knock",
    .event_id = event->event_id,
    .event = event->bytes,
    .stripped = stripped,
    .room_version = (char *) event->version->name,
  };

  if (!find_syms (plea->intake, plea->room_id, plea->user_id, &outside.room, &outside.user, error))
    return FALSE;
  CmWrite *write = cm_write_new ();
  cm_outside_put (write, &outside, cm_write_take_positions (write, 1));
  cm_write_topic (write, CM_TOPIC_USER, plea->user_id);
  return commit (plea->intake, write, error);
}

static gboolean
knock_at (const CmPlea *plea, const char *server, gpointer data, GError **error)
{
  g_autoptr (CmEvent) event = cm_plea_make (plea, server, error);
  g_autoptr (CmJsonDoc) answer = event != NULL ? cm_plea_send (plea, server, event, error) : NULL;

  return answer != NULL && store_knock (plea, event, cm_json_doc_root (answer), error);
}

gboolean
cm_handshake_knock (CmIntake *intake, const char *room_id, const char *user_id,
                    const char *const *via, const CmJson *content, GError **error)
{
  const CmPlea plea = { intake, room_id, user_id, "knock", content };

  return cm_plea_through (&plea, via, knock_at, NULL, error);
}

static void
add_server (const CmIntake *intake, GPtrArray *servers, const char *name)
{
  if (servers->len < MAX_SERVERS && cm_id_is_server_name (name) &&
      strcmp (name, intake->server_name) != 0 &&
      !g_ptr_array_find_with_equal_func (servers, name, g_str_equal, NULL))
    g_ptr_array_add (servers, g_strdup (name));
}

/* Who may be in the room: the server of whoever invited, of those whom the stripped state names,
 * and that of the room's id. */
static GPtrArray *
find_servers (const CmPlea *plea, const CmOutside *outside)
{
  GPtrArray *servers = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (CmJsonDoc) event = cm_json_parse_bytes (outside->event, NULL);
  g_autoptr (CmJsonDoc) stripped = cm_json_parse_bytes (outside->stripped, NULL);
  const CmJson *item;
  CmJsonIter iter;

  add_server (plea->intake, servers,
              cm_id_domain (cm_json_get_text (cm_json_doc_root (event), "sender")));
  add_server (plea->intake, servers, cm_id_domain (plea->room_id));
  cm_json_iter_init (&iter, cm_json_doc_root (stripped));
  while (cm_json_iter_next (&iter, NULL, &item))
    add_server (plea->intake, servers, cm_id_domain (cm_json_get_text (item, "sender")));
  return servers;
}

/* (transfer full) the event by which some server let the user out; NULL when none answers. */
static CmEvent *
leave_there (const CmPlea *plea, GPtrArray *servers)
{
  for (guint i = 0; i < servers->len; i++) {
    g_autoptr (GError) failure = NULL;
    g_autoptr (CmEvent) event = cm_plea_make (plea, servers->pdata[i], &failure);
    g_autoptr (CmJsonDoc) answer =
        event != NULL ? cm_plea_send (plea, servers->pdata[i], event, &failure) : NULL;
    if (answer != NULL)
      return g_steal_pointer (&event);
    g_message ("%s does not let %s out of %s: %s", (char *) servers->pdata[i], plea->user_id,
               plea->room_id, failure->message);
  }
  return NULL;
}

/* FALSE without @error: there is nothing to leave. */
static gboolean
find_outside (const CmPlea *plea, CmOutside *outside, GError **error)
{
  const CmRoomsParts *parts = cm_rooms_parts (plea->intake->parts.rooms);

  if (!find_syms (plea->intake, plea->room_id, plea->user_id, &outside->room, &outside->user,
                  error))
    return FALSE;
  g_autoptr (CmDb) db = cm_pool_get (parts->pool, error);
  return db != NULL && cm_outside_find (db, outside, error);
}

gboolean
cm_handshake_leave (CmIntake *intake, const char *room_id, const char *user_id,
                    const CmJson *content, GError **error)
{
  const CmPlea plea = { intake, room_id, user_id, "leave", content };
  g_autoptr (GError) failure = NULL;
  g_auto (CmOutside) outside = { 0 };

  if (!find_outside (&plea, &outside, &failure)) {
    if (failure != NULL)
      g_propagate_error (error, g_steal_pointer (&failure));
    else
      g_set_error_literal (error, CM_ERROR, CM_ERROR_FORBIDDEN, "You are not in this room");
    return FALSE;
  }
  if (strcmp (outside.membership, "leave") == 0)
    return TRUE;
  g_autoptr (GPtrArray) servers = find_servers (&plea, &outside);
  g_autoptr (CmEvent) event = leave_there (&plea, servers);
  CmWrite *write = cm_write_new ();
  cm_outside_leave (write, outside.user, outside.room, event != NULL ? event->event_id : NULL,
                    event != NULL ? event->bytes : NULL, cm_write_take_positions (write, 1));
  cm_write_topic (write, CM_TOPIC_USER, user_id);
  return commit (intake, write, error);
}
