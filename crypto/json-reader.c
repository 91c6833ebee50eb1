#include "crypto/json-private.h"
#include "crypto/json-scan.h"

#include <math.h>

/* One pass over a private copy of the text, without recursion: strings are decoded in place (what
 * they decode to is never longer than what was written), values become nodes of one flat array in
 * the order of the text. Two allocations make a document, unless it holds more nodes for its length
 * than events do. */

#define MAX_BYTES   (G_MAXINT32 / 2) /* keeps lengths and node counts within 32 bits */
#define MAX_INTEGER G_GINT64_CONSTANT (9007199254740991)

/* A node takes twelve times the shortest value that it can stand for. A long text must therefore be
 * as sparse as what is really sent: events have a node for every 12 to 20 bytes. The nodes that any
 * text may make are those of the fullest transaction, 50 events and 100 EDUs of 64 KiB, of nothing
 * but short values: it must be read, or who makes others' servers send it stops their queue. */
#define BYTES_PER_NODE 8
#define FREE_NODES     5000000
/* A value and its key, which are read between two looks at the limit. */
#define PER_VALUE 2

/* Up to here a duplicate is sought among the members before it, beyond by sorting once at the
 * closing brace. */
#define SMALL_OBJECT 24

typedef struct {
  guint32 node;
  /* A bit for every key so far: one whose bit is not yet set is new. Not a hash table: colliding
   * keys cost no more than the comparison with at most SMALL_OBJECT others. */
  guint64 seen;
} Frame;

typedef struct {
  guint8 *at;
  CmJson *nodes;
  guint32 count;
  guint32 capacity;
  guint32 limit;
  guint depth;
  const char *problem;
  Frame frames[CM_JSON_MAX_DEPTH];
} Reader;

static gboolean
fail (Reader *r, const char *problem)
{
  r->problem = problem;
  return FALSE;
}

static inline CmJson *
append_node (Reader *r, CmJsonType type)
{
  if (G_UNLIKELY (r->count == r->capacity)) {
    r->capacity = MIN (r->capacity * 2, r->limit + PER_VALUE);
    r->nodes = g_renew (CmJson, r->nodes, r->capacity);
  }
  CmJson *node = &r->nodes[r->count++];
  *node = (CmJson){ .type = type, .skip = 1 };
  return node;
}

static inline void
skip_space (Reader *r)
{
  while (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')
    r->at++;
}

/* The four hex digits at @text, or -1. */
static gint32
hex4 (const guint8 *text)
{
  gint32 value = 0;
  for (guint i = 0; i < 4; i++) {
    gint digit = g_ascii_xdigit_value ((char) text[i]);
    if (digit < 0)
      return -1;
    value = value << 4 | digit;
  }
  return value;
}

/* Reads what follows "\u", both halves if it is a surrogate pair. */
static gboolean
read_code_point (Reader *r, gunichar *c)
{
  gint32 unit = hex4 (r->at);
  if (unit < 0)
    return fail (r, "bad \\u escape");
  r->at += 4;
  *c = (gunichar) unit;
  if (unit < 0xD800 || unit > 0xDFFF)
    return TRUE;

  gint32 low = unit < 0xDC00 && r->at[0] == '\\' && r->at[1] == 'u' ? hex4 (r->at + 2) : -1;
  if (low < 0xDC00 || low > 0xDFFF)
    return fail (r, "lone surrogate");
  r->at += 6;
  *c = 0x10000u + (((gunichar) unit & 0x3FF) << 10) + ((gunichar) low & 0x3FF);
  return TRUE;
}

/* Reads what follows a backslash and writes what it stands for to @out, which moves on. */
static gboolean
read_escape (Reader *r, guint8 **out, gboolean *has_nul)
{
  static const char plain[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
  };
  guint8 c = *r->at++;

  if (plain[c] != '\0') {
    *(*out)++ = (guint8) plain[c];
    return TRUE;
  }
  gunichar code_point;
  if (c != 'u')
    return fail (r, "unknown escape");
  if (!read_code_point (r, &code_point))
    return FALSE;
  if (code_point == 0)
    *has_nul = TRUE;
  *out += g_unichar_to_utf8 (code_point, (char *) *out);
  return TRUE;
}

/* Reads on from the first escape of a string to its closing quote, moving the text down as it gets
 * shorter. */
static gboolean
decode_string (Reader *r, guint8 **end, gboolean *has_nul)
{
  guint8 *out = r->at;

  while (*r->at != '"') {
    if (*r->at == '\\') {
      r->at++;
      if (!read_escape (r, &out, has_nul))
        return FALSE;
      continue;
    }
    guint8 *plain = r->at;
    r->at = cm_json_skip_plain (plain);
    if (*r->at >= 0x80) {
      gsize n = cm_json_utf8_length (r->at);
      if (n == 0)
        return fail (r, "invalid UTF-8");
      r->at += n;
    } else if (r->at == plain) {
      return fail (r, "control character or end of text in a string");
    }
    memmove (out, plain, (gsize) (r->at - plain));
    out += r->at - plain;
  }
  *end = out;
  return TRUE;
}

/* Reads a string from behind its opening quote. */
static inline gboolean
read_string (Reader *r)
{
  guint8 *start = r->at;
  guint8 *end = cm_json_skip_plain (start);
  gboolean has_nul = FALSE;

  while (*end >= 0x80) {
    gsize n = cm_json_utf8_length (end);
    if (n == 0) {
      r->at = end;
      return fail (r, "invalid UTF-8");
    }
    end += n;
    if (*end < 0x80)
      end = cm_json_skip_plain (end);
  }
  r->at = end;
  gboolean escaped = *end != '"';
  if (escaped && !decode_string (r, &end, &has_nul))
    return FALSE;
  r->at++;
  *end = '\0';

  CmJson *node = append_node (r, CM_JSON_STRING);
  node->text = (const char *) start;
  node->length = (guint32) (end - start);
  node->escaped = escaped;
  node->has_nul = has_nul;
  return TRUE;
}

static gboolean
skip_digits (Reader *r)
{
  const guint8 *start = r->at;
  while (g_ascii_isdigit ((char) *r->at))
    r->at++;
  return r->at > start;
}

/* Reads the rest of a number whose integer part is no CM_JSON_INTEGER. Its text is kept, so that no
 * digit is lost. */
static gboolean
read_other_number (Reader *r, const guint8 *start)
{
  if (*r->at == '.') {
    r->at++;
    if (!skip_digits (r))
      return fail (r, "digit expected");
  }
  if (*r->at == 'e' || *r->at == 'E') {
    r->at++;
    if (*r->at == '+' || *r->at == '-')
      r->at++;
    if (!skip_digits (r))
      return fail (r, "digit expected");
  }
  /* What follows the grammar's number cannot make strtod read on: no digit, point, exponent or "x".
   */
  if (!isfinite (g_ascii_strtod ((const char *) start, NULL)))
    return fail (r, "number out of range");

  CmJson *node = append_node (r, CM_JSON_NUMBER);
  node->text = (const char *) start;
  node->length = (guint32) (r->at - start);
  return TRUE;
}

static gboolean
read_number (Reader *r)
{
  const guint8 *start = r->at;
  gboolean negative = *start == '-';
  r->at += negative;

  const guint8 *digits = r->at;
  if (!g_ascii_isdigit ((char) *digits))
    return fail (r, "value expected");
  gint64 value = 0;
  /* 18 digits cannot overflow; what has more is out of range anyway. */
  while (g_ascii_isdigit ((char) *r->at) && r->at - digits < 18)
    value = value * 10 + (*r->at++ - '0');
  gboolean long_integer = skip_digits (r) || value > MAX_INTEGER;
  if (*digits == '0' && r->at - digits > 1)
    return fail (r, "leading zero");
  if (long_integer || *r->at == '.' || *r->at == 'e' || *r->at == 'E')
    return read_other_number (r, start);

  append_node (r, CM_JSON_INTEGER)->integer = negative ? -value : value;
  return TRUE;
}

static gboolean
read_literal (Reader *r, const char *word, gsize length, CmJsonType type)
{
  if (memcmp (r->at, word, length) != 0)
    return fail (r, "value expected");
  r->at += length;
  append_node (r, type);
  return TRUE;
}

static gboolean
repeats_a_key (const Reader *r, const CmJson *object, const CmJson *key)
{
  for (const CmJson *other = object + 1; other < key; other = cm_json_next (other + 1))
    if (other->length == key->length && memcmp (other->text, key->text, key->length) == 0)
      return TRUE;
  return FALSE;
}

/* Reads `"key":` and notes the key in @r's innermost object. */
static inline gboolean
read_key (Reader *r)
{
  skip_space (r);
  if (*r->at != '"')
    return fail (r, "key expected");
  r->at++;
  if (!read_string (r))
    return FALSE;

  const CmJson *key = &r->nodes[r->count - 1];
  Frame *frame = &r->frames[r->depth - 1];
  const CmJson *object = &r->nodes[frame->node];
  guint8 first = (guint8) key->text[0];
  guint8 last = (guint8) key->text[key->length - (key->length > 0)];
  guint64 bit = G_GUINT64_CONSTANT (1) << ((key->length * 7u + first * 5u + last) & 63);
  if ((frame->seen & bit) != 0 && object->length < SMALL_OBJECT && repeats_a_key (r, object, key))
    return fail (r, "duplicate key");
  frame->seen |= bit;

  skip_space (r);
  if (*r->at != ':')
    return fail (r, "colon expected");
  r->at++;
  return TRUE;
}

/* What read_key has left unchecked: all keys of a large object, sorted. */
static gboolean
check_large_object (Reader *r, const CmJson *object)
{
  g_autofree const CmJson **keys = g_new (const CmJson *, object->length);
  const CmJson *key = object + 1;

  for (gsize i = 0; i < object->length; i++, key = cm_json_next (key + 1))
    keys[i] = key;
  cm_json_sort_keys (keys, object->length);
  for (gsize i = 1; i < object->length; i++)
    if (cm_json_compare_keys (keys[i - 1], keys[i]) == 0)
      return fail (r, "duplicate key");
  return TRUE;
}

static gboolean
close_container (Reader *r)
{
  guint32 index = r->frames[--r->depth].node;
  CmJson *container = &r->nodes[index];

  r->at++;
  container->skip = r->count - index;
  if (container->type == CM_JSON_OBJECT && container->length > SMALL_OBJECT)
    return check_large_object (r, container);
  return TRUE;
}

/* Opens an object or array. @opened stays FALSE when it is empty, and thus already closed again. */
static gboolean
open_container (Reader *r, CmJsonType type, char closer, gboolean *opened)
{
  if (r->depth == CM_JSON_MAX_DEPTH)
    return fail (r, "nested too deeply");
  r->frames[r->depth++] = (Frame){ .node = r->count };
  append_node (r, type);
  r->at++;
  skip_space (r);
  if (*r->at == closer)
    return close_container (r);
  *opened = TRUE;
  return type == CM_JSON_ARRAY || read_key (r);
}

static inline gboolean
read_value (Reader *r, gboolean *opened)
{
  skip_space (r);
  switch (*r->at) {
  case '"':
    r->at++;
    return read_string (r);
  case '{':
    return open_container (r, CM_JSON_OBJECT, '}', opened);
  case '[':
    return open_container (r, CM_JSON_ARRAY, ']', opened);
  case 't':
    return read_literal (r, "true", 4, CM_JSON_TRUE);
  case 'f':
    return read_literal (r, "false", 5, CM_JSON_FALSE);
  case 'n':
    return read_literal (r, "null", 4, CM_JSON_NULL);
  default:
    return read_number (r);
  }
}

/* After a value: closes what ends here, then reads the comma (and the key) that lead to the next
 * value. */
static inline gboolean
read_after_value (Reader *r)
{
  while (r->depth > 0) {
    CmJson *container = &r->nodes[r->frames[r->depth - 1].node];
    gboolean object = container->type == CM_JSON_OBJECT;

    container->length++;
    skip_space (r);
    if (*r->at == ',') {
      r->at++;
      return !object || read_key (r);
    }
    if (*r->at != (object ? '}' : ']'))
      return fail (r, "comma or end of container expected");
    if (!close_container (r))
      return FALSE;
  }
  return TRUE;
}

static gboolean
read_document (Reader *r, const guint8 *end)
{
  do {
    gboolean opened = FALSE;
    if (r->count > r->limit)
      return fail (r, "too many values");
    if (!read_value (r, &opened))
      return FALSE;
    if (!opened && !read_after_value (r))
      return FALSE;
  } while (r->depth > 0);

  skip_space (r);
  return r->at == end || fail (r, "trailing data");
}

CmJsonDoc *
cm_json_parse (const char *text, gsize length, GError **error)
{
  if (length > MAX_BYTES) {
    g_set_error (error, CM_ERROR, CM_ERROR_NOT_JSON, "Not valid JSON: too large");
    return NULL;
  }
  /* The NULs behind the text end every loop of the reader, and give the wide loads something to
   * read. */
  CmJsonDoc *doc = g_malloc (sizeof *doc + length + CM_JSON_STRIDE);
  if (length > 0)
    memcpy (doc->text, text, length);
  memset (doc->text + length, 0, CM_JSON_STRIDE);

  guint8 *start = (guint8 *) doc->text;
  Reader r;
  r.at = start;
  r.count = r.depth = 0;
  r.limit = MAX (FREE_NODES, (guint32) (length / BYTES_PER_NODE));
  r.capacity = (guint32) (length / 12 + 8);
  r.nodes = g_new (CmJson, r.capacity);

  if (!read_document (&r, start + length)) {
    g_set_error (error, CM_ERROR, CM_ERROR_NOT_JSON, "Not valid JSON: %s at byte %" G_GSIZE_FORMAT,
                 r.problem, (gsize) (r.at - start));
    g_free (r.nodes);
    g_free (doc);
    return NULL;
  }
  doc->ref_count = 1;
  doc->size = sizeof *doc + length + CM_JSON_STRIDE + r.count * sizeof (CmJson);
  doc->nodes = g_renew (CmJson, r.nodes, r.count);
  return doc;
}
