#include "crypto/hash.h"
#include "crypto/id.h"
#include "federation/destinations.h"
#include "schema/committer.h"
#include "schema/to-device.h"
#include "server/e2ee/to-device.h"
#include "server/node.h"
#include "server/routes.h"

#include <string.h>

/* How many devices one request may write to. */
#define MAX_RECIPIENTS 10000

/* What goes to one other server: the messages of an m.direct_to_device EDU, by user. */
typedef struct {
  CmCall *call;
  CmWrite *write;
  GHashTable *elsewhere; /* server name -> GPtrArray of user ids (borrowed) */
  guint recipients;
} Delivery;

static gboolean
bad (GError **error, const char *message)
{
  g_set_error_literal (error, CM_ERROR, CM_ERROR_BAD_JSON, message);
  return FALSE;
}

static gboolean
deliver_here (Delivery *delivery, const char *user_id, const CmJson *by_device, GError **error)
{
  const CmJson *content;
  CmJsonIter iter;

  cm_json_iter_init (&iter, by_device);
  while (cm_json_iter_next (&iter, NULL, &content)) {
    const char *device_id = cm_json_text (iter.key);
    if (device_id == NULL || cm_json_type (content) != CM_JSON_OBJECT)
      return bad (error, "messages must hold an object for each device");
    if (!cm_to_device_put (
            cm_call_node (delivery->call), delivery->write, cm_call_user (delivery->call),
            cm_call_param (delivery->call, "eventType"), user_id, device_id, content, error))
      return FALSE;
  }
  return TRUE;
}

static void
deliver_elsewhere (Delivery *delivery, const char *user_id)
{
  const char *server = cm_id_domain (user_id);
  GPtrArray *users = g_hash_table_lookup (delivery->elsewhere, server);

  if (users == NULL) {
    users = g_ptr_array_new ();
    g_hash_table_insert (delivery->elsewhere, (gpointer) server, users);
  }
  g_ptr_array_add (users, (gpointer) user_id);
}

static gboolean
sort_out (Delivery *delivery, GError **error)
{
  CmNode *node = cm_call_node (delivery->call);
  const CmJson *messages = cm_json_get_object (cm_call_json (delivery->call), "messages");
  const CmJson *by_device;
  CmJsonIter iter;

  if (messages == NULL)
    return bad (error, "messages must be an object");
  cm_json_iter_init (&iter, messages);
  while (cm_json_iter_next (&iter, NULL, &by_device)) {
    const char *user_id = cm_json_text (iter.key);
    if (!cm_id_is_user (user_id) || cm_json_type (by_device) != CM_JSON_OBJECT)
      return bad (error, "messages must hold an object for each user id");
    delivery->recipients += (guint) cm_json_length (by_device);
    if (delivery->recipients > MAX_RECIPIENTS) {
      g_set_error (error, CM_ERROR, CM_ERROR_TOO_LARGE, "Too many recipients");
      return FALSE;
    }
    if (!cm_id_domain_is (user_id, node->server_name))
      deliver_elsewhere (delivery, user_id);
    else if (!deliver_here (delivery, user_id, by_device, error))
      return FALSE;
  }
  return TRUE;
}

/* server-server, "Send-to-device messaging". */
static GBytes *
direct_to_device (const Delivery *delivery, GPtrArray *users)
{
  const CmJson *messages = cm_json_get_object (cm_call_json (delivery->call), "messages");
  g_autofree char *message_id = cm_random_token (24);
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();

  cm_json_open_object (writer, NULL);
  cm_json_put_text (writer, "edu_type", "m.direct_to_device");
  cm_json_open_object (writer, "content");
  cm_json_put_text (writer, "sender", cm_call_user (delivery->call));
  cm_json_put_text (writer, "type", cm_call_param (delivery->call, "eventType"));
  cm_json_put_text (writer, "message_id", message_id);
  cm_json_open_object (writer, "messages");
  for (guint i = 0; i < users->len; i++) {
    const char *user_id = g_ptr_array_index (users, i);
    cm_json_put_node (writer, user_id, cm_json_get (messages, user_id));
  }
  cm_json_close (writer);
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

static void
queue_elsewhere (Delivery *delivery)
{
  GHashTableIter iter;
  const char *server;
  GPtrArray *users;

  g_hash_table_iter_init (&iter, delivery->elsewhere);
  while (g_hash_table_iter_next (&iter, (gpointer *) &server, (gpointer *) &users)) {
    g_autoptr (GBytes) edu = direct_to_device (delivery, users);
    cm_destinations_queue (delivery->write, (const char *const[]){ server, NULL }, edu);
  }
}

static CmReply *
send_to_device (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (CmWrite) write = cm_write_new ();
  g_autoptr (GHashTable) elsewhere =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref);
  Delivery delivery = { .call = call, .write = write, .elsewhere = elsewhere };
  GError *local = NULL;

  cm_mailbox_remember_transaction (
      write, cm_call_requester (call)->user, cm_call_device (call) ? cm_call_device (call) : "",
      cm_call_param (call, "eventType"), cm_call_param (call, "txnId"), g_get_real_time () / 1000);
  if (!sort_out (&delivery, error))
    return NULL;
  queue_elsewhere (&delivery);
  if (cm_committer_commit (node->committer, g_steal_pointer (&write), &local) >= 0)
    return cm_reply_empty ();
  /* The device's own repetition: it was stored the first time. */
  if (g_error_matches (local, CM_ERROR, CM_ERROR_CONFLICT)) {
    g_error_free (local);
    return cm_reply_empty ();
  }
  g_propagate_error (error, local);
  return NULL;
}

#define MAX_BODY (8 * 1024 * 1024)

const CmRoute cm_routes_to_device[] = {
  { "PUT", "/_matrix/client/v3/sendToDevice/{eventType}/{txnId}", CM_AUTH_TOKEN_GUEST,
    CM_LIMIT_SEND, CM_LANE_CLIENT, CM_BODY_JSON, send_to_device, MAX_BODY },
  CM_ROUTES_END,
};
