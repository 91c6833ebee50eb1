#include "federation/key-store.h"

#include "crypto/json-writer.h"
#include "federation/clock.h"

#define MAX_SERVERS 20000

struct _CmKeyStore {
  CmPool *pool;
  GRWLock lock;
  GHashTable *servers; /* server -> (key id -> CmServerKey); all keys of a server that are in the
                          database, or none */
};

static const CmSql select_keys = {
  "server-key-select", "SELECT server, key_id, public_key, coalesce(expired_ts, valid_until_ts),"
                       " expired_ts IS NOT NULL FROM server_key WHERE server = ANY ($1)"
};
static const CmSql upsert_key = {
  "server-key-upsert",
  "INSERT INTO server_key (server, key_id, public_key, valid_until_ts, expired_ts, fetched_ts)"
  " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (server, key_id) DO UPDATE SET"
  " public_key = excluded.public_key, valid_until_ts = excluded.valid_until_ts,"
  " expired_ts = excluded.expired_ts, fetched_ts = excluded.fetched_ts"
};
/* What a server says itself is the newest; of what notaries tell some may be old. */
static const CmSql upsert_document = {
  "server-key-document-upsert",
  "INSERT INTO server_key_document AS d (server, document, valid_until_ts, fetched_ts)"
  " VALUES ($1, $2, $3, $4) ON CONFLICT (server) DO UPDATE SET document = excluded.document,"
  " valid_until_ts = excluded.valid_until_ts, fetched_ts = excluded.fetched_ts"
  " WHERE $5 OR excluded.valid_until_ts >= d.valid_until_ts"
};
/* What stood in the last document goes last. What goes can be asked for again: of the server, which
 * names its old keys, or of a notary. */
static const CmSql forget_keys = {
  "server-key-forget",
  "WITH kept AS (SELECT key_id FROM server_key WHERE server = $1 ORDER BY fetched_ts DESC,"
  " expired_ts IS NULL DESC, coalesce (expired_ts, valid_until_ts) DESC LIMIT $2),"
  " gone AS (DELETE FROM server_key WHERE server = $1"
  " AND key_id NOT IN (SELECT key_id FROM kept)) SELECT key_id FROM kept"
};
static const CmSql expire_own = { "server-key-expire-own",
                                  "UPDATE server_key SET expired_ts = $3"
                                  " WHERE server = $1 AND key_id <> $2 AND expired_ts IS NULL" };
static const CmSql select_document = {
  "server-key-document",
  "SELECT document, valid_until_ts FROM server_key_document WHERE server = $1"
};

/* Servers that no room has heard of: none of their events can stand in one. The newest $2 of them
 * stay, unless what they said has ended before $1. */
static const CmSql forget_strangers = {
  "server-key-forget-strangers",
  "WITH kin AS MATERIALIZED (SELECT DISTINCT substr (s.text, strpos (s.text, ':') + 1) AS server"
  "  FROM (SELECT DISTINCT user_id FROM member) m JOIN sym s ON s.id = m.user_id),"
  " strangers AS (SELECT server, valid_until_ts, row_number () OVER (ORDER BY fetched_ts DESC) AS "
  "place"
  "  FROM server_key_document d WHERE NOT EXISTS (SELECT FROM kin WHERE kin.server = d.server)),"
  " old AS MATERIALIZED (SELECT server FROM strangers WHERE valid_until_ts < $1 OR place > $2"
  "  LIMIT $3),"
  " keys AS (DELETE FROM server_key k USING old WHERE k.server = old.server)"
  " DELETE FROM server_key_document d USING old WHERE d.server = old.server"
};

static void
key_free (gpointer key)
{
  cm_server_key_free (key);
}

static GHashTable *
keys_of (CmKeyStore *store, const char *server)
{
  GHashTable *keys = g_hash_table_lookup (store->servers, server);

  if (keys != NULL)
    return keys;
  if (g_hash_table_size (store->servers) >= MAX_SERVERS)
    g_hash_table_remove_all (store->servers);
  keys = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, key_free);
  g_hash_table_insert (store->servers, g_strdup (server), keys);
  return keys;
}

static void
put_key (GHashTable *keys, CmServerKey *key)
{
  g_hash_table_replace (keys, key->key_id, key);
}

static CmServerKey *
read_key (const CmRows *rows, gsize row)
{
  CmServerKey *key = g_new0 (CmServerKey, 1);

  key->key_id = g_strdup (cm_rows_text (rows, row, 1));
  key->public_key = g_strdup (cm_rows_text (rows, row, 2));
  key->valid_until = cm_rows_integer (rows, row, 3);
  key->expired = cm_rows_boolean (rows, row, 4);
  return key;
}

CmKeyStore *
cm_key_store_new (CmPool *pool)
{
  CmKeyStore *store = g_new0 (CmKeyStore, 1);

  store->pool = pool;
  g_rw_lock_init (&store->lock);
  store->servers =
      g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_hash_table_unref);
  return store;
}

void
cm_key_store_free (CmKeyStore *store)
{
  g_hash_table_unref (store->servers);
  g_rw_lock_clear (&store->lock);
  g_free (store);
}

static const CmServerKey *
look_up (CmKeyStore *store, const char *server, const char *key_id)
{
  GHashTable *keys = g_hash_table_lookup (store->servers, server);

  return keys != NULL ? g_hash_table_lookup (keys, key_id) : NULL;
}

char *
cm_key_store_find (CmKeyStore *store, const char *server, const char *key_id, gint64 when_ms)
{
  g_autoptr (GRWLockReaderLocker) locker = g_rw_lock_reader_locker_new (&store->lock);
  const CmServerKey *key = look_up (store, server, key_id);

  if (key == NULL || !cm_server_key_is_good (key, when_ms, cm_clock_ms ()))
    return NULL;
  return g_strdup (key->public_key);
}

gboolean
cm_key_store_knows (CmKeyStore *store, const char *server, const char *key_id)
{
  g_autoptr (GRWLockReaderLocker) locker = g_rw_lock_reader_locker_new (&store->lock);

  return look_up (store, server, key_id) != NULL;
}

gboolean
cm_key_store_has_good (CmKeyStore *store, const char *server)
{
  g_autoptr (GRWLockReaderLocker) locker = g_rw_lock_reader_locker_new (&store->lock);
  GHashTable *keys = g_hash_table_lookup (store->servers, server);
  GHashTableIter iter;
  gpointer key;

  if (keys == NULL)
    return FALSE;
  g_hash_table_iter_init (&iter, keys);
  while (g_hash_table_iter_next (&iter, NULL, &key))
    if (cm_server_key_is_good (key, 0, cm_clock_ms ()))
      return TRUE;
  return FALSE;
}

static GStrv
not_in_memory (CmKeyStore *store, const char *const *servers)
{
  g_autoptr (GRWLockReaderLocker) locker = g_rw_lock_reader_locker_new (&store->lock);
  g_autoptr (GStrvBuilder) missing = g_strv_builder_new ();

  for (gsize i = 0; servers[i] != NULL; i++)
    if (!g_hash_table_contains (store->servers, servers[i]))
      g_strv_builder_add (missing, servers[i]);
  return g_strv_builder_end (missing);
}

gboolean
cm_key_store_load (CmKeyStore *store, const char *const *servers, GError **error)
{
  g_auto (GStrv) missing = not_in_memory (store, servers);
  g_autoptr (CmDb) db = NULL;
  g_autoptr (CmRows) rows = NULL;
  g_autoptr (GRWLockWriterLocker) locker = NULL;

  if (missing[0] == NULL)
    return TRUE;
  db = cm_pool_get (store->pool, error);
  if (db == NULL)
    return FALSE;
  rows = cm_db_query (db, &select_keys, CM_ARGS (CM_TEXTS ((const char *const *) missing)), error);
  if (rows == NULL)
    return FALSE;
  locker = g_rw_lock_writer_locker_new (&store->lock);
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    GHashTable *keys = keys_of (store, cm_rows_text (rows, i, 0));

    /* What was fetched meanwhile is newer. */
    if (!g_hash_table_contains (keys, cm_rows_text (rows, i, 1)))
      put_key (keys, read_key (rows, i));
  }
  for (gsize i = 0; missing[i] != NULL; i++)
    keys_of (store, missing[i]);
  return TRUE;
}

static gboolean
write_key (CmDb *db, const char *server, const CmServerKey *key, gint64 now, GError **error)
{
  return cm_db_run (db, &upsert_key,
                    CM_ARGS (CM_TEXT (server), CM_TEXT (key->key_id), CM_TEXT (key->public_key),
                             CM_INT (key->expired ? 0 : key->valid_until),
                             key->expired ? CM_INT (key->valid_until) : CM_SQL_NULL, CM_INT (now)),
                    NULL, error);
}

/* How long a document of @keys is good: one that is believed names a current key. */
static gint64
end_of (GPtrArray *keys)
{
  gint64 end = 0;

  for (guint i = 0; i < keys->len; i++) {
    const CmServerKey *key = keys->pdata[i];

    if (!key->expired)
      end = MAX (end, key->valid_until);
  }
  return end;
}

/* (transfer full) the ids of the keys of @server that the database has from now on. */
static CmRows *
write_keys (CmKeyStore *store, const char *server, GPtrArray *keys, GBytes *document,
            gboolean from_itself, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (store->pool, error);
  gint64 now = cm_clock_ms ();

  if (db == NULL ||
      !cm_db_run (db, &upsert_document,
                  CM_ARGS (CM_TEXT (server), CM_BYTES (document), CM_INT (end_of (keys)),
                           CM_INT (now), CM_BOOL (from_itself)),
                  NULL, error))
    return NULL;
  for (guint i = 0; i < keys->len; i++)
    if (!write_key (db, server, keys->pdata[i], now, error))
      return NULL;
  return cm_db_query (db, &forget_keys, CM_ARGS (CM_TEXT (server), CM_INT (CM_SERVER_KEYS_MAX)),
                      error);
}

/* Unless there are too many nothing is taken away: another thread may have learnt a key of which
 * @kept does not know yet. */
static void
keep_only (GHashTable *keys, const CmRows *kept)
{
  g_autoptr (GHashTable) ids = g_hash_table_new (g_str_hash, g_str_equal);
  GHashTableIter iter;
  gpointer key_id;

  if (g_hash_table_size (keys) <= CM_SERVER_KEYS_MAX)
    return;
  for (gsize i = 0; i < cm_rows_count (kept); i++)
    g_hash_table_add (ids, (char *) cm_rows_text (kept, i, 0));
  g_hash_table_iter_init (&iter, keys);
  while (g_hash_table_iter_next (&iter, &key_id, NULL))
    if (!g_hash_table_contains (ids, key_id))
      g_hash_table_iter_remove (&iter);
}

void
cm_key_store_save (CmKeyStore *store, const char *server, GPtrArray *keys, const CmJson *document,
                   gboolean from_itself)
{
  g_autoptr (GBytes) bytes = cm_json_canonical (document, NULL, NULL);
  g_autoptr (GError) failure = NULL;
  g_autoptr (CmRows) kept = write_keys (store, server, keys, bytes, from_itself, &failure);
  g_autoptr (GRWLockWriterLocker) locker = NULL;

  /* Nothing is loaded over what is saved here: cm_key_store_load came first, or finds the keys in
   * the table. */
  if (kept == NULL)
    g_warning ("Keys of %s could not be stored: %s", server, failure->message);
  locker = g_rw_lock_writer_locker_new (&store->lock);
  g_ptr_array_set_free_func (keys, NULL);
  for (guint i = 0; i < keys->len; i++)
    put_key (keys_of (store, server), keys->pdata[i]);
  if (kept != NULL)
    keep_only (keys_of (store, server), kept);
  g_ptr_array_unref (keys);
}

GPtrArray *
cm_key_store_set_own (CmKeyStore *store, const char *server, const CmSigningKey *key,
                      GError **error)
{
  const char *const servers[] = { server, NULL };
  g_autoptr (GPtrArray) old = g_ptr_array_new_with_free_func (key_free);
  g_autoptr (CmDb) db = cm_pool_get (store->pool, error);
  g_autoptr (CmRows) rows = NULL;

  if (db == NULL ||
      !cm_db_run (
          db, &expire_own,
          CM_ARGS (CM_TEXT (server), CM_TEXT (cm_signing_key_id (key)), CM_INT (cm_clock_ms ())),
          NULL, error) ||
      !cm_db_run (db, &upsert_key,
                  CM_ARGS (CM_TEXT (server), CM_TEXT (cm_signing_key_id (key)),
                           CM_TEXT (cm_signing_key_public (key)), CM_INT (G_MAXINT64), CM_SQL_NULL,
                           CM_INT (cm_clock_ms ())),
                  NULL, error))
    return NULL;
  rows = cm_db_query (db, &select_keys, CM_ARGS (CM_TEXTS (servers)), error);
  if (rows == NULL)
    return NULL;
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    if (cm_rows_boolean (rows, i, 4))
      g_ptr_array_add (old, read_key (rows, i));
  return g_steal_pointer (&old);
}

GBytes *
cm_key_store_document (CmKeyStore *store, const char *server, gint64 *valid_until, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (store->pool, error);
  g_autoptr (CmRows) rows = NULL;

  *valid_until = 0;
  if (db != NULL)
    rows = cm_db_query (db, &select_document, CM_ARGS (CM_TEXT (server)), error);
  if (rows == NULL || cm_rows_count (rows) == 0)
    return NULL;
  *valid_until = cm_rows_integer (rows, 0, 1);
  return cm_rows_bytes (rows, 0, 0);
}

gboolean
cm_server_keys_forget (CmDb *db, gint64 before_ms, gint64 most, gint64 limit, gboolean *more,
                       GError **error)
{
  gint64 gone = 0;
  gboolean done =
      cm_db_run (db, &forget_strangers, CM_ARGS (CM_INT (before_ms), CM_INT (most), CM_INT (limit)),
                 &gone, error);

  *more = gone >= limit;
  return done;
}
