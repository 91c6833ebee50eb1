/* Key documents (server-server, "Publishing Keys"): what one says, and whether it may be believed.
 * Pure: no network, no database. */
#pragma once

#include "crypto/ed25519.h"

G_BEGIN_DECLS

/* A key is trusted no longer than this after it was fetched ("Publishing Keys", valid_until_ts). */
#define CM_KEY_TRUST_MS (7 * 24 * 3600 * G_GINT64_CONSTANT (1000))

/* How many keys of one server are believed in, and kept: the newest. Who changes keys once a month
 * needs five years to get there. */
#define CM_SERVER_KEYS_MAX 64

typedef struct {
  char *key_id;
  char *public_key;
  gint64 valid_until; /* ms since 1970; of an old key when it expired */
  gboolean expired;   /* an old key: good for events of its time, never for requests */
} CmServerKey;

void cm_server_key_free (CmServerKey *key);
/* Whether @key may have signed an event of @when_ms; 0: a request that is made at @now_ms. */
gboolean cm_server_key_is_good (const CmServerKey *key, gint64 when_ms, gint64 now_ms);

/**
 * cm_key_document_read: checks that @document is @server's, and signed with one of the keys that it
 * names as current. Returns: (transfer full) of CmServerKey; keys of other algorithms and malformed
 * ones are left out. CM_ERROR_UNAUTHORIZED otherwise.
 */
GPtrArray *
cm_key_document_read (const CmJson *document, const char *server, gint64 now_ms, GError **error);

/* Whether a document names @key_id, as current or as old. */
gboolean cm_key_document_names (const CmJson *document, const char *key_id);

/* (transfer full) the signed document of this server. @old: (nullable) its expired CmServerKeys. */
CmJsonDoc *cm_key_document_make (const char *server, const CmSigningKey *key, GPtrArray *old,
                                 gint64 now_ms, GError **error);

G_END_DECLS
