#include "server/rooms/public-rooms.h"

#include "schema/room-directory.h"
#include "server/rooms/summary.h"

#include <string.h>

#define DEFAULT_LIMIT 100
#define MAX_LIMIT     500

/* A token is the place in the list, which stands by size and so is rather stable. */
static gboolean
read_since (CmPublicRoomsQuery *query, const char *since, GError **error)
{
  guint64 offset;

  if (since == NULL || since[0] == '\0')
    return TRUE;
  if (since[0] == 'r' && g_ascii_string_to_unsigned (since + 1, 10, 0, G_MAXINT32, &offset, NULL)) {
    query->offset = (gsize) offset;
    return TRUE;
  }
  g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "This is no pagination token");
  return FALSE;
}

static gboolean
read_limit (CmPublicRoomsQuery *query, gint64 limit, GError **error)
{
  if (limit < 0) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "limit must not be negative");
    return FALSE;
  }
  query->limit = limit > 0 ? (gsize) MIN (limit, MAX_LIMIT) : DEFAULT_LIMIT;
  return TRUE;
}

gboolean
cm_public_rooms_query_set (CmPublicRoomsQuery *query, const char *limit, const char *since,
                           GError **error)
{
  gint64 number = 0;

  *query = (CmPublicRoomsQuery){ 0 };
  if (limit != NULL &&
      !g_ascii_string_to_signed (limit, 10, G_MININT64, G_MAXINT64, &number, NULL)) {
    g_set_error (error, CM_ERROR, CM_ERROR_INVALID_PARAM, "limit must be a number");
    return FALSE;
  }
  return read_limit (query, number, error) && read_since (query, since, error);
}

static gboolean
has_type (const CmJson *object, const char *key, CmJsonType type, GError **error)
{
  CmJsonType actual = cm_json_type (cm_json_get (object, key));

  if (actual == CM_JSON_ABSENT || actual == CM_JSON_NULL || actual == type)
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "%s is of the wrong type", key);
  return FALSE;
}

gboolean
cm_public_rooms_query_read (const CmJson *body, CmPublicRoomsQuery *query, GError **error)
{
  const CmJson *filter = cm_json_get (body, "filter");

  *query = (CmPublicRoomsQuery){ 0 };
  if (!has_type (body, "limit", CM_JSON_INTEGER, error) ||
      !has_type (body, "since", CM_JSON_STRING, error) ||
      !has_type (body, "filter", CM_JSON_OBJECT, error) ||
      !has_type (filter, "generic_search_term", CM_JSON_STRING, error) ||
      !has_type (filter, "room_types", CM_JSON_ARRAY, error))
    return FALSE;
  query->term = cm_json_get_text (filter, "generic_search_term");
  query->types = cm_json_get_array (filter, "room_types");
  return read_limit (query, cm_json_get_integer (body, "limit", 0), error) &&
         read_since (query, cm_json_get_text (body, "since"), error);
}

static gboolean
is_of_types (const CmRoomView *view, const CmJson *types)
{
  g_autofree char *type = types != NULL ? cm_room_summary_type (view) : NULL;
  const CmJson *item;
  CmJsonIter iter;

  if (types == NULL)
    return TRUE;
  cm_json_iter_init (&iter, types);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (type != NULL ? g_strcmp0 (cm_json_text (item), type) == 0
                     : cm_json_type (item) == CM_JSON_NULL)
      return TRUE;
  return FALSE;
}

static void
put_token (CmJsonWriter *writer, const char *key, gsize offset)
{
  g_autofree char *token = g_strdup_printf ("r%" G_GSIZE_FORMAT, offset);

  cm_json_put_text (writer, key, token);
}

static void
unref_view (gpointer view)
{
  if (view != NULL)
    cm_room_view_unref (view);
}

/* (transfer full) the views of @rooms, NULL for one that cannot be read. */
static GPtrArray *
read_views (CmNode *node, char **rooms, gsize count)
{
  GPtrArray *views = g_ptr_array_new_with_free_func (unref_view);

  for (gsize i = 0; i < count; i++)
    g_ptr_array_add (views, cm_rooms_view (node->rooms, rooms[i], NULL));
  cm_room_summary_prefetch (node, views);
  return views;
}

static gboolean
is_wanted (const CmPublicRoomsQuery *query, const CmRoomView *view, const char *term)
{
  return is_of_types (view, query->types) &&
         (term == NULL || term[0] == '\0' || cm_room_summary_mentions (view, term));
}

/* Writes the rooms from @query's offset on that match, and returns where the next page begins. */
static gsize
put_rooms (CmNode *node, const CmPublicRoomsQuery *query, char **rooms, gsize count,
           CmJsonWriter *writer)
{
  g_autofree char *term = query->term != NULL ? g_utf8_strdown (query->term, -1) : NULL;
  gsize at = query->offset, found = 0;

  cm_json_open_array (writer, "chunk");
  while (at < count && found < query->limit) {
    gsize batch = MIN (query->limit, count - at);
    g_autoptr (GPtrArray) views = read_views (node, rooms + at, batch);
    for (guint i = 0; i < views->len && found < query->limit; i++, at++) {
      if (views->pdata[i] == NULL || !is_wanted (query, views->pdata[i], term))
        continue;
      cm_json_open_object (writer, NULL);
      cm_room_summary_put (writer, views->pdata[i], 0);
      cm_json_close (writer);
      found++;
    }
  }
  cm_json_close (writer);
  return at;
}

gboolean
cm_public_rooms_put (CmNode *node, const CmPublicRoomsQuery *query, CmJsonWriter *writer,
                     GError **error)
{
  g_auto (GStrv) rooms = NULL;

  {
    g_autoptr (CmDb) db = cm_pool_get (node->pool, error);
    rooms = db != NULL ? cm_rooms_listed (db, error) : NULL;
  }
  if (rooms == NULL)
    return FALSE;
  gsize count = g_strv_length (rooms);
  gsize next = put_rooms (node, query, rooms, count, writer);
  if (next < count)
    put_token (writer, "next_batch", next);
  if (query->offset > 0)
    put_token (writer, "prev_batch",
               query->offset > query->limit ? query->offset - query->limit : 0);
  cm_json_put_integer (writer, "total_room_count_estimate", (gint64) count);
  return TRUE;
}
