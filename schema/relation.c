#include "schema/relation.h"

static const CmSql add_relation = {
  "relation_add",
  "INSERT INTO event_relation (child, room, parent, rel_type, key) VALUES ($1, $2, $3, $4, $5) ON "
  "CONFLICT DO NOTHING",
};

/* What is known by a chain of relations is found once, by its shortest. */
#define TREE                                                                                       \
  "WITH RECURSIVE tree (child, depth) AS ("                                                        \
  " SELECT child, 1 FROM event_relation WHERE room = $1 AND parent = $2"                           \
  "  AND ($3::text IS NULL OR rel_type = $3)"                                                      \
  " UNION SELECT r.child, t.depth + 1 FROM tree t JOIN event e ON e.id = t.child"                  \
  "  JOIN event_relation r ON r.room = e.room AND r.parent = e.event_id"                           \
  "  WHERE t.depth < $7 AND ($3::text IS NULL OR r.rel_type = $3))"                                \
  " SELECT DISTINCT c.id, c.position FROM tree t JOIN event c ON c.id = t.child"                   \
  " WHERE c.flags & 11 = 0 AND ($4::bigint = 0 OR c.type = $4)"

static const CmSql children_forwards = {
  "relation_children_forwards",
  TREE " AND c.position > $5 AND c.position <= $6 ORDER BY c.position LIMIT $8",
};

static const CmSql children_backwards = {
  "relation_children_backwards",
  TREE " AND c.position <= $5 AND c.position > $6 ORDER BY c.position DESC LIMIT $8",
};

static const CmSql threads_of_room = {
  "relation_threads_of_room",
  "SELECT p.id, max (c.position) FROM event_relation r JOIN event c ON c.id = r.child"
  " JOIN event p ON p.room = r.room AND p.event_id = r.parent"
  " WHERE r.room = $1 AND r.rel_type = 'm.thread' AND c.position IS NOT NULL AND c.flags & 11 = 0"
  " GROUP BY p.id HAVING max (c.position) <= $2"
  " AND ($3::bigint = 0 OR p.sender = $3 OR bool_or (c.sender = $3))"
  " ORDER BY max (c.position) DESC LIMIT $4",
};

static const CmSql annotated_by = {
  "relation_annotated_by",
  "SELECT 1 FROM event p JOIN event_relation r ON r.room = p.room AND r.parent = p.event_id"
  " JOIN event c ON c.id = r.child"
  " WHERE p.event_id = $1 AND r.rel_type = 'm.annotation' AND r.key = $2"
  " AND c.sender = (SELECT id FROM sym WHERE text = $3)"
  " AND c.type = (SELECT id FROM sym WHERE text = $4)"
  " AND c.position IS NOT NULL AND c.flags & 11 = 0 LIMIT 1",
};

/* flags & 11: rejected, soft-failed or redacted. */
#define CHILDREN                                                                                   \
  " FROM event p JOIN unnest ($3::bigint[], $4::bigint[]) AS seen (room, until)"                   \
  "  ON seen.room = p.room"                                                                        \
  " JOIN event_relation r ON r.room = p.room AND r.parent = p.event_id"                            \
  " JOIN event c ON c.id = r.child AND c.position <= seen.until"                                   \
  " WHERE p.id = ANY ($1) AND c.flags & 11 = 0 AND c.sender <> ALL ($2)"

/* client-server, "Event replacements", "Validity of replacement events". */
static const CmSql replacements = {
  "relation_replacements",
  "SELECT DISTINCT ON (p.id) p.id, c.id" CHILDREN
  " AND r.rel_type = 'm.replace' AND c.sender = p.sender AND c.type = p.type"
  " AND c.state_key IS NULL AND p.state_key IS NULL AND NOT EXISTS ("
  "  SELECT FROM event_relation x WHERE x.child = p.id AND x.rel_type = 'm.replace')"
  " ORDER BY p.id, c.origin_server_ts DESC, c.event_id DESC",
};

static const CmSql threads = {
  "relation_threads",
  "SELECT p.id, (array_agg (c.id ORDER BY c.position DESC))[1], count (*), bool_or (c.sender = "
  "$5)" CHILDREN " AND r.rel_type = 'm.thread' GROUP BY p.id",
};

static const CmSql references = {
  "relation_references",
  "SELECT p.id, c.event_id" CHILDREN " AND r.rel_type = 'm.reference' ORDER BY p.id, c.position",
};

void
cm_relation_add (CmWrite *write, gint64 child, gint64 room, const char *parent,
                 const char *rel_type, const char *key)
{
  cm_write_add (
      write, &add_relation,
      CM_ARGS (CM_INT (child), CM_INT (room), CM_TEXT (parent), CM_TEXT (rel_type), CM_TEXT (key)));
}

gboolean
cm_relation_is_annotated (CmDb *db, const char *parent, const char *key, const char *sender,
                          const char *type, gboolean *annotated, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (
      db, &annotated_by,
      CM_ARGS (CM_TEXT (parent), CM_TEXT (key), CM_TEXT (sender), CM_TEXT (type)), error);

  if (rows == NULL)
    return FALSE;
  *annotated = cm_rows_count (rows) > 0;
  return TRUE;
}

static GArray *
related_of (const CmRows *rows)
{
  GArray *related = g_array_new (FALSE, FALSE, sizeof (CmRelated));

  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmRelated one = { cm_rows_integer (rows, i, 0), cm_rows_integer (rows, i, 1) };
    g_array_append_val (related, one);
  }
  return related;
}

GArray *
cm_relation_children (CmDb *db, const CmRelationQuery *query, GError **error)
{
  g_autoptr (CmRows) rows =
      cm_db_query (db, query->backwards ? &children_backwards : &children_forwards,
                   CM_ARGS (CM_INT (query->room), CM_TEXT (query->parent),
                            CM_TEXT (query->rel_type), CM_INT (query->type), CM_INT (query->from),
                            CM_INT (query->to), CM_INT (query->depth), CM_INT (query->limit)),
                   error);

  return rows != NULL ? related_of (rows) : NULL;
}

GArray *
cm_relation_threads (CmDb *db, gint64 room, gint64 until, gint64 participant, gint64 limit,
                     GError **error)
{
  g_autoptr (CmRows) rows = cm_db_query (
      db, &threads_of_room,
      CM_ARGS (CM_INT (room), CM_INT (until), CM_INT (participant), CM_INT (limit)), error);

  return rows != NULL ? related_of (rows) : NULL;
}

void
cm_relations_free (CmRelations *relations)
{
  g_strfreev (relations->references);
  g_free (relations);
}

static CmRelations *
relations_of_parent (GHashTable *all, gint64 number)
{
  CmRelations *relations = g_hash_table_lookup (all, &number);

  if (relations != NULL)
    return relations;
  gint64 *key = g_new (gint64, 1);
  *key = number;
  relations = g_new0 (CmRelations, 1);
  g_hash_table_insert (all, key, relations);
  return relations;
}

static gboolean
read_replacements (CmDb *db, GHashTable *all, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_receive (db, error);

  if (rows == NULL)
    return FALSE;
  for (gsize i = 0; i < cm_rows_count (rows); i++)
    relations_of_parent (all, cm_rows_integer (rows, i, 0))->replacement =
        cm_rows_integer (rows, i, 1);
  return TRUE;
}

static gboolean
read_threads (CmDb *db, GHashTable *all, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_receive (db, error);

  if (rows == NULL)
    return FALSE;
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmRelations *relations = relations_of_parent (all, cm_rows_integer (rows, i, 0));
    relations->thread_latest = cm_rows_integer (rows, i, 1);
    relations->thread_count = cm_rows_integer (rows, i, 2);
    relations->participated = cm_rows_boolean (rows, i, 3);
  }
  return TRUE;
}

static gboolean
read_references (CmDb *db, GHashTable *all, GError **error)
{
  g_autoptr (CmRows) rows = cm_db_receive (db, error);

  if (rows == NULL)
    return FALSE;
  for (gsize i = 0, next; i < cm_rows_count (rows); i = next) {
    gint64 parent = cm_rows_integer (rows, i, 0);
    g_autoptr (GStrvBuilder) ids = g_strv_builder_new ();
    for (next = i; next < cm_rows_count (rows) && cm_rows_integer (rows, next, 0) == parent; next++)
      g_strv_builder_add (ids, cm_rows_text (rows, next, 1));
    relations_of_parent (all, parent)->references = g_strv_builder_end (ids);
  }
  return TRUE;
}

static CmParam
integers (const GArray *values)
{
  return CM_INTS (values != NULL ? (const gint64 *) values->data : NULL,
                  values != NULL ? values->len : 0);
}

GHashTable *
cm_relations_of (CmDb *db, GArray *numbers, const CmRelationView *view, GError **error)
{
  CmParam parents = integers (numbers), ignored = integers (view->ignored);
  CmParam rooms = integers (view->rooms), until = integers (view->until);
  g_autoptr (GHashTable) all = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free,
                                                      (GDestroyNotify) cm_relations_free);

  if (!cm_db_send (db, &replacements, CM_ARGS (parents, ignored, rooms, until), error) ||
      !cm_db_send (db, &threads, CM_ARGS (parents, ignored, rooms, until, CM_INT (view->user)),
                   error) ||
      !cm_db_send (db, &references, CM_ARGS (parents, ignored, rooms, until), error))
    return NULL;
  if (!read_replacements (db, all, error) || !read_threads (db, all, error) ||
      !read_references (db, all, error))
    return NULL;
  return g_steal_pointer (&all);
}
