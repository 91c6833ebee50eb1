#include "crypto/json-private.h"

#include <string.h>

G_STATIC_ASSERT (sizeof (CmJson) == 24);

CmJsonDoc *
cm_json_parse_bytes (GBytes *bytes, GError **error)
{
  gsize length;
  const char *text = g_bytes_get_data (bytes, &length);
  return cm_json_parse (text, length, error);
}

CmJsonDoc *
cm_json_parse_object (const char *text, gsize length, GError **error)
{
  g_autoptr (CmJsonDoc) doc = cm_json_parse (text, length, error);

  if (doc == NULL)
    return NULL;
  if (doc->nodes->type != CM_JSON_OBJECT) {
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON, "A JSON object is expected");
    return NULL;
  }
  return g_steal_pointer (&doc);
}

CmJsonDoc *
cm_json_doc_ref (CmJsonDoc *doc)
{
  g_atomic_int_inc (&doc->ref_count);
  return doc;
}

void
cm_json_doc_unref (CmJsonDoc *doc)
{
  if (doc == NULL || !g_atomic_int_dec_and_test (&doc->ref_count))
    return;
  g_free (doc->nodes);
  g_free (doc);
}

const CmJson *
cm_json_doc_root (const CmJsonDoc *doc)
{
  return doc != NULL ? doc->nodes : NULL;
}

gsize
cm_json_doc_size (const CmJsonDoc *doc)
{
  return doc != NULL ? doc->size : 0;
}

CmJsonType
cm_json_type (const CmJson *node)
{
  return node != NULL ? (CmJsonType) node->type : CM_JSON_ABSENT;
}

gsize
cm_json_length (const CmJson *node)
{
  return cm_json_type (node) >= CM_JSON_STRING ? node->length : 0;
}

const CmJson *
cm_json_get (const CmJson *object, const char *key)
{
  if (cm_json_type (object) != CM_JSON_OBJECT)
    return NULL;

  gsize length = strlen (key);
  const CmJson *member = object + 1;
  for (gsize left = object->length; left > 0; left--) {
    const CmJson *value = member + 1;
    if (member->length == length && memcmp (member->text, key, length) == 0)
      return value;
    member = cm_json_next (value);
  }
  return NULL;
}

const CmJson *
cm_json_item (const CmJson *array, gsize index)
{
  if (cm_json_type (array) != CM_JSON_ARRAY || index >= array->length)
    return NULL;

  const CmJson *item = array + 1;
  while (index-- > 0)
    item = cm_json_next (item);
  return item;
}

const char *
cm_json_string (const CmJson *node, gsize *length)
{
  if (cm_json_type (node) != CM_JSON_STRING)
    return NULL;
  if (length != NULL)
    *length = node->length;
  return node->text;
}

const char *
cm_json_text (const CmJson *node)
{
  if (cm_json_type (node) != CM_JSON_STRING || node->has_nul)
    return NULL;
  return node->text;
}

gboolean
cm_json_integer (const CmJson *node, gint64 *value)
{
  if (cm_json_type (node) != CM_JSON_INTEGER)
    return FALSE;
  *value = node->integer;
  return TRUE;
}

gboolean
cm_json_double (const CmJson *node, double *value)
{
  switch (cm_json_type (node)) {
  case CM_JSON_INTEGER:
    *value = (double) node->integer;
    return TRUE;
  case CM_JSON_NUMBER:
    *value = g_ascii_strtod (node->text, NULL);
    return TRUE;
  default:
    return FALSE;
  }
}

static const CmJson *
get_of_type (const CmJson *object, const char *key, CmJsonType type)
{
  const CmJson *value = cm_json_get (object, key);
  return cm_json_type (value) == type ? value : NULL;
}

const CmJson *
cm_json_get_object (const CmJson *object, const char *key)
{
  return get_of_type (object, key, CM_JSON_OBJECT);
}

const CmJson *
cm_json_get_array (const CmJson *object, const char *key)
{
  return get_of_type (object, key, CM_JSON_ARRAY);
}

const char *
cm_json_get_text (const CmJson *object, const char *key)
{
  return cm_json_text (cm_json_get (object, key));
}

gint64
cm_json_get_integer (const CmJson *object, const char *key, gint64 fallback)
{
  cm_json_integer (cm_json_get (object, key), &fallback);
  return fallback;
}

gboolean
cm_json_get_boolean (const CmJson *object, const char *key, gboolean fallback)
{
  switch (cm_json_type (cm_json_get (object, key))) {
  case CM_JSON_TRUE:
    return TRUE;
  case CM_JSON_FALSE:
    return FALSE;
  default:
    return fallback;
  }
}

void
cm_json_iter_init (CmJsonIter *iter, const CmJson *container)
{
  CmJsonType type = cm_json_type (container);
  gboolean holds = type == CM_JSON_OBJECT || type == CM_JSON_ARRAY;

  *iter = (CmJsonIter){
    .next = holds ? container + 1 : NULL,
    .left = holds ? container->length : 0,
    .object = type == CM_JSON_OBJECT,
  };
}

gboolean
cm_json_iter_next (CmJsonIter *iter, const char **key, const CmJson **value)
{
  if (iter->left == 0)
    return FALSE;
  iter->left--;
  iter->key = iter->object ? iter->next++ : NULL;
  if (key != NULL)
    *key = iter->key != NULL ? iter->key->text : NULL;
  if (value != NULL)
    *value = iter->next;
  iter->next = cm_json_next (iter->next);
  return TRUE;
}

int
cm_json_compare_keys (const CmJson *a, const CmJson *b)
{
  /* With the lengths, since a key may hold U+0000. */
  int order = memcmp (a->text, b->text, MIN (a->length, b->length));
  if (order != 0)
    return order;
  return (a->length > b->length) - (a->length < b->length);
}

static int
compare_key_pointers (gconstpointer a, gconstpointer b, gpointer unused)
{
  return cm_json_compare_keys (*(const CmJson *const *) a, *(const CmJson *const *) b);
}

void
cm_json_sort_keys (const CmJson **keys, gsize count)
{
  /* GLib's is a merge sort; qsort of the C library may be quadratic for keys chosen to make it so.
   */
  g_qsort_with_data (keys, (gint) count, sizeof *keys, compare_key_pointers, NULL);
}
