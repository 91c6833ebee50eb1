/* Sending and redacting events. */
#include "federation/append.h"
#include "schema/client-transaction.h"
#include "schema/relation.h"
#include "server/node.h"
#include "server/rooms/find.h"
#include "server/routes.h"

#include <string.h>

/* The committer's word: the event is stored, or it is not. */
static void
sent (CmEvent *event, const GError *error, gpointer data)
{
  g_autoptr (CmCall) call = data;

  if (event == NULL) {
    cm_call_reply (call, cm_reply_error (error));
    return;
  }
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "event_id", event->event_id);
  cm_json_close (writer);
  cm_call_reply (call, cm_reply_json (writer));
}

/* client-server, "Transaction identifiers": @scope is what stands in the path before the id. */
static void
set_transaction (CmCall *call, CmDraft *draft, const char *scope)
{
  draft->txn_device = cm_call_device (call) != NULL ? cm_call_device (call) : "";
  draft->txn_scope = scope;
  draft->txn_id = cm_call_param (call, "txnId");
}

/* Nobody waits for the commit: the answer comes from sent (). */
static CmReply *
append (CmCall *call, CmRoom *room, CmDraft *draft)
{
  draft->sender = cm_call_user (call);
  cm_room_append_async (room, draft, sent, cm_call_ref (call));
  return CM_REPLY_LATER;
}

/* client-server, "m.annotation relationship type", "Avoiding duplicate annotations". A send that is
 * repeated is no duplicate. */
static gboolean
check_annotation (CmCall *call, const CmDraft *draft, GError **error)
{
  const CmJson *relates_to = cm_json_get (draft->content, "m.relates_to");
  const char *parent = cm_json_get_text (relates_to, "event_id");
  const char *key = cm_json_get_text (relates_to, "key");
  gboolean again, repeated = FALSE;

  if (parent == NULL || key == NULL ||
      g_strcmp0 (cm_json_get_text (relates_to, "rel_type"), "m.annotation") != 0)
    return TRUE;
  g_autoptr (CmDb) db = cm_pool_get (cm_call_node (call)->pool, error);
  if (db == NULL ||
      !cm_relation_is_annotated (db, parent, key, cm_call_user (call), draft->type, &again, error))
    return FALSE;
  if (again && !cm_client_transaction_is_known (db, cm_call_user (call), draft->txn_device,
                                                draft->txn_scope, draft->txn_id, &repeated, error))
    return FALSE;
  if (!again || repeated)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_DUPLICATE_ANNOTATION, "You have said that already");
  return FALSE;
}

/* PUT /rooms/{roomId}/send/{eventType}/{txnId} */
static CmReply *
send_message (CmCall *call, GError **error)
{
  CmDraft draft = { .type = cm_call_param (call, "eventType"), .content = cm_call_json (call) };
  g_autofree char *scope =
      g_strdup_printf ("send/%s/%s", cm_call_param (call, "roomId"), draft.type);
  g_autoptr (CmRoom) room = cm_call_room (call, error);

  set_transaction (call, &draft, scope);
  if (room == NULL || !check_annotation (call, &draft, error))
    return NULL;
  if (strcmp (draft.type, "m.room.redaction") == 0)
    draft.redacts = cm_json_get_text (draft.content, "redacts");
  return append (call, room, &draft);
}

/* client-server, "Account suspension": who is suspended may redact what they said themselves. */
static gboolean
check_suspended (CmCall *call, const char *target, GError **error)
{
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmEvent) event = NULL;

  if (!cm_call_requester (call)->suspended)
    return TRUE;
  event = cm_event_store_find (cm_rooms_events (cm_call_node (call)->rooms), target, &failure);
  if (event != NULL && strcmp (event->sender, cm_call_user (call)) == 0)
    return TRUE;
  if (event != NULL || g_error_matches (failure, CM_ERROR, CM_ERROR_NOT_FOUND))
    return cm_fail (error, CM_ERROR_USER_SUSPENDED, "This account has been suspended");
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

/* PUT /rooms/{roomId}/redact/{eventId}/{txnId}, and without txnId as older clients have it */
static CmReply *
redact (CmCall *call, GError **error)
{
  CmDraft draft = { .type = "m.room.redaction",
                    .content = cm_call_json (call),
                    .redacts = cm_call_param (call, "eventId") };
  g_autofree char *scope =
      g_strdup_printf ("redact/%s/%s", cm_call_param (call, "roomId"), draft.redacts);
  g_autoptr (CmRoom) room = cm_call_room (call, error);

  if (room == NULL || !check_suspended (call, draft.redacts, error))
    return NULL;
  if (strcmp (cm_call_method (call), "PUT") == 0)
    set_transaction (call, &draft, scope);
  return append (call, room, &draft);
}

#define ROOM "/_matrix/client/v3/rooms/{roomId}"

const CmRoute cm_routes_send[] = {
  { "PUT", ROOM "/send/{eventType}/{txnId}", CM_AUTH_TOKEN_GUEST, CM_LIMIT_SEND, CM_LANE_CLIENT,
    CM_BODY_JSON, send_message, 0 },
  { "PUT", ROOM "/redact/{eventId}/{txnId}", CM_AUTH_TOKEN, CM_LIMIT_SEND, CM_LANE_CLIENT,
    CM_BODY_JSON_OPTIONAL, redact, 0 },
  { "POST", ROOM "/redact/{eventId}", CM_AUTH_TOKEN, CM_LIMIT_SEND, CM_LANE_CLIENT,
    CM_BODY_JSON_OPTIONAL, redact, 0 },
  CM_ROUTES_END,
};
