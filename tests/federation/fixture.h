/* What the tests of events and rooms share: JSON with single quotes, and events without proofs. */
#pragma once

#include "federation/event.h"

G_BEGIN_DECLS

/* (transfer full) the document of printf-like @format with ' for ", aborts when it is no JSON. */
CmJsonDoc *fixture_json (const char *format, ...) G_GNUC_PRINTF (1, 2);

/* (transfer full) @object with member @key replaced by the JSON @value (single quotes too), or
 * taken away when it is NULL. */
CmJsonDoc *fixture_with (const CmJson *object, const char *key, const char *value);

/* The key of the specification's test vectors: server "domain", key id "ed25519:1". */
CmSigningKey *fixture_key (void);

/* (transfer full) an event of room version @version with id @event_id, unsigned, as cm_event_load
 * reads it; @format as above. */
CmEvent *fixture_event (const char *version, const char *event_id, const char *format, ...)
    G_GNUC_PRINTF (3, 4);

/* Asserts that @error has @code, and frees it. */
void fixture_assert_error (GError **error, CmError code);

G_END_DECLS
