#include "server/api/federation/edus.h"

#include "crypto/id.h"
#include "federation/intake.h"
#include "schema/committer.h"
#include "schema/receipt.h"
#include "schema/remote-device.h"
#include "server/e2ee/edu.h"
#include "server/ephemeral/presence.h"
#include "server/ephemeral/typing.h"

#include <string.h>

#define TYPING_MS    30000
#define MAX_PRESENCE 1000

/* So many receipts of one EDU are looked at. */
#define MAX_RECEIPTS 1000

/* Of so many threads of a room the receipts of one user are kept: the newest, for he may say to
 * have read any event as one. */
#define MAX_THREADS 100

static gboolean
is_of (const char *user_id, const char *origin)
{
  return cm_id_is_user (user_id) && cm_id_domain_is (user_id, origin);
}

/* (transfer full) the room, when this server is in it and it does not shut @origin out (class
 * acl-indirect). */
static CmRoomView *
open_room (CmNode *node, const char *origin, const char *room_id)
{
  g_autoptr (CmRoomView) view =
      cm_id_is_room (room_id) ? cm_rooms_view (node->rooms, room_id, NULL) : NULL;

  return view != NULL && view->local_joined > 0 && cm_room_check_acl (view, origin, NULL)
             ? g_steal_pointer (&view)
             : NULL;
}

static gboolean
receive_typing (CmNode *node, const char *origin, const char *type, const CmJson *content,
                GError **error)
{
  const char *user_id = cm_json_get_text (content, "user_id");
  g_autoptr (CmRoomView) view = open_room (node, origin, cm_json_get_text (content, "room_id"));

  if (view != NULL && is_of (user_id, origin) &&
      cm_room_membership (view, user_id) == CM_MEMBERSHIP_JOIN)
    cm_ephemeral_typing (node->ephemeral, view->room_id, user_id,
                         cm_json_get_boolean (content, "typing", FALSE) ? TYPING_MS : 0);
  return TRUE;
}

/* (transfer full) a set of the users of @push whom somebody here shares a room with; NULL with
 * @error. */
static GHashTable *
find_near (CmNode *node, const char *origin, const CmJson *push, GError **error)
{
  g_autoptr (GHashTable) near = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GPtrArray) users = g_ptr_array_new ();
  const CmJson *entry;
  CmJsonIter iter;

  cm_json_iter_init (&iter, push);
  while (users->len < MAX_PRESENCE && cm_json_iter_next (&iter, NULL, &entry))
    if (is_of (cm_json_get_text (entry, "user_id"), origin))
      g_ptr_array_add (users, (char *) cm_json_get_text (entry, "user_id"));
  g_ptr_array_add (users, NULL);
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  g_autoptr (CmRows) rows =
      db != NULL ? cm_remote_users_near (db, (char **) users->pdata, error) : NULL;
  if (rows == NULL)
    return NULL;
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_hash_table_add (near, g_strdup (cm_rows_text (rows, i, 0)));
  return g_steal_pointer (&near);
}

/* A message longer than users of this server may set is left out: that its owner is there is told
 * all the same. */
static const char *
status_of (const CmJson *entry)
{
  const CmJson *status = cm_json_get (entry, "status_msg");

  return cm_json_length (status) <= CM_PRESENCE_MAX_STATUS ? cm_json_text (status) : NULL;
}

static void
take_presence (CmNode *node, const char *user_id, const CmJson *entry)
{
  const char *state = cm_json_get_text (entry, "presence");
  gint64 ago = cm_json_get_integer (entry, "last_active_ago", 0);
  gint64 now = g_get_real_time () / 1000;

  if (cm_presence_is_state (state))
    cm_ephemeral_presence (node->ephemeral, user_id, state, status_of (entry),
                           now - CLAMP (ago, 0, now));
}

/* Of users who share no room with anybody here there is nobody to tell, and no need to remember
 * them; unless they are about to be met, and their server is quicker than the join. While one is
 * under way, any server can say so of anybody: they get no more than half of the place. */
static gboolean
receive_presence (CmNode *node, const char *origin, const char *type, const CmJson *content,
                  GError **error)
{
  const CmJson *push = cm_json_get_array (content, "push");
  gboolean entering = cm_intake_is_entering (node->intake);
  g_autoptr (GHashTable) near = find_near (node, origin, push, error);
  const CmJson *entry;
  CmJsonIter iter;

  if (near == NULL)
    return FALSE;
  cm_json_iter_init (&iter, push);
  for (guint i = 0; i < MAX_PRESENCE && cm_json_iter_next (&iter, NULL, &entry); i++) {
    const char *user_id = cm_json_get_text (entry, "user_id");
    if (is_of (user_id, origin) && (g_hash_table_contains (near, user_id) ||
                                    (entering && !cm_ephemeral_is_crowded (node->ephemeral))))
      take_presence (node, user_id, entry);
  }
  return TRUE;
}

/* The receipts of one EDU. */
typedef struct {
  CmNode *node;
  const char *origin;
  CmWrite *write;
  guint count; /* looked at */
} Receipts;

/* (transfer full) the event, when it stands in the room; NULL without @error when it does not. */
static CmEvent *
find_event (CmNode *node, const CmRoomView *view, const char *event_id, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) event =
      cm_event_store_find (cm_rooms_events (node->rooms), event_id, &failure);

  if (event != NULL && strcmp (event->room_id, view->room_id) == 0)
    return g_steal_pointer (&event);
  if (event == NULL && !g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND))
    g_propagate_error (error, g_steal_pointer (&failure));
  return NULL;
}

/* Whether there may be such a thread: that of an event of the room, or the one that @event
 * (nullable), which was read, says itself to be in, since roots can be older than what is held
 * here. FALSE with @error when it cannot be known. */
static gboolean
is_thread (CmNode *node, const CmRoomView *view, const char *thread, const CmEvent *event,
           GError **error)
{
  const CmJson *relation =
      event != NULL ? cm_json_get_object (event->content, "m.relates_to") : NULL;

  if (thread[0] == '\0' || strcmp (thread, "main") == 0)
    return TRUE;
  if (!cm_id_is_event (thread))
    return FALSE;
  if (g_strcmp0 (cm_json_get_text (relation, "event_id"), thread) == 0)
    return TRUE;
  g_autoptr (CmEvent) root = find_event (node, view, thread, error);
  return root != NULL;
}

static void
write_receipt (CmWrite *write, const CmReceipt *receipt)
{
  cm_receipt_write (write, receipt);
  if (receipt->thread_id[0] != '\0' && strcmp (receipt->thread_id, "main") != 0)
    cm_receipt_keep_threads (write, receipt, MAX_THREADS);
}

/* @entry: { event_ids, data: { ts, thread_id } } */
static gboolean
add_receipt (Receipts *receipts, const CmRoomView *view, const char *user_id, const CmJson *entry,
             GError **error)
{
  const CmJson *data = cm_json_get_object (entry, "data");
  const char *thread = cm_json_get_text (data, "thread_id");
  const CmJson *ids = cm_json_get_array (entry, "event_ids");
  gsize last = cm_json_length (ids);
  const char *event_id = last > 0 ? cm_json_text (cm_json_item (ids, last - 1)) : NULL;
  g_autoptr (GError) failure = NULL;

  receipts->count++;
  if (!cm_id_is_event (event_id))
    return TRUE;
  g_autoptr (CmEvent) event = find_event (receipts->node, view, event_id, &failure);
  const CmReceipt receipt = {
    .room = view->room,
    .room_id = view->room_id,
    .user_id = user_id,
    .type = "m.read",
    .thread_id = thread != NULL ? thread : "",
    .event_id = event_id,
    .event_position = event != NULL ? event->position : 0,
    .ts = cm_json_get_integer (data, "ts", g_get_real_time () / 1000),
  };
  if (failure == NULL && is_thread (receipts->node, view, receipt.thread_id, event, &failure))
    write_receipt (receipts->write, &receipt);
  if (failure == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

static gboolean
add_room (Receipts *receipts, const CmRoomView *view, const CmJson *by_user, GError **error)
{
  const CmJson *entry;
  const char *user_id;
  CmJsonIter iter;

  cm_json_iter_init (&iter, by_user);
  while (receipts->count < MAX_RECEIPTS && cm_json_iter_next (&iter, &user_id, &entry)) {
    if (is_of (cm_json_text (iter.key), receipts->origin) &&
        cm_room_membership (view, user_id) == CM_MEMBERSHIP_JOIN &&
        !add_receipt (receipts, view, user_id, entry, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean
receive_receipts (CmNode *node, const char *origin, const char *type, const CmJson *content,
                  GError **error)
{
  g_autoptr (CmWrite) write = cm_write_new ();
  Receipts receipts = { node, origin, write, 0 };
  const CmJson *by_type;
  CmJsonIter iter;

  cm_json_iter_init (&iter, content);
  while (receipts.count < MAX_RECEIPTS && cm_json_iter_next (&iter, NULL, &by_type)) {
    g_autoptr (CmRoomView) view = open_room (node, origin, cm_json_text (iter.key));
    if (view != NULL && !add_room (&receipts, view, cm_json_get_object (by_type, "m.read"), error))
      return FALSE;
  }
  return cm_write_positions (write) == 0 ||
         cm_committer_commit (node->committer, g_steal_pointer (&write), error) >= 0;
}

typedef struct {
  const char *type;
  gboolean (*receive) (CmNode *node, const char *origin, const char *type, const CmJson *content,
                       GError **error);
} Kind;

static const Kind kinds[] = {
  { "m.typing", receive_typing },
  { "m.presence", receive_presence },
  { "m.receipt", receive_receipts },
  { "m.direct_to_device", cm_e2ee_receive_edu },
  { "m.device_list_update", cm_e2ee_receive_edu },
  { "m.signing_key_update", cm_e2ee_receive_edu },
};

gboolean
cm_federation_receive_edu (CmNode *node, const char *origin, const CmJson *edu, GError **error)
{
  const char *type = cm_json_get_text (edu, "edu_type");

  for (gsize i = 0; i < G_N_ELEMENTS (kinds); i++) {
    if (g_strcmp0 (kinds[i].type, type) == 0)
      return kinds[i].receive (node, origin, type, cm_json_get_object (edu, "content"), error);
  }
  return TRUE;
}
