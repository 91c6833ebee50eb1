/* Strict, depth-limited, immutable JSON (RFC 8259), read in one pass into a flat array of nodes.
 *
 * A CmJsonDoc owns the text and its nodes; a CmJson is one node in it, valid as long as the doc is.
 * Every getter accepts NULL and a node of the wrong type and then says "absent", so that chains
 * like cm_json_get (cm_json_get (event, "content"), "body") need no ladder of checks. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

#define CM_JSON_MAX_DEPTH 100

typedef struct _CmJsonDoc CmJsonDoc;
typedef struct _CmJson CmJson;

typedef enum {
  CM_JSON_ABSENT, /* what cm_json_type (NULL) says */
  CM_JSON_NULL,
  CM_JSON_FALSE,
  CM_JSON_TRUE,
  CM_JSON_INTEGER, /* written without fraction and exponent, within plus or minus 2^53-1 */
  CM_JSON_NUMBER,  /* any other RFC 8259 number; not allowed in canonical JSON */
  CM_JSON_STRING,
  CM_JSON_ARRAY,
  CM_JSON_OBJECT,
} CmJsonType;

/**
 * cm_json_parse: read @text (@length bytes, UTF-8; copied).
 *
 * Refuses: invalid UTF-8, a byte order mark, lone surrogates, raw control characters, duplicate
 * keys, trailing data, numbers that are not RFC 8259 or overflow a double, nesting deeper than
 * CM_JSON_MAX_DEPTH, and more values and keys than five million that are also more than one for
 * every eight bytes. Returns: (transfer full) the document, or NULL with CM_ERROR_NOT_JSON.
 */
CmJsonDoc *cm_json_parse (const char *text, gsize length, GError **error);
CmJsonDoc *cm_json_parse_bytes (GBytes *bytes, GError **error);

/* As cm_json_parse, but the root must be an object: CM_ERROR_BAD_JSON otherwise. */
CmJsonDoc *cm_json_parse_object (const char *text, gsize length, GError **error);

CmJsonDoc *cm_json_doc_ref (CmJsonDoc *doc);
void cm_json_doc_unref (CmJsonDoc *doc);
const CmJson *cm_json_doc_root (const CmJsonDoc *doc);
/* The bytes of memory that it takes. */
gsize cm_json_doc_size (const CmJsonDoc *doc);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmJsonDoc, cm_json_doc_unref)

CmJsonType cm_json_type (const CmJson *node);

/* Members of an object, items of an array, bytes of a string; 0 for the rest. */
gsize cm_json_length (const CmJson *node);

/* The value of member @key of @object, or NULL. */
const CmJson *cm_json_get (const CmJson *object, const char *key);
/* Item @index of @array, or NULL. O(index). */
const CmJson *cm_json_item (const CmJson *array, gsize index);

/* The text of a string node (NUL-terminated; may hold U+0000 inside, which @length tells), or NULL.
 */
const char *cm_json_string (const CmJson *node, gsize *length);
/* The text of a string node that holds no U+0000 (what ids, names and SQL text need), or NULL. */
const char *cm_json_text (const CmJson *node);
/* FALSE, and @value untouched, unless @node is CM_JSON_INTEGER. */
gboolean cm_json_integer (const CmJson *node, gint64 *value);
/* FALSE unless @node is a number of either kind. */
gboolean cm_json_double (const CmJson *node, double *value);

/* Member getters by type: NULL or the fallback when absent or of another type. */
const CmJson *cm_json_get_object (const CmJson *object, const char *key);
const CmJson *cm_json_get_array (const CmJson *object, const char *key);
const char *cm_json_get_text (const CmJson *object, const char *key);
gint64 cm_json_get_integer (const CmJson *object, const char *key, gint64 fallback);
gboolean cm_json_get_boolean (const CmJson *object, const char *key, gboolean fallback);

/* Walks an object's members or an array's items (key is NULL then) in the order of the text. */
typedef struct {
  const CmJson *next;
  gsize left;
  gboolean object;
  const CmJson
      *key; /* the node of the key last returned: its cm_json_text () is NULL if it holds U+0000 */
} CmJsonIter;

void cm_json_iter_init (CmJsonIter *iter, const CmJson *container);
/* @key and @value may be NULL. A key may hold U+0000: where it matters, as for ids, take
 * cm_json_text (iter.key). */
gboolean cm_json_iter_next (CmJsonIter *iter, const char **key, const CmJson **value);

/* TRUE when @node and all below it may stand in canonical JSON: no CM_JSON_NUMBER anywhere. */
gboolean cm_json_is_canonical (const CmJson *node);
/* Deep equality, member order aside. */
gboolean cm_json_equal (const CmJson *a, const CmJson *b);

G_END_DECLS
