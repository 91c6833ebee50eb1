#include "crypto/json-private.h"
#include "crypto/json-writer.h"

#include <string.h>

/* A tree is written without recursion: its depth is bounded by the reader, and so is this array of
 * levels. */
typedef struct {
  const CmJson *next; /* the next key or item, in the order of the text */
  gsize left;
  gsize sorted; /* in an object that has to be sorted: the index of its next key in the scratch,
                   NOT_SORTED otherwise */
  char closer;
  gboolean comma;
} Level;

#define NOT_SORTED G_MAXSIZE

typedef struct {
  CmJsonBuffer *out;
  CmJsonTreeFlags flags;
  const char *const *without;
  GPtrArray *scratch; /* the sorted keys of all open objects that were not in order */
  guint depth;
  Level levels[CM_JSON_MAX_DEPTH];
} TreeWriter;

static gboolean
keys_are_in_order (const CmJson *object)
{
  const CmJson *key = object + 1;
  for (gsize i = 1; i < object->length; i++) {
    const CmJson *next = cm_json_next (key + 1);
    if (cm_json_compare_keys (key, next) > 0)
      return FALSE;
    key = next;
  }
  return TRUE;
}

/* Puts the keys of @object, sorted, on top of the scratch; returns where they begin. */
static gsize
sort_keys (TreeWriter *w, const CmJson *object)
{
  if (w->scratch == NULL)
    w->scratch = g_ptr_array_new ();

  gsize start = w->scratch->len;
  const CmJson *key = object + 1;
  for (gsize i = 0; i < object->length; i++, key = cm_json_next (key + 1))
    g_ptr_array_add (w->scratch, (gpointer) key);
  cm_json_sort_keys ((const CmJson **) w->scratch->pdata + start, object->length);
  return start;
}

static void
open_level (TreeWriter *w, const CmJson *container)
{
  gboolean object = container->type == CM_JSON_OBJECT;
  gboolean sort = object && (w->flags & CM_JSON_TREE_SORTED) != 0 && !keys_are_in_order (container);

  cm_json_buffer_append (w->out, object ? "{" : "[", 1);
  w->levels[w->depth++] = (Level){
    .next = container + 1,
    .left = container->length,
    .sorted = sort ? sort_keys (w, container) : NOT_SORTED,
    .closer = object ? '}' : ']',
  };
}

static void
close_level (TreeWriter *w)
{
  Level *level = &w->levels[--w->depth];
  cm_json_buffer_append (w->out, &level->closer, 1);
  /* The keys of this object are the last in the scratch: every object inside it has taken its own
   * away. */
  if (level->sorted != NOT_SORTED)
    g_ptr_array_set_size (w->scratch, (gint) level->sorted);
}

/* Takes the next key or item of @level. */
static const CmJson *
take_next (TreeWriter *w, Level *level)
{
  level->left--;
  if (level->sorted != NOT_SORTED)
    return g_ptr_array_index (w->scratch, level->sorted++);

  const CmJson *item = level->next;
  level->next = cm_json_next (level->closer == '}' ? item + 1 : item);
  return item;
}

static gboolean
is_left_out (const TreeWriter *w, const CmJson *key)
{
  return w->depth == 1 && w->without != NULL && !key->has_nul &&
         g_strv_contains (w->without, key->text);
}

static void
append_string_node (CmJsonBuffer *out, const CmJson *node)
{
  if (node->escaped) {
    cm_json_buffer_append_string (out, node->text, node->length);
    return;
  }
  cm_json_buffer_append (out, "\"", 1);
  cm_json_buffer_append (out, node->text, node->length);
  cm_json_buffer_append (out, "\"", 1);
}

static gboolean
append_value (TreeWriter *w, const CmJson *node)
{
  switch ((CmJsonType) node->type) {
  case CM_JSON_TRUE:
    cm_json_buffer_append (w->out, "true", 4);
    return TRUE;
  case CM_JSON_FALSE:
    cm_json_buffer_append (w->out, "false", 5);
    return TRUE;
  case CM_JSON_INTEGER:
    cm_json_buffer_append_integer (w->out, node->integer);
    return TRUE;
  case CM_JSON_NUMBER:
    cm_json_buffer_append (w->out, node->text, node->length);
    return (w->flags & CM_JSON_TREE_INTEGERS_ONLY) == 0;
  case CM_JSON_STRING:
    append_string_node (w->out, node);
    return TRUE;
  case CM_JSON_ARRAY:
  case CM_JSON_OBJECT:
    open_level (w, node);
    return TRUE;
  case CM_JSON_NULL:
  case CM_JSON_ABSENT:
  default:
    cm_json_buffer_append (w->out, "null", 4);
    return TRUE;
  }
}

static gboolean
append_next (TreeWriter *w)
{
  Level *level = &w->levels[w->depth - 1];
  if (level->left == 0) {
    close_level (w);
    return TRUE;
  }

  const CmJson *item = take_next (w, level);
  gboolean object = level->closer == '}';
  if (object && is_left_out (w, item))
    return TRUE;
  if (level->comma)
    cm_json_buffer_append (w->out, ",", 1);
  level->comma = TRUE;
  if (object) {
    append_string_node (w->out, item);
    cm_json_buffer_append (w->out, ":", 1);
    item++;
  }
  return append_value (w, item);
}

gboolean
cm_json_buffer_append_tree (CmJsonBuffer *buffer, const CmJson *root, CmJsonTreeFlags flags,
                            const char *const *without)
{
  TreeWriter w;
  w.out = buffer;
  w.flags = flags;
  w.without = without;
  w.scratch = NULL;
  w.depth = 0;

  gboolean ok = append_value (&w, root);
  while (ok && w.depth > 0)
    ok = append_next (&w);
  g_clear_pointer (&w.scratch, g_ptr_array_unref);
  return ok;
}

GBytes *
cm_json_canonical (const CmJson *node, const char *const *without, GError **error)
{
  CmJsonBuffer buffer = { 0 };
  CmJsonTreeFlags flags = CM_JSON_TREE_SORTED | CM_JSON_TREE_INTEGERS_ONLY;

  if (node == NULL || !cm_json_buffer_append_tree (&buffer, node, flags, without)) {
    g_free (buffer.data);
    g_set_error (error, CM_ERROR, CM_ERROR_BAD_JSON,
                 "Numbers must be integers from -(2^53-1) to 2^53-1");
    return NULL;
  }
  return g_bytes_new_take (buffer.data, buffer.length);
}

GBytes *
cm_json_canonical_lenient (const CmJson *node, const char *const *without)
{
  CmJsonBuffer buffer = { 0 };
  cm_json_buffer_append_tree (&buffer, node, CM_JSON_TREE_SORTED, without);
  return g_bytes_new_take (buffer.data, buffer.length);
}

gboolean
cm_json_is_canonical (const CmJson *node)
{
  gsize count = node != NULL ? node->skip : 0;
  for (gsize i = 0; i < count; i++)
    if (node[i].type == CM_JSON_NUMBER)
      return FALSE;
  return TRUE;
}

/* Equal trees are those whose sorted texts are the same bytes. A number that is not an integer
 * equals one that is written alike: rounding two of them to one double would call a change no
 * change. */
gboolean
cm_json_equal (const CmJson *a, const CmJson *b)
{
  if (a == NULL || b == NULL)
    return a == b;
  if (a->type != b->type || a->skip != b->skip)
    return FALSE;

  CmJsonBuffer text_a = { 0 }, text_b = { 0 };
  cm_json_buffer_append_tree (&text_a, a, CM_JSON_TREE_SORTED, NULL);
  cm_json_buffer_append_tree (&text_b, b, CM_JSON_TREE_SORTED, NULL);
  gboolean equal =
      text_a.length == text_b.length && memcmp (text_a.data, text_b.data, text_a.length) == 0;
  g_free (text_a.data);
  g_free (text_b.data);
  return equal;
}
