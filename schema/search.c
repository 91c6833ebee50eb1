#include "schema/search.h"

/* Words as they are, in no particular language. */
#define WORDS "'simple'"

static const CmSql add_words = {
  "search_add",
  "INSERT INTO event_search (event, room, key, words)"
  " VALUES ($1, $2, $3, to_tsvector (" WORDS ", $4)) ON CONFLICT DO NOTHING",
};

/* plainto_tsquery has no operators: what users type are words and nothing else (CVE-2025-1094).
 * flags & 11: rejected, soft-failed or redacted. */
#define HITS                                                                                       \
  " FROM plainto_tsquery (" WORDS ", $1) AS term, event_search s JOIN event e ON e.id = s.event"   \
  " WHERE s.words @@ term AND s.room = ANY ($2) AND s.key = ANY ($3)"                              \
  " AND e.position IS NOT NULL AND e.flags & 11 = 0"

#define RANKED "SELECT s.event, (ts_rank_cd (s.words, term) * 1000000)::bigint" HITS

static const CmSql find_newest = {
  "search_newest",
  RANKED " ORDER BY e.position DESC OFFSET $4 LIMIT $5",
};

static const CmSql find_best = {
  "search_best",
  RANKED " ORDER BY 2 DESC, e.position DESC OFFSET $4 LIMIT $5",
};

void
cm_search_add (CmWrite *write, gint64 event, gint64 room, const char *key, const char *text)
{
  cm_write_add (write, &add_words,
                CM_ARGS (CM_INT (event), CM_INT (room), CM_TEXT (key), CM_TEXT (text)));
}

static GArray *
hits_of (const CmRows *rows)
{
  GArray *hits = g_array_new (FALSE, FALSE, sizeof (CmSearchHit));

  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmSearchHit hit = { cm_rows_integer (rows, i, 0), (double) cm_rows_integer (rows, i, 1) / 1e6 };
    g_array_append_val (hits, hit);
  }
  return hits;
}

GArray *
cm_search_find (CmDb *db, const CmSearchQuery *query, GError **error)
{
  CmParam rooms = cm_param_integers (query->rooms);
  g_autoptr (CmRows) rows =
      cm_db_query (db, query->by_rank ? &find_best : &find_newest,
                   CM_ARGS (CM_TEXT (query->term), rooms, CM_TEXTS (query->keys),
                            CM_INT (query->offset), CM_INT (query->limit)),
                   error);

  return rows != NULL ? hits_of (rows) : NULL;
}
