/* Writes JSON text straight into a buffer; canonical JSON too (Matrix appendices, "Canonical
 * JSON").
 *
 *   g_autoptr (CmJsonWriter) w = cm_json_writer_new ();
 *   cm_json_open_object (w, NULL);
 *   cm_json_put_text (w, "event_id", id);
 *   cm_json_open_array (w, "chunk");
 *   cm_json_put_node (w, NULL, node);
 *   cm_json_close (w);
 *   cm_json_close (w);
 *   g_autoptr (GBytes) body = cm_json_writer_end (w);
 *
 * The key is NULL inside an array and at the root. Strings must be valid UTF-8. */
#pragma once

#include "crypto/json.h"

G_BEGIN_DECLS

typedef struct _CmJsonWriter CmJsonWriter;

CmJsonWriter *cm_json_writer_new (void);
void cm_json_writer_free (CmJsonWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmJsonWriter, cm_json_writer_free)

void cm_json_open_object (CmJsonWriter *writer, const char *key);
void cm_json_open_array (CmJsonWriter *writer, const char *key);
void cm_json_close (CmJsonWriter *writer);

/* NULL @text writes nothing at all (an absent member). */
void cm_json_put_text (CmJsonWriter *writer, const char *key, const char *text);
void cm_json_put_string (CmJsonWriter *writer, const char *key, const char *text, gsize length);
void cm_json_put_integer (CmJsonWriter *writer, const char *key, gint64 value);
void cm_json_put_double (CmJsonWriter *writer, const char *key, double value);
void cm_json_put_boolean (CmJsonWriter *writer, const char *key, gboolean value);
void cm_json_put_null (CmJsonWriter *writer, const char *key);
/* Copies @node and all below it; NULL writes nothing. */
void cm_json_put_node (CmJsonWriter *writer, const char *key, const CmJson *node);
/* Copies a member that cm_json_iter_next () gave: @key is its iter.key, and may hold U+0000. */
void cm_json_put_member (CmJsonWriter *writer, const CmJson *key, const CmJson *value);
/* @json must be one whole JSON value; it is trusted. */
void cm_json_put_raw (CmJsonWriter *writer, const char *key, const char *json, gsize length);
void cm_json_put_bytes (CmJsonWriter *writer, const char *key, GBytes *json);

/* What is written so far, in bytes. */
gsize cm_json_writer_length (const CmJsonWriter *writer);
/* The finished text (transfer full); everything must be closed. The writer is empty afterwards and
 * may be used anew. */
GBytes *cm_json_writer_end (CmJsonWriter *writer);
char *cm_json_writer_end_text (CmJsonWriter *writer);
/* As cm_json_writer_end, then read back: for building an object in code that is to be used as
 * nodes. */
CmJsonDoc *cm_json_writer_end_doc (CmJsonWriter *writer);

/**
 * cm_json_canonical: the canonical form of @node.
 * @without: (nullable) a NULL-terminated list of top-level members to leave out.
 * Returns: (transfer full) the bytes, or NULL with CM_ERROR_BAD_JSON when @node holds a number that
 * is not an integer.
 */
GBytes *cm_json_canonical (const CmJson *node, const char *const *without, GError **error);
/* The same for what need not be canonical (events of room versions 1 to 5, "unsigned"): numbers
 * that are no integers in range stand as they were read. @node must not be NULL. */
GBytes *cm_json_canonical_lenient (const CmJson *node, const char *const *without);

G_END_DECLS
