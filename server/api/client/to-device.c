#include "crypto/id.h"
#include "schema/committer.h"
#include "schema/to-device.h"
#include "server/e2ee/direct-to-device.h"
#include "server/e2ee/to-device.h"
#include "server/node.h"
#include "server/routes.h"

/* How many devices one request may write to. */
#define MAX_RECIPIENTS 10000

typedef struct {
  CmCall *call;
  CmWrite *write;
  CmDirectToDevice *elsewhere;
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
  while (cm_json_iter_next (&iter, NULL, &content))
    if (!cm_to_device_put (cm_call_node (delivery->call), delivery->write,
                           cm_call_user (delivery->call),
                           cm_call_param (delivery->call, "eventType"), user_id,
                           cm_json_text (iter.key), content, error))
      return FALSE;
  return TRUE;
}

static gboolean
deliver (Delivery *delivery, const char *user_id, const CmJson *by_device, GError **error)
{
  if (cm_id_domain_is (user_id, cm_call_node (delivery->call)->server_name))
    return deliver_here (delivery, user_id, by_device, error);
  return cm_direct_to_device_put (delivery->elsewhere, user_id, by_device, error);
}

static gboolean
sort_out (Delivery *delivery, GError **error)
{
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
    if (!deliver (delivery, user_id, by_device, error))
      return FALSE;
  }
  return TRUE;
}

static CmReply *
send_to_device (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (CmWrite) write = cm_write_new ();
  g_autoptr (CmDirectToDevice) elsewhere =
      cm_direct_to_device_new (write, cm_call_user (call), cm_call_param (call, "eventType"));
  Delivery delivery = { .call = call, .write = write, .elsewhere = elsewhere };
  GError *local = NULL;

  cm_mailbox_remember_transaction (
      write, cm_call_requester (call)->user, cm_call_device (call) ? cm_call_device (call) : "",
      cm_call_param (call, "eventType"), cm_call_param (call, "txnId"), g_get_real_time () / 1000);
  if (!sort_out (&delivery, error))
    return NULL;
  cm_direct_to_device_end (elsewhere);
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
