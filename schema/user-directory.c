#include "schema/user-directory.h"

#include <string.h>

/* Rooms that are open are looked for among those with local members only: no others are known as
 * they are now. A user of another server goes by the name in one of the rooms that the searcher may
 * know of, never by one from elsewhere, nor by one that was redacted. Canonical JSON has neither
 * spaces nor another spelling for these members. */
static const CmSql sql_search = {
  "user_directory_search",
  "WITH mine AS (SELECT room FROM member WHERE user_id = $1 AND membership = 'join'),"
  " here AS (SELECT DISTINCT room FROM member WHERE local AND membership = 'join'),"
  " open AS (SELECT c.room FROM here JOIN current_state c USING (room) JOIN event_json e ON e.id = "
  "c.event"
  "  WHERE (c.type = $2 AND convert_from (e.json, 'UTF8') LIKE '%\"join_rule\":\"public\"%')"
  "  OR (c.type = $3 AND convert_from (e.json, 'UTF8') LIKE "
  "'%\"history_visibility\":\"world_readable\"%')),"
  " seen AS (SELECT DISTINCT ON (m.user_id) m.user_id, m.event, m.local FROM member m"
  "  WHERE m.membership = 'join' AND m.room IN (SELECT room FROM mine UNION SELECT room FROM open)"
  "  ORDER BY m.user_id, m.position DESC)"
  " SELECT s.text, n.value, a.value, CASE WHEN seen.local THEN NULL ELSE e.json END"
  " FROM seen JOIN sym s ON s.id = seen.user_id"
  " LEFT JOIN event v ON v.id = seen.event AND NOT seen.local AND v.redacted_by IS NULL"
  " LEFT JOIN event_json e ON e.id = v.id"
  " LEFT JOIN profile n ON n.user_id = s.text AND n.key = 'displayname'"
  " LEFT JOIN profile a ON a.user_id = s.text AND a.key = 'avatar_url'"
  " WHERE s.text ILIKE $4 OR convert_from (n.value, 'UTF8') ILIKE $4"
  " OR substring (convert_from (e.json, 'UTF8')"
  "  from '\"displayname\":\"((?:[^\"\\\\]|\\\\.)*)\"') ILIKE $4"
  " ORDER BY s.text LIMIT $5"
};

void
cm_found_user_free (CmFoundUser *found)
{
  if (!found)
    return;
  g_free (found->user_id);
  g_free (found->display_name);
  g_free (found->avatar_url);
  g_clear_pointer (&found->event, g_bytes_unref);
  g_free (found);
}

/* What LIKE takes for a sign stands escaped. */
static char *
containing (const char *term)
{
  g_autoptr (GString) pattern = g_string_new ("%");
  for (const char *p = term; *p; p++) {
    if (strchr ("\\%_", *p))
      g_string_append_c (pattern, '\\');
    g_string_append_c (pattern, *p);
  }
  g_string_append_c (pattern, '%');
  return g_string_free (g_steal_pointer (&pattern), FALSE);
}

static char *
text_of_bytes (const CmRows *rows, gsize row, int column)
{
  gsize length;
  const void *data = cm_rows_data (rows, row, column, &length);
  return data ? g_strndup (data, length) : NULL;
}

GPtrArray *
cm_user_directory_search (CmDb *db, const CmUserSearch *search, GError **error)
{
  g_autofree char *pattern = containing (search->term);
  g_autoptr (CmRows) rows = cm_db_query (
      db, &sql_search,
      CM_ARGS (CM_INT (search->user), CM_INT (search->join_rules),
               CM_INT (search->history_visibility), CM_TEXT (pattern), CM_INT (search->limit + 1)),
      error);
  if (!rows)
    return NULL;
  GPtrArray *found = g_ptr_array_new_with_free_func ((GDestroyNotify) cm_found_user_free);
  for (gsize i = 0; i < cm_rows_count (rows); i++) {
    CmFoundUser *user = g_new0 (CmFoundUser, 1);
    user->user_id = g_strdup (cm_rows_text (rows, i, 0));
    user->display_name = text_of_bytes (rows, i, 1);
    user->avatar_url = text_of_bytes (rows, i, 2);
    user->event = cm_rows_is_null (rows, i, 3) ? NULL : cm_rows_bytes (rows, i, 3);
    g_ptr_array_add (found, user);
  }
  return found;
}
