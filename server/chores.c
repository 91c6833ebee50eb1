/* What the node does again and again by itself: a function and a row each. */
#include "server/housekeeping.h"

#include "federation/intake.h"
#include "federation/key-store.h"
#include "schema/client-transaction.h"
#include "schema/to-device.h"
#include "schema/token.h"
#include "server/config/config.h"

#define SECOND_MS G_GINT64_CONSTANT (1000)
#define HOUR_MS   (3600 * SECOND_MS)
#define DAY_MS    (24 * HOUR_MS)

/* A client that was away repeats what it could not send when it comes back, and knows by the
 * transaction id which of the events that it then sees are its own: after a long weekend too. */
#define TRANSACTIONS_KEPT_MS (7 * DAY_MS)

/* So long a client that comes back too late is still told that its token is too old, and not that
 * nobody knows it: then it would throw its keys away. */
#define OLD_TOKENS_KEPT_MS (30 * DAY_MS)

/* Anybody can have the keys of any name fetched: by asking for them, or in that name. Those of
 * servers that are met again and again are kept over some weeks of silence. */
#define STRANGE_KEYS_KEPT_MS (21 * DAY_MS)
#define STRANGE_KEYS_MOST    5000

/* Rows that one turn deletes at most. */
#define BATCH 5000

static gboolean
forget_old_transactions (CmNode *node, gboolean *more, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  gint64 before = g_get_real_time () / 1000 - TRANSACTIONS_KEPT_MS;

  return db != NULL && cm_client_transaction_forget_old (db, before, BATCH, more, error);
}

static gboolean
forget_transactions_of_deleted (CmNode *node, gboolean *more, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  return db != NULL && cm_client_transaction_forget_deleted (db, BATCH, more, error);
}

/* A server that was cut off sends again what it got no answer for, in a transaction of another id,
 * when it comes back; few try for longer than this. */
static gboolean
forget_messages_of_servers (CmNode *node, gboolean *more, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
  gint64 before = g_get_real_time () / 1000 - TRANSACTIONS_KEPT_MS;

  return db != NULL && cm_mailbox_forget_remembered (db, before, BATCH, more, error);
}

static gboolean
forget_refresh_tokens (CmNode *node, gboolean *more, GError **error)
{
  gint64 lifetime = node->config->accounts.refresh_token_lifetime;
  gint64 before = g_get_real_time () / 1000 - lifetime * 1000 - OLD_TOKENS_KEPT_MS;
  g_autoptr (CmDb) db = lifetime != 0 ? cm_pool_get (node->pool, error) : NULL;

  return lifetime == 0 || (db != NULL && cm_refresh_token_forget (db, before, BATCH, more, error));
}

static gboolean
forget_strange_keys (CmNode *node, gboolean *more, GError **error)
{
  gint64 before = g_get_real_time () / 1000 - STRANGE_KEYS_KEPT_MS;
  g_autoptr (CmDb) db = cm_pool_get (node->pool, error);

  return db != NULL &&
         cm_server_keys_forget (db, before, STRANGE_KEYS_MOST, BATCH / 10, more, error);
}

/* Events of other servers that were acknowledged, and whose turn failed with the database. */
static gboolean
see_to_events_left (CmNode *node, gboolean *more, GError **error)
{
  return node->intake == NULL || cm_intake_look_again (node->intake, error);
}

const CmChore cm_chores[] = {
  { "see to events left waiting", 10 * SECOND_MS, see_to_events_left },
  { "forget old transaction ids", HOUR_MS, forget_old_transactions },
  { "forget transaction ids of deleted devices", HOUR_MS, forget_transactions_of_deleted },
  { "forget old messages of servers to devices", HOUR_MS, forget_messages_of_servers },
  { "forget old refresh tokens", HOUR_MS, forget_refresh_tokens },
  { "forget keys of strange servers", HOUR_MS, forget_strange_keys },
};
const gsize cm_n_chores = G_N_ELEMENTS (cm_chores);
