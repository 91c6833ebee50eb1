/* What a device uploads: its identity keys, one-time keys and fallback keys, checked before anybody
 * else may see them (CVE-2025-61672). */
#pragma once

#include "crypto/json.h"
#include "schema/db.h"
#include "schema/write.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef struct {
  const char *user_id;
  const char *device_id;
  const CmJson *device_keys; /* nullable, as are the two below */
  const CmJson *one_time_keys;
  const CmJson *fallback_keys;
} CmKeyUpload;

/* Takes the parts of POST keys/upload's body and checks their shape, owner, sizes and signatures.
 * CM_ERROR_BAD_JSON, CM_ERROR_INVALID_PARAM. */
gboolean cm_key_upload_read (CmKeyUpload *upload, const char *user_id, const char *device_id,
                             const CmJson *body, GError **error);

/* An upload of nothing only asks how many one-time keys are left. */
gboolean cm_key_upload_is_empty (const CmKeyUpload *upload);
/* Adds what is new in @upload to @write. A one-time key whose id is taken by another key is
 * CM_ERROR_INVALID_PARAM. Reads the database. */
gboolean
cm_key_upload_store (const CmKeyUpload *upload, CmNode *node, CmWrite *write, GError **error);

G_END_DECLS
