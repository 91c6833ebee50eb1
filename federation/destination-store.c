#include "federation/destination-private.h"

#include "federation/clock.h"

/* A server that shares no room and takes nothing for so long is not expected any more. */
#define STRANGERS_KEPT_MS (30 * 24 * 3600 * G_GINT64_CONSTANT (1000))

/* For each audience that the server is in, the first events after what it acknowledged; of these
 * the first. */
static const CmSql select_behind = {
  "destination-behind",
  "SELECT e.position, e.event FROM audience a CROSS JOIN LATERAL ("
  " SELECT position, event FROM destination_event WHERE audience = a.id AND position <= $2"
  " AND position > coalesce ((SELECT sent FROM destination WHERE server = $1), 0)"
  " ORDER BY position LIMIT $3) e"
  " WHERE a.servers @> ARRAY[$1] ORDER BY e.position LIMIT $3"
};
static const CmSql select_unsent = {
  "destination-unsent",
  "SELECT s.server FROM audience a"
  " CROSS JOIN LATERAL (SELECT max (position) AS last FROM destination_event WHERE audience = "
  "a.id) l"
  " CROSS JOIN LATERAL unnest (a.servers) AS s (server)"
  " LEFT JOIN destination d ON d.server = s.server"
  " WHERE l.last > coalesce (d.sent, 0) UNION SELECT server FROM destination_edu"
};
static const CmSql select_quick = { "destination-quick",
                                    "SELECT server FROM destination WHERE quick AND retry_at = 0" };
static const CmSql select_backoff = {
  "destination-backoff", "SELECT server, retry_at, retry_after FROM destination WHERE retry_at > 0"
};
static const CmSql upsert_backoff = {
  "destination-backoff-set",
  "INSERT INTO destination (server, retry_at, retry_after) VALUES ($1, $2, $3)"
  " ON CONFLICT (server) DO UPDATE SET retry_at = excluded.retry_at,"
  " retry_after = excluded.retry_after"
};
/* Materialized: else the minimum is worked out for each event. */
static const CmSql sweep_events = {
  "destination-sweep",
  "WITH x AS MATERIALIZED (SELECT a.id, min (coalesce (d.sent, 0)) AS done FROM audience a"
  "  CROSS JOIN LATERAL unnest (a.servers) AS s (server)"
  "  LEFT JOIN destination d ON d.server = s.server GROUP BY a.id)"
  " DELETE FROM destination_event e USING x WHERE e.audience = x.id AND e.position <= x.done"
};
static const CmSql sweep_audiences = { "destination-sweep-audiences",
                                       "DELETE FROM audience a WHERE NOT EXISTS"
                                       " (SELECT FROM destination_event WHERE audience = a.id)" };

static const CmSql forget_strangers = {
  "destination-forget-strangers",
  "WITH gone AS (DELETE FROM destination_edu WHERE (server, id) IN"
  "  (SELECT e.server, e.id FROM destination d JOIN destination_edu e ON e.server = d.server"
  "   WHERE d.edus > 0 AND d.edus_since < $1 AND NOT EXISTS (SELECT FROM room_server r"
  "   JOIN sym s ON s.id = r.server WHERE s.text = d.server AND r.joined > 0) LIMIT 1000)"
  "  RETURNING server, octet_length (edu) AS bytes),"
  " room AS (SELECT server, count (*) AS edus, sum (bytes) AS bytes FROM gone GROUP BY server)"
  " UPDATE destination d SET edus = greatest (d.edus - room.edus, 0),"
  " edu_bytes = greatest (d.edu_bytes - room.bytes, 0) FROM room WHERE d.server = room.server"
};

GArray *
cm_destination_find_events (CmPool *pool, const char *server, gint64 upto, guint limit,
                            GError **error)
{
  g_autoptr (GArray) events = g_array_new (FALSE, FALSE, sizeof (CmOutgoing));
  g_autoptr (CmDb) db = cm_pool_get (pool, error);
  g_autoptr (CmRows) rows = NULL;

  if (db == NULL)
    return NULL;
  rows = cm_db_query (db, &select_behind, CM_ARGS (CM_TEXT (server), CM_INT (upto), CM_INT (limit)),
                      error);
  if (rows == NULL)
    return NULL;
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmOutgoing outgoing = { cm_rows_integer (rows, i, 0), cm_rows_integer (rows, i, 1) };

    g_array_append_val (events, outgoing);
  }
  return g_steal_pointer (&events);
}

static GStrv
find_servers (CmPool *pool, const CmSql *sql, GError **error)
{
  g_autoptr (GStrvBuilder) servers = g_strv_builder_new ();
  g_autoptr (CmDb) db = cm_pool_get (pool, error);
  g_autoptr (CmRows) rows = db != NULL ? cm_db_query (db, sql, CM_NO_ARGS, error) : NULL;

  if (rows == NULL)
    return NULL;
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    g_strv_builder_add (servers, cm_rows_text (rows, i, 0));
  return g_strv_builder_end (servers);
}

GStrv
cm_destination_find_unsent (CmPool *pool, GError **error)
{
  return find_servers (pool, &select_unsent, error);
}

GStrv
cm_destination_find_quick (CmPool *pool, GError **error)
{
  return find_servers (pool, &select_quick, error);
}

gboolean
cm_destination_restore_backoff (CmPool *pool, CmBackoff *backoff, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (pool, error);
  g_autoptr (CmRows) rows =
      db != NULL ? cm_db_query (db, &select_backoff, CM_NO_ARGS, error) : NULL;

  if (rows == NULL)
    return FALSE;
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    cm_backoff_restore (backoff, cm_rows_text (rows, i, 0), cm_rows_integer (rows, i, 1),
                        cm_rows_integer (rows, i, 2));
  return TRUE;
}

CmWrite *
cm_destination_write_backoff (const char *server, gint64 retry_at_ms, gint64 retry_after_ms)
{
  CmWrite *write = cm_write_new ();

  cm_write_add (write, &upsert_backoff,
                CM_ARGS (CM_TEXT (server), CM_INT (retry_at_ms), CM_INT (retry_after_ms)));
  return write;
}

CmWrite *
cm_destination_forget_strangers (void)
{
  CmWrite *write = cm_write_new ();

  cm_write_add (write, &forget_strangers, CM_ARGS (CM_INT (cm_clock_ms () - STRANGERS_KEPT_MS)));
  return write;
}

gboolean
cm_destination_sweep (CmPool *pool, GError **error)
{
  g_autoptr (CmDb) db = cm_pool_get (pool, error);

  return db != NULL && cm_db_run (db, &sweep_events, CM_NO_ARGS, NULL, error) &&
         cm_db_run (db, &sweep_audiences, CM_NO_ARGS, NULL, error);
}
