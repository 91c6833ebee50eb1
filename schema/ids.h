/* Integers inside: numbers for events, states and interned texts. Numbers come in blocks from
 * PostgreSQL sequences, so that taking one is a matter of memory, and several nodes on one database
 * never take the same. */
#pragma once

#include "schema/db.h"

G_BEGIN_DECLS

typedef enum {
  CM_SEQUENCE_EVENT,
  CM_SEQUENCE_STATE,
  CM_SEQUENCE_BACKFILL, /* negated, a position of older history */
  CM_SEQUENCE_LAST
} CmSequence;

typedef struct _CmIds CmIds;

/* Takes up to two connections of its own beside @pool, so that a caller who holds one of the pool's
 * never waits for others who do. */
CmIds *cm_ids_new (CmPool *pool, GError **error);
void cm_ids_free (CmIds *ids);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmIds, cm_ids_free)

/* The next number; takes a new block when the old one is used up. 0 with @error. */
gint64 cm_ids_next (CmIds *ids, CmSequence sequence, GError **error);

/* Symbols: a small positive number for a text (types, state keys, users, servers, rooms), stored at
 * once in a transaction of its own and kept in memory (bounded). Less than 2^31. 0 with @error:
 * CM_ERROR_TOO_LARGE beyond 1024 bytes (identifiers in Matrix end at 255). A text with U+0000 is
 * the caller's to refuse: cut at it, it would be another text. */
gint64 cm_sym (CmIds *ids, const char *text, GError **error);
/* As cm_sym but never makes one: 0 without error when the text was never seen. */
gint64 cm_sym_lookup (CmIds *ids, const char *text, GError **error);
/* The text of @sym; interned for the life of the process is not promised: (transfer full).
 * CM_ERROR_NOT_FOUND when there is none. */
char *cm_sym_text (CmIds *ids, gint64 sym, GError **error);
/* Fills @syms for @n texts, which may repeat, in one round trip. */
gboolean cm_sym_many (CmIds *ids, const char *const *texts, gsize n, gint64 *syms, GError **error);

G_END_DECLS
