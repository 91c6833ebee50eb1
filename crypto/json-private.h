/* What the JSON reader, its getters and the writers share; nobody else includes it. */
#pragma once

#include "crypto/json.h"

#include <string.h>

G_BEGIN_DECLS

/* A value, or the key of a member. A container is followed by all that it holds: an array by its
 * items, an object by key, value, key, value; @skip leads past them, so that no pointers between
 * nodes are needed. */
struct _CmJson {
  guint8 type;
  guint escaped : 1; /* a string written with escapes; one without needs none in its turn */
  guint has_nul : 1; /* a string with U+0000 inside */
  guint32 length;    /* as cm_json_length says; bytes of text for CM_JSON_NUMBER */
  guint32 skip;      /* nodes to the next sibling; 1 for a scalar */
  union {
    const char *text; /* decoded and NUL-terminated; as it was written for CM_JSON_NUMBER */
    gint64 integer;
  };
};

struct _CmJsonDoc {
  gint ref_count;
  gsize size; /* of all of it, in memory */
  CmJson *nodes;
  char text[];
};

static inline const CmJson *
cm_json_next (const CmJson *node)
{
  return node + node->skip;
}

/* Sorts key nodes by code point, which for UTF-8 is the order of the bytes. Never quadratic. */
void cm_json_sort_keys (const CmJson **keys, gsize count);
int cm_json_compare_keys (const CmJson *a, const CmJson *b);

/* Text being written. It is always NUL-terminated when it is not empty. */
typedef struct {
  char *data;
  gsize length;
  gsize capacity;
} CmJsonBuffer;

/* Makes room for @length more bytes and the terminating NUL. */
void cm_json_buffer_reserve (CmJsonBuffer *buffer, gsize length);

static inline void
cm_json_buffer_append (CmJsonBuffer *buffer, const char *text, gsize length)
{
  if (G_UNLIKELY (buffer->capacity - buffer->length <= length))
    cm_json_buffer_reserve (buffer, length);
  memcpy (buffer->data + buffer->length, text, length);
  buffer->length += length;
  buffer->data[buffer->length] = '\0';
}

/* Appends @text in quotes and with the escapes of canonical JSON. */
void cm_json_buffer_append_string (CmJsonBuffer *buffer, const char *text, gsize length);
void cm_json_buffer_append_integer (CmJsonBuffer *buffer, gint64 value);

typedef enum {
  CM_JSON_TREE_AS_READ = 0,
  CM_JSON_TREE_SORTED = 1 << 0,
  CM_JSON_TREE_INTEGERS_ONLY = 1 << 1, /* fail at a CM_JSON_NUMBER */
} CmJsonTreeFlags;

/* Appends @root and all below it, except the members of @root named in @without (nullable). */
gboolean cm_json_buffer_append_tree (CmJsonBuffer *buffer, const CmJson *root,
                                     CmJsonTreeFlags flags, const char *const *without);

G_END_DECLS
