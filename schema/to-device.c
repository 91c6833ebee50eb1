#include "schema/to-device.h"

/* A device that never comes back must not fill the database. */
#define MAX_MESSAGES "20000"
#define MAX_BYTES    "100000000"

static const CmSql add_message = {
  "mailbox_add",
  "WITH taken AS (INSERT INTO mailbox AS box (user_id, device_id, messages, bytes)"
  " SELECT user_id, device_id, 1, octet_length ($4::bytea) FROM device"
  " WHERE user_id = $1 AND ($2 = '*' OR device_id = $2)"
  " ON CONFLICT (user_id, device_id) DO UPDATE SET messages = box.messages + 1,"
  " bytes = box.bytes + excluded.bytes"
  " WHERE box.messages < " MAX_MESSAGES " AND box.bytes < " MAX_BYTES
  " RETURNING user_id, device_id)"
  " INSERT INTO to_device (user_id, device_id, position, message)"
  " SELECT user_id, device_id, $3, $4 FROM taken",
};

static const CmSql read_messages = {
  "mailbox_read",
  "SELECT position, message FROM to_device WHERE user_id = $1 AND device_id = $2 AND position > $3 "
  "AND position <= $4"
  " ORDER BY position, number LIMIT $5",
};

static const CmSql empty_mailbox = {
  "mailbox_empty",
  "WITH gone AS (DELETE FROM to_device WHERE user_id = $1 AND device_id = $2 AND position <= $3"
  " RETURNING octet_length (message) AS bytes),"
  " sums AS (SELECT count (*) AS messages, coalesce (sum (bytes), 0)::bigint AS bytes FROM gone)"
  " UPDATE mailbox SET messages = mailbox.messages - sums.messages,"
  " bytes = mailbox.bytes - sums.bytes FROM sums"
  " WHERE user_id = $1 AND device_id = $2 AND sums.messages > 0",
};

static const CmSql remember_message = {
  "mailbox_remember",
  "INSERT INTO inbound_to_device (origin, message_id, ts) VALUES ($1, $2, $3) ON CONFLICT DO "
  "NOTHING",
};

/* There is no index by age: it would cost each message more than this walk costs all. */
static const CmSql forget_remembered = {
  "mailbox_forget_remembered",
  "DELETE FROM inbound_to_device WHERE ctid = ANY (ARRAY ("
  "SELECT ctid FROM inbound_to_device WHERE ts < $1 LIMIT $2))",
};

static const CmSql remember_transaction = {
  "mailbox_remember_transaction",
  "INSERT INTO client_transaction (user_id, device_id, scope, txn_id, ts) VALUES ($1, $2, "
  "'to-device/' || $3, $4, $5)"
  " ON CONFLICT DO NOTHING",
};

void
cm_mailbox_add (CmWrite *write, const char *user_id, const char *device_id, GBytes *message)
{
  gint64 offset = cm_write_take_positions (write, 1);

  cm_write_add (
      write, &add_message,
      CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_POSITION (offset), CM_BYTES (message)));
  cm_write_topic (write, CM_TOPIC_USER, user_id);
}

CmRows *
cm_mailbox_read (CmDb *db, const char *user_id, const char *device_id, gint64 from, gint64 to,
                 guint limit, GError **error)
{
  return cm_db_query (
      db, &read_messages,
      CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_INT (from), CM_INT (to), CM_INT (limit)),
      error);
}

gboolean
cm_mailbox_empty (CmDb *db, const char *user_id, const char *device_id, gint64 position,
                  GError **error)
{
  return cm_db_run (db, &empty_mailbox,
                    CM_ARGS (CM_TEXT (user_id), CM_TEXT (device_id), CM_INT (position)), NULL,
                    error);
}

void
cm_mailbox_remember (CmWrite *write, const char *origin, const char *message_id, gint64 now_ms)
{
  cm_write_add_fenced (write, &remember_message,
                       CM_ARGS (CM_TEXT (origin), CM_TEXT (message_id), CM_INT (now_ms)));
}

gboolean
cm_mailbox_forget_remembered (CmDb *db, gint64 before_ms, gint64 limit, gboolean *more,
                              GError **error)
{
  gint64 gone = 0;
  gboolean done = cm_db_run (db, &forget_remembered, CM_ARGS (CM_INT (before_ms), CM_INT (limit)),
                             &gone, error);

  *more = gone >= limit;
  return done;
}

void
cm_mailbox_remember_transaction (CmWrite *write, gint64 user, const char *device_id,
                                 const char *type, const char *txn_id, gint64 now_ms)
{
  cm_write_add_fenced (write, &remember_transaction,
                       CM_ARGS (CM_INT (user), CM_TEXT (device_id), CM_TEXT (type),
                                CM_TEXT (txn_id), CM_INT (now_ms)));
}
