#include "federation/destination-private.h"

#include "crypto/hash.h"
#include "federation/clock.h"

#include <string.h>

/* The lock that the conflicting update takes keeps the audience from being swept away before this
 * write's event refers to it. */
static const CmSql insert_audience = {
  "destination-audience", "INSERT INTO audience (id, servers) VALUES ($1, $2)"
                          " ON CONFLICT (id) DO UPDATE SET id = excluded.id WHERE false"
};
static const CmSql insert_event = { "destination-event",
                                    "INSERT INTO destination_event (audience, position, event)"
                                    " VALUES ($1, $2, $3)" };

/* So much waits for one server at most. */
#define MAX_WAITING       "50000"
#define MAX_WAITING_BYTES "500000000"

/* Where too much waits the oldest make room. A newer update of a device list tells that others are
 * missing, and newer room keys are for what people will read first; to refuse the newest would end
 * all sending in rooms that a dead server is in. */
static const CmSql insert_edu = {
  "destination-edu",
  "WITH told AS (SELECT unnest ($1::text[]) AS server),"
  " crowded AS (SELECT server FROM destination JOIN told USING (server)"
  "  WHERE edus >= " MAX_WAITING " OR edu_bytes >= " MAX_WAITING_BYTES "),"
  " gone AS (DELETE FROM destination_edu e USING crowded c CROSS JOIN LATERAL"
  "  (SELECT id FROM destination_edu WHERE server = c.server ORDER BY id LIMIT 100) oldest"
  "  WHERE e.server = c.server AND e.id = oldest.id"
  "  RETURNING e.server, octet_length (e.edu) AS bytes),"
  " room AS (SELECT server, count (*) AS edus, sum (bytes) AS bytes FROM gone GROUP BY server),"
  " added AS (INSERT INTO destination_edu (server, edu) SELECT server, $2::bytea FROM told)"
  " INSERT INTO destination AS d (server, edus, edu_bytes, edus_since)"
  " SELECT server, 1 - coalesce (room.edus, 0),"
  "  octet_length ($2::bytea) - coalesce (room.bytes, 0), $3::bigint FROM told LEFT JOIN room "
  "USING (server)"
  " ON CONFLICT (server) DO UPDATE SET edus = greatest (d.edus + excluded.edus, 0),"
  " edu_bytes = greatest (d.edu_bytes + excluded.edu_bytes, 0),"
  " edus_since = CASE WHEN d.edus = 0 THEN excluded.edus_since ELSE d.edus_since END"
};

static int
compare (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Sorted, each once. */
static GStrv
copy_set (const char *const *servers)
{
  GStrv copy = g_strdupv ((char **) servers);
  gsize length = g_strv_length (copy);
  gsize kept = 0;

  qsort (copy, length, sizeof *copy, compare);
  for (gsize i = 0; i < length; i++) {
    if (kept > 0 && g_str_equal (copy[kept - 1], copy[i]))
      g_free (copy[i]);
    else
      copy[kept++] = copy[i];
  }
  copy[kept] = NULL;
  return copy;
}

/* Names hold no line breaks, so that no two sets have the same text. */
static void
name_of_set (GStrv servers, guint8 name[CM_SHA256_SIZE])
{
  g_autofree char *text = g_strjoinv ("\n", servers);

  cm_sha256 (text, strlen (text), name);
}

static void
notice_free (gpointer data)
{
  CmDestinationNotice *notice = data;

  g_strfreev (notice->servers);
  g_free (notice);
}

static void
attach (CmWrite *write, GStrv servers, gint64 event, gint64 offset)
{
  CmDestinationNotice *notice = g_new0 (CmDestinationNotice, 1);

  notice->servers = servers;
  notice->event = event;
  notice->offset = offset;
  cm_write_attach (write, CM_DESTINATION_NOTICE, notice, notice_free);
}

void
cm_destinations_event (CmWrite *write, gint64 event, gint64 offset, const char *const *servers)
{
  guint8 audience[CM_SHA256_SIZE];
  GStrv set;

  if (servers[0] == NULL)
    return;
  set = copy_set (servers);
  name_of_set (set, audience);
  cm_write_add (write, &insert_audience,
                CM_ARGS (CM_DATA (audience, CM_SHA256_SIZE), CM_TEXTS ((const char *const *) set)));
  cm_write_add (write, &insert_event,
                CM_ARGS (CM_DATA (audience, CM_SHA256_SIZE), CM_POSITION (offset), CM_INT (event)));
  attach (write, set, event, offset);
}

void
cm_destinations_queue (CmWrite *write, const char *const *servers, GBytes *edu)
{
  GStrv set;

  if (servers[0] == NULL)
    return;
  set = copy_set (servers);
  cm_write_add (
      write, &insert_edu,
      CM_ARGS (CM_TEXTS ((const char *const *) set), CM_BYTES (edu), CM_INT (cm_clock_ms ())));
  attach (write, set, 0, 0);
}
