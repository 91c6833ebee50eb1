#include "federation/destination-private.h"

#include "crypto/hash.h"
#include "crypto/json-writer.h"
#include "federation/clock.h"
#include "federation/event.h"

#include <string.h>

#define ID_BYTES 15

static const CmSql select_events = {
  "destination-pdus",
  "SELECT e.id, e.event_id, e.flags, e.redacted_by IS NOT NULL, r.version, j.json"
  " FROM event e JOIN event_json j ON j.id = e.id JOIN room r ON r.id = e.room"
  " WHERE e.id = ANY ($1)"
};
/* So many and so many bytes of the oldest, one in any case. */
static const CmSql select_edus = {
  "destination-edus",
  "SELECT id, edu, found FROM (SELECT id, edu, count (*) OVER () AS found,"
  " sum (octet_length (edu)) OVER (ORDER BY id) AS total FROM"
  " (SELECT id, edu FROM destination_edu WHERE server = $1 ORDER BY id LIMIT $2) oldest) summed"
  " WHERE total <= $3 OR total = octet_length (edu) ORDER BY id"
};
static const CmSql select_edus_again = {
  "destination-edus-again",
  "SELECT id, edu FROM destination_edu WHERE server = $1 AND id = ANY ($2) ORDER BY id"
};
static const CmSql acknowledge_events = {
  "destination-acknowledge",
  "INSERT INTO destination (server, sent, quick) VALUES ($1, $2, $3) ON CONFLICT (server)"
  " DO UPDATE SET sent = greatest (destination.sent, excluded.sent), quick = excluded.quick"
};
static const CmSql acknowledge_edus = {
  "destination-acknowledge-edus",
  "WITH gone AS (DELETE FROM destination_edu WHERE server = $1 AND id = ANY ($2)"
  " RETURNING octet_length (edu) AS bytes),"
  " room AS (SELECT count (*) AS edus, coalesce (sum (bytes), 0) AS bytes FROM gone)"
  " UPDATE destination SET edus = greatest (destination.edus - room.edus, 0),"
  " edu_bytes = greatest (edu_bytes - room.bytes, 0), edus_since = $3, quick = $4 FROM room"
  " WHERE server = $1"
};

/* A transaction that is being put together; its id is the hash of what goes into it. */
typedef struct {
  CmJsonWriter *writer;
  GChecksum *checksum;
  guint items;
} Builder;

static void
builder_clear (Builder *builder)
{
  g_clear_pointer (&builder->writer, cm_json_writer_free);
  g_clear_pointer (&builder->checksum, g_checksum_free);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Builder, builder_clear)

static void
put_item (Builder *builder, GBytes *json)
{
  gsize size;
  const guchar *data = g_bytes_get_data (json, &size);

  cm_json_put_bytes (builder->writer, NULL, json);
  g_checksum_update (builder->checksum, data, (gssize) size);
  builder->items++;
}

/* The bytes of a row as others may see them: pruned when it was redacted. NULL when it must not or
 * cannot go out. */
static GBytes *
read_event (const CmRows *rows, gsize row)
{
  g_autoptr (GBytes) bytes = cm_rows_bytes (rows, row, 5);
  const CmRoomVersion *version = cm_room_version_find (cm_rows_text (rows, row, 4));
  const char *event_id = cm_rows_text (rows, row, 1);
  g_autoptr (CmEvent) event = NULL;
  g_autoptr (CmEvent) pruned = NULL;
  g_autoptr (GError) failure = NULL;

  if (cm_rows_integer (rows, row, 2) & (CM_EVENT_REJECTED | CM_EVENT_SOFT_FAILED))
    return NULL;
  if (version != NULL)
    event = cm_event_load (version, bytes, event_id, &failure);
  if (event != NULL && !cm_rows_boolean (rows, row, 3))
    return g_bytes_ref (event->bytes);
  if (event != NULL)
    pruned = cm_event_redact (event, NULL, &failure);
  if (pruned == NULL) {
    g_warning ("Event %s cannot be sent: %s", event_id,
               failure != NULL ? failure->message : "its room version is not known");
    return NULL;
  }
  return g_bytes_ref (pruned->bytes);
}

static gboolean
put_events (Builder *builder, CmDb *db, GArray *events, GError **error)
{
  g_autoptr (GArray) numbers = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autoptr (GHashTable) found = g_hash_table_new (g_int64_hash, g_int64_equal);
  g_autoptr (CmRows) rows = NULL;
  g_autofree gint64 *ids = NULL;

  for (guint i = 0; i < events->len; i++)
    g_array_append_val (numbers, g_array_index (events, CmOutgoing, i).event);
  rows = cm_db_query (db, &select_events, CM_ARGS (cm_param_integers (numbers)), error);
  if (rows == NULL)
    return FALSE;
  ids = g_new (gint64, cm_rows_count (rows) + 1);
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    ids[i] = cm_rows_integer (rows, i, 0);
    g_hash_table_insert (found, &ids[i], GSIZE_TO_POINTER (i + 1));
  }
  for (guint i = 0; i < numbers->len; i++) {
    gsize row = GPOINTER_TO_SIZE (g_hash_table_lookup (found, &g_array_index (numbers, gint64, i)));
    g_autoptr (GBytes) json = row > 0 ? read_event (rows, row - 1) : NULL;

    if (json != NULL)
      put_item (builder, json);
  }
  return TRUE;
}

/* The bytes come from our own code; but one bad row would spoil the whole transaction. */
static void
put_edu (Builder *builder, GBytes *edu)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse_bytes (edu, NULL);
  const CmJson *root = cm_json_doc_root (doc);

  if (cm_json_get_text (root, "edu_type") == NULL || cm_json_get_object (root, "content") == NULL ||
      !cm_json_is_canonical (root)) {
    g_warning ("An EDU that cannot be sent is left out");
    return;
  }
  put_item (builder, edu);
}

static char *
end_id (Builder *builder, const char *server)
{
  guint8 digest[CM_SHA256_SIZE];
  gsize length = sizeof digest;

  g_checksum_update (builder->checksum, (const guchar *) server, -1);
  g_checksum_get_digest (builder->checksum, digest, &length);
  return cm_hex (digest, ID_BYTES);
}

/* Writes the content of @batch: its events, @edus (nullable) as they were read for it, and
 * @ephemeral (nullable). */
static gboolean
fill (CmTransactionBatch *batch, CmDb *db, const char *origin, const char *server,
      const CmRows *edus, GPtrArray *ephemeral, GError **error)
{
  g_auto (Builder)
      builder = { .writer = cm_json_writer_new (), .checksum = g_checksum_new (G_CHECKSUM_SHA256) };

  cm_json_open_object (builder.writer, NULL);
  cm_json_put_text (builder.writer, "origin", origin);
  cm_json_put_integer (builder.writer, "origin_server_ts", batch->made_at);
  cm_json_open_array (builder.writer, "pdus");
  if (batch->events->len > 0 && !put_events (&builder, db, batch->events, error))
    return FALSE;
  cm_json_close (builder.writer);
  cm_json_open_array (builder.writer, "edus");
  for (gsize i = 0; edus != NULL && i < cm_rows_count (edus); i++) {
    g_autoptr (GBytes) edu = cm_rows_bytes (edus, i, 1);

    put_edu (&builder, edu);
  }
  for (guint i = 0; ephemeral != NULL && i < ephemeral->len; i++)
    put_edu (&builder, ephemeral->pdata[i]);
  cm_json_close (builder.writer);
  cm_json_close (builder.writer);
  batch->items = builder.items;
  if (builder.items > 0)
    batch->content = cm_json_writer_end_doc (builder.writer);
  if (batch->id == NULL)
    batch->id = end_id (&builder, server);
  return TRUE;
}

CmTransactionBatch *
cm_transaction_batch_make (CmPool *pool, const char *origin, const char *server, GArray *events,
                           guint edu_limit, GPtrArray *ephemeral, GError **error)
{
  g_autoptr (CmTransactionBatch) batch = g_new0 (CmTransactionBatch, 1);
  g_autoptr (CmDb) db = cm_pool_get (pool, error);
  g_autoptr (CmRows) edus = NULL;

  batch->made_at = cm_clock_ms ();
  batch->events = g_array_ref (events);
  batch->edus = g_array_new (FALSE, FALSE, sizeof (gint64));
  if (events->len > 0)
    batch->position = g_array_index (events, CmOutgoing, events->len - 1).position;
  if (db != NULL && edu_limit > 0)
    edus = cm_db_query (
        db, &select_edus,
        CM_ARGS (CM_TEXT (server), CM_INT (edu_limit), CM_INT (CM_TRANSACTION_MAX_EDU_BYTES)),
        error);
  if (db == NULL || (edu_limit > 0 && edus == NULL))
    return NULL;
  for (gsize i = 0; edus != NULL && i < cm_rows_count (edus); i++) {
    gint64 id = cm_rows_integer (edus, i, 0);

    g_array_append_val (batch->edus, id);
    batch->more_edus =
        batch->edus->len >= edu_limit || cm_rows_integer (edus, i, 2) > (gint64) i + 1;
  }
  return fill (batch, db, origin, server, edus, ephemeral, error) ? g_steal_pointer (&batch) : NULL;
}

gboolean
cm_transaction_batch_refill (CmTransactionBatch *batch, CmPool *pool, const char *origin,
                             const char *server, GError **error)
{
  g_autoptr (CmDb) db = NULL;
  g_autoptr (CmRows) edus = NULL;

  if (batch->content != NULL || batch->items == 0)
    return TRUE;
  db = cm_pool_get (pool, error);
  if (db != NULL)
    edus = cm_db_query (db, &select_edus_again,
                        CM_ARGS (CM_TEXT (server), cm_param_integers (batch->edus)), error);
  return edus != NULL && fill (batch, db, origin, server, edus, NULL, error);
}

void
cm_transaction_batch_shed (CmTransactionBatch *batch)
{
  g_clear_pointer (&batch->content, cm_json_doc_unref);
}

void
cm_transaction_batch_free (CmTransactionBatch *batch)
{
  g_free (batch->id);
  cm_transaction_batch_shed (batch);
  g_array_unref (batch->events);
  g_array_unref (batch->edus);
  g_free (batch);
}

CmWrite *
cm_transaction_batch_acknowledge (const CmTransactionBatch *batch, const char *server,
                                  gboolean quick)
{
  CmWrite *write = cm_write_new ();

  if (batch->position > 0)
    cm_write_add (write, &acknowledge_events,
                  CM_ARGS (CM_TEXT (server), CM_INT (batch->position), CM_BOOL (quick)));
  if (batch->edus->len > 0)
    cm_write_add (write, &acknowledge_edus,
                  CM_ARGS (CM_TEXT (server), cm_param_integers (batch->edus),
                           CM_INT (cm_clock_ms ()), CM_BOOL (quick)));
  return write;
}
