#include "server/rooms/event-filter.h"

#include <string.h>

/* More than that no client asks for, and each costs a comparison for every event. */
#define MAX_ITEMS 1000

static gboolean
read_list (const CmJson *json, const char *key, char ***list, GError **error)
{
  const CmJson *array = cm_json_get (json, key);
  g_autoptr (GStrvBuilder) items = g_strv_builder_new ();
  const CmJson *item;
  CmJsonIter iter;

  if (array == NULL || cm_json_type (array) == CM_JSON_NULL)
    return TRUE;
  gboolean good = cm_json_type (array) == CM_JSON_ARRAY && cm_json_length (array) <= MAX_ITEMS;
  cm_json_iter_init (&iter, good ? array : NULL);
  while (good && cm_json_iter_next (&iter, NULL, &item)) {
    good = cm_json_text (item) != NULL;
    if (good)
      g_strv_builder_add (items, cm_json_text (item));
  }
  if (!good) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "Filter: %s must be a list of texts", key);
    return FALSE;
  }
  *list = g_strv_builder_end (items);
  return TRUE;
}

static gboolean
read_flag (const CmJson *json, const char *key, gboolean *flag, GError **error)
{
  const CmJson *value = cm_json_get (json, key);

  switch (cm_json_type (value)) {
  case CM_JSON_ABSENT:
  case CM_JSON_NULL:
    return TRUE;
  case CM_JSON_TRUE:
  case CM_JSON_FALSE:
    *flag = cm_json_type (value) == CM_JSON_TRUE;
    return TRUE;
  default:
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "Filter: %s must be true or false", key);
    return FALSE;
  }
}

static gboolean
read_limit (const CmJson *json, gint64 *limit, GError **error)
{
  const CmJson *value = cm_json_get (json, "limit");

  if (value == NULL || cm_json_type (value) == CM_JSON_NULL ||
      (cm_json_integer (value, limit) && *limit >= 0))
    return TRUE;
  g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "Filter: limit must be a number");
  return FALSE;
}

CmEventFilter *
cm_event_filter_new (const CmJson *json, GError **error)
{
  g_autoptr (CmEventFilter) filter = g_new0 (CmEventFilter, 1);
  const struct {
    const char *key;
    char ***list;
  } lists[] = {
    { "types", &filter->types },     { "not_types", &filter->not_types },
    { "senders", &filter->senders }, { "not_senders", &filter->not_senders },
    { "rooms", &filter->rooms },     { "not_rooms", &filter->not_rooms },
  };

  if (json != NULL && cm_json_type (json) != CM_JSON_OBJECT) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "A filter must be an object");
    return NULL;
  }
  for (gsize i = 0; i < G_N_ELEMENTS (lists); i++)
    if (!read_list (json, lists[i].key, lists[i].list, error))
      return NULL;
  filter->has_limit = cm_json_type (cm_json_get (json, "limit")) == CM_JSON_INTEGER;
  filter->has_contains_url = cm_json_get (json, "contains_url") != NULL;
  if (!read_limit (json, &filter->limit, error) ||
      !read_flag (json, "contains_url", &filter->contains_url, error) ||
      !read_flag (json, "lazy_load_members", &filter->lazy_load_members, error) ||
      !read_flag (json, "include_redundant_members", &filter->include_redundant_members, error) ||
      !read_flag (json, "unread_thread_notifications", &filter->unread_thread_notifications, error))
    return NULL;
  return g_steal_pointer (&filter);
}

void
cm_event_filter_free (CmEventFilter *filter)
{
  g_strfreev (filter->types);
  g_strfreev (filter->not_types);
  g_strfreev (filter->senders);
  g_strfreev (filter->not_senders);
  g_strfreev (filter->rooms);
  g_strfreev (filter->not_rooms);
  g_free (filter);
}

/* '*' stands for any run of characters. Goes back to the last star only, so that the work is
 * bounded by the product of the lengths. */
static gboolean
matches (const char *pattern, const char *text)
{
  const char *star = NULL, *resume = NULL;

  while (*text != '\0') {
    if (*pattern == '*') {
      star = ++pattern;
      resume = text;
    } else if (*pattern == *text) {
      pattern++;
      text++;
    } else if (star != NULL) {
      pattern = star;
      text = ++resume;
    } else {
      return FALSE;
    }
  }
  return pattern[strspn (pattern, "*")] == '\0';
}

static gboolean
any_matches (char **patterns, const char *text)
{
  for (gsize i = 0; patterns[i] != NULL; i++)
    if (matches (patterns[i], text))
      return TRUE;
  return FALSE;
}

static gboolean
lists_allow (char **wanted, char **unwanted, const char *text)
{
  if (unwanted != NULL && g_strv_contains ((const char *const *) unwanted, text))
    return FALSE;
  return wanted == NULL || g_strv_contains ((const char *const *) wanted, text);
}

gboolean
cm_event_filter_wants_room (const CmEventFilter *filter, const char *room_id)
{
  return lists_allow (filter->rooms, filter->not_rooms, room_id);
}

gboolean
cm_event_filter_wants (const CmEventFilter *filter, const char *type, const char *sender,
                       const CmJson *content)
{
  if (filter->not_types != NULL && any_matches (filter->not_types, type))
    return FALSE;
  if (filter->types != NULL && !any_matches (filter->types, type))
    return FALSE;
  if (sender != NULL && !lists_allow (filter->senders, filter->not_senders, sender))
    return FALSE;
  return !filter->has_contains_url ||
         (cm_json_get_text (content, "url") != NULL) == filter->contains_url;
}

/* The syms of @texts, those that were never seen left out. */
static GArray *
syms_of (char **texts, CmIds *ids, GError **error)
{
  g_autoptr (GArray) syms = g_array_new (FALSE, FALSE, sizeof (gint64));

  for (gsize i = 0; texts[i] != NULL; i++) {
    g_autoptr (GError) failure = NULL;
    gint64 sym = cm_sym_lookup (ids, texts[i], &failure);
    if (failure != NULL) {
      g_propagate_error (error, g_steal_pointer (&failure));
      return NULL;
    }
    if (sym != 0)
      g_array_append_val (syms, sym);
  }
  return g_steal_pointer (&syms);
}

static gboolean
has_star (char **texts)
{
  for (gsize i = 0; texts[i] != NULL; i++)
    if (strchr (texts[i], '*') != NULL)
      return TRUE;
  return FALSE;
}

gboolean
cm_event_filter_set_query (const CmEventFilter *filter, CmIds *ids, CmTimelineQuery *query,
                           GError **error)
{
  const struct {
    char **texts;
    GArray **syms;
  } lists[] = {
    { filter->types != NULL && has_star (filter->types) ? NULL : filter->types, &query->types },
    { filter->not_types, &query->not_types }, /* a pattern is no type's name and takes none away */
    { filter->senders, &query->senders },
    { filter->not_senders, &query->not_senders },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (lists); i++) {
    if (lists[i].texts == NULL)
      continue;
    *lists[i].syms = syms_of (lists[i].texts, ids, error);
    if (*lists[i].syms == NULL)
      return FALSE;
  }
  return TRUE;
}

void
cm_event_filter_unset_query (CmTimelineQuery *query)
{
  g_clear_pointer (&query->types, g_array_unref);
  g_clear_pointer (&query->not_types, g_array_unref);
  g_clear_pointer (&query->senders, g_array_unref);
  g_clear_pointer (&query->not_senders, g_array_unref);
}
