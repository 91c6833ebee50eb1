/* Transactions (server-server, "Transactions"). */
#include "server/api/federation/send.h"

#include "crypto/id.h"
#include "federation/intake.h"
#include "schema/committer.h"
#include "schema/inbound.h"
#include "server/api/federation/edus.h"
#include "server/api/federation/inbox.h"
#include "server/routes.h"

#include <string.h>

#define MAX_PDUS   50
#define MAX_EDUS   100
#define MAX_TXN_ID 255

/* One transaction on its way. */
typedef struct {
  CmNode *node;
  const char *origin;
  const char *txn_id;
  CmInbound *items;
  gsize count;
  GBytes *answer;
} Transaction;

static void
transaction_clear (Transaction *transaction)
{
  for (gsize i = 0; i < transaction->count; i++)
    cm_inbound_clear (&transaction->items[i]);
  g_free (transaction->items);
  g_clear_pointer (&transaction->answer, g_bytes_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Transaction, transaction_clear)

static GBytes *
make_answer (const Transaction *transaction)
{
  g_autoptr (CmJsonWriter) writer = cm_json_writer_new ();
  g_autoptr (GHashTable) told = g_hash_table_new (g_str_hash, g_str_equal);

  cm_json_open_object (writer, NULL);
  cm_json_open_object (writer, "pdus");
  for (gsize i = 0; i < transaction->count; i++) {
    const CmInbound *item = &transaction->items[i];
    if (item->event_id == NULL || !g_hash_table_add (told, item->event_id))
      continue;
    cm_json_open_object (writer, item->event_id);
    if (item->error != NULL)
      cm_json_put_text (writer, "error", item->error->message);
    cm_json_close (writer);
  }
  cm_json_close (writer);
  cm_json_close (writer);
  return cm_json_writer_end (writer);
}

/* The answer is stored with what it speaks of, so that a repeat gets the same (class
 * fed-replay). */
static void
add_answer (CmWrite *write, gpointer data)
{
  Transaction *transaction = data;

  g_clear_pointer (&transaction->answer, g_bytes_unref);
  transaction->answer = make_answer (transaction);
  cm_inbound_answered (write, transaction->origin, transaction->txn_id, transaction->answer);
}

static gboolean
commit_answer (Transaction *transaction, GError **error)
{
  CmWrite *write = cm_write_new ();

  add_answer (write, transaction);
  return cm_committer_commit (transaction->node->committer, write, error) >= 0;
}

static void
read_pdus (Transaction *transaction, const CmJson *pdus)
{
  const CmJson *pdu;
  CmJsonIter iter;

  transaction->items = g_new0 (CmInbound, cm_json_length (pdus) + 1);
  cm_json_iter_init (&iter, pdus);
  while (cm_json_iter_next (&iter, NULL, &pdu))
    transaction->items[transaction->count++].json = pdu;
}

static gboolean
receive_edus (const Transaction *transaction, const CmJson *edus, GError **error)
{
  const CmJson *edu;
  CmJsonIter iter;

  cm_json_iter_init (&iter, edus);
  while (cm_json_iter_next (&iter, NULL, &edu)) {
    if (!cm_federation_receive_edu (transaction->node, transaction->origin, edu, error))
      return FALSE;
  }
  return TRUE;
}

static CmReply *
reply_with (GBytes *answer)
{
  return cm_reply_new (200, "application/json", g_bytes_ref (answer));
}

/* What must not be lost of the EDUs is stored before the answer is; a repeat of them does no harm.
 */
static CmReply *
receive (CmCall *call, GError **error)
{
  g_auto (Transaction) transaction = {
    .node = cm_call_node (call),
    .origin = cm_call_origin (call),
    .txn_id = cm_call_param (call, "txnId"),
  };
  CmNode *node = transaction.node;
  const CmJson *edus = cm_json_get_array (cm_call_json (call), "edus");
  gboolean has_edus = cm_json_length (edus) > 0;
  g_autoptr (GError) failure = NULL;
  g_autoptr (GBytes) known = NULL;
  {
    g_autoptr (CmDb) db = cm_pool_get (node->pool, &failure);
    known = db != NULL ? cm_inbound_answer (db, transaction.origin, transaction.txn_id, &failure)
                       : NULL;
  }
  if (failure != NULL) {
    g_propagate_error (error, g_steal_pointer (&failure));
    return NULL;
  }
  if (known != NULL)
    return reply_with (known);
  read_pdus (&transaction, cm_json_get_array (cm_call_json (call), "pdus"));
  if (!cm_intake_receive_all (node->intake, transaction.origin, transaction.items,
                              transaction.count, has_edus ? NULL : add_answer, &transaction, error))
    return NULL;
  if (has_edus &&
      (!receive_edus (&transaction, edus, error) || !commit_answer (&transaction, error)))
    return NULL;
  return reply_with (transaction.answer);
}

static gboolean
is_list (const CmJson *body, const char *key, gboolean needed, gsize limit, GError **error)
{
  const CmJson *list = cm_json_get (body, key);

  if ((list == NULL && !needed) ||
      (cm_json_type (list) == CM_JSON_ARRAY && cm_json_length (list) <= limit))
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "%s must be an array of at most %u", key,
               (guint) limit);
  return FALSE;
}

/* PUT /_matrix/federation/v1/send/{txnId} */
static CmReply *
send (CmCall *call, GError **error)
{
  const CmJson *body = cm_call_json (call);

  if (strlen (cm_call_param (call, "txnId")) > MAX_TXN_ID) {
    g_set_error_literal (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "The transaction id is too long");
    return NULL;
  }
  if (!is_list (body, "pdus", TRUE, MAX_PDUS, error) ||
      !is_list (body, "edus", FALSE, MAX_EDUS, error))
    return NULL;
  return cm_inbox_take (cm_call_node (call)->inbox, call, error);
}

gboolean
cm_federation_start_inbox (CmNode *node, GError **error)
{
  node->inbox = cm_inbox_new (node, receive);
  return TRUE;
}

void
cm_federation_stop_inbox (CmNode *node)
{
  g_clear_pointer (&node->inbox, cm_inbox_free);
}

const CmRoute cm_routes_federation_send[] = {
  { "PUT", "/_matrix/federation/v1/send/{txnId}", CM_AUTH_FEDERATION, CM_LIMIT_FEDERATION,
    CM_LANE_INBOX, CM_BODY_JSON, send },
  CM_ROUTES_END,
};
