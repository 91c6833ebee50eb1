#include "server/sync/filter.h"

#include <string.h>

#define DEFAULT_LIMIT 10
#define MAX_LIMIT     200

static gboolean
bad (const char *key, const char *wanted, GError **error)
{
  g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "Filter: %s must be %s", key, wanted);
  return FALSE;
}

/* An absent part lets everything through. */
static gboolean
read_part (const CmJson *json, const char *key, CmEventFilter **part, GError **error)
{
  const CmJson *object = cm_json_get (json, key);

  if (object != NULL && cm_json_type (object) != CM_JSON_OBJECT)
    return bad (key, "an object", error);
  *part = cm_event_filter_new (object, error);
  return *part != NULL;
}

static gboolean
read_flag (const CmJson *json, const char *key, gboolean *flag, GError **error)
{
  CmJsonType type = cm_json_type (cm_json_get (json, key));

  if (type != CM_JSON_ABSENT && type != CM_JSON_TRUE && type != CM_JSON_FALSE)
    return bad (key, "true or false", error);
  *flag = type == CM_JSON_TRUE;
  return TRUE;
}

static gboolean
read_format (const CmJson *json, gboolean *federation, GError **error)
{
  const CmJson *format = cm_json_get (json, "event_format");
  const char *text = cm_json_text (format);

  *federation = g_strcmp0 (text, "federation") == 0;
  if (format != NULL && !*federation && g_strcmp0 (text, "client") != 0)
    return bad ("event_format", "\"client\" or \"federation\"", error);
  return TRUE;
}

/* Only its shape is checked: answers hold all members of an event whatever it says, which the
 * specification allows ("A server may include more fields than were requested"). */
static gboolean
check_fields (const CmJson *json, GError **error)
{
  const CmJson *fields = cm_json_get (json, "event_fields");
  const CmJson *item;
  CmJsonIter iter;

  if (fields == NULL)
    return TRUE;
  if (cm_json_type (fields) != CM_JSON_ARRAY)
    return bad ("event_fields", "a list of texts", error);
  cm_json_iter_init (&iter, fields);
  while (cm_json_iter_next (&iter, NULL, &item))
    if (cm_json_type (item) != CM_JSON_STRING)
      return bad ("event_fields", "a list of texts", error);
  return TRUE;
}

/* The lists of rooms of "room" itself, which stand above those of its parts. */
static gboolean
read_rooms (CmSyncFilter *filter, const CmJson *room, GError **error)
{
  g_autoptr (CmEventFilter) lists = cm_event_filter_new (room, error);

  if (lists == NULL)
    return FALSE;
  filter->rooms = g_steal_pointer (&lists->rooms);
  filter->not_rooms = g_steal_pointer (&lists->not_rooms);
  return TRUE;
}

CmSyncFilter *
cm_sync_filter_new (const CmJson *json, GError **error)
{
  g_autoptr (CmSyncFilter) filter = g_new0 (CmSyncFilter, 1);
  const CmJson *room = cm_json_get (json, "room");

  g_atomic_ref_count_init (&filter->refs);
  if (json != NULL && cm_json_type (json) != CM_JSON_OBJECT) {
    bad ("it", "an object", error);
    return NULL;
  }
  if (room != NULL && cm_json_type (room) != CM_JSON_OBJECT) {
    bad ("room", "an object", error);
    return NULL;
  }
  if (!read_part (json, "account_data", &filter->account_data, error) ||
      !read_part (json, "presence", &filter->presence, error) ||
      !read_part (room, "timeline", &filter->timeline, error) ||
      !read_part (room, "state", &filter->state, error) ||
      !read_part (room, "ephemeral", &filter->ephemeral, error) ||
      !read_part (room, "account_data", &filter->room_account_data, error) ||
      !read_rooms (filter, room, error) ||
      !read_flag (room, "include_leave", &filter->include_leave, error) ||
      !read_format (json, &filter->federation_format, error) || !check_fields (json, error))
    return NULL;
  return g_steal_pointer (&filter);
}

CmSyncFilter *
cm_sync_filter_ref (CmSyncFilter *filter)
{
  g_atomic_ref_count_inc (&filter->refs);
  return filter;
}

void
cm_sync_filter_unref (CmSyncFilter *filter)
{
  if (!g_atomic_ref_count_dec (&filter->refs))
    return;
  CmEventFilter *parts[] = { filter->timeline,          filter->state,        filter->ephemeral,
                             filter->room_account_data, filter->account_data, filter->presence };
  for (gsize i = 0; i < G_N_ELEMENTS (parts); i++)
    g_clear_pointer (&parts[i], cm_event_filter_free);
  g_strfreev (filter->rooms);
  g_strfreev (filter->not_rooms);
  g_free (filter);
}

gboolean
cm_sync_filter_wants_room (const CmSyncFilter *filter, const char *room_id)
{
  if (filter->not_rooms != NULL &&
      g_strv_contains ((const char *const *) filter->not_rooms, room_id))
    return FALSE;
  return filter->rooms == NULL || g_strv_contains ((const char *const *) filter->rooms, room_id);
}

guint
cm_sync_filter_limit (const CmSyncFilter *filter)
{
  const CmEventFilter *timeline = filter->timeline;

  return timeline->has_limit ? (guint) MIN (timeline->limit, MAX_LIMIT) : DEFAULT_LIMIT;
}
