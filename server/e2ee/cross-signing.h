/* A user's cross-signing keys as they are uploaded (client-server, POST
 * /keys/device_signing/upload). Whoever replaces one must prove anew who they are. */
#pragma once

#include "crypto/json.h"
#include "schema/write.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef enum {
  CM_SIGNING_MASTER,
  CM_SIGNING_SELF,
  CM_SIGNING_USER,
  CM_SIGNING_LAST
} CmSigningUsage;

/* "master", "self_signing", "user_signing". */
const char *cm_signing_usage (CmSigningUsage usage);

typedef enum {
  CM_SIGNING_NOTHING_NEW,
  CM_SIGNING_FIRST,    /* there was no master key */
  CM_SIGNING_REPLACES, /* the user must prove who they are */
} CmSigningChange;

typedef struct {
  const char *user_id;
  const CmJson *keys[CM_SIGNING_LAST]; /* borrowed from the body; NULL: not uploaded */
  CmJsonDoc *stored[CM_SIGNING_LAST];
  CmSigningChange change;
} CmSigningUpload;

void cm_signing_upload_clear (CmSigningUpload *upload);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CmSigningUpload, cm_signing_upload_clear)

/* Reads @body, checks shapes and signatures, and tells in @upload->change what it would change.
 * CM_ERROR_MISSING_PARAM (no master key), CM_ERROR_INVALID_SIGNATURE, CM_ERROR_FORBIDDEN (a key is
 * called as a device), CM_ERROR_BAD_JSON, CM_ERROR_INVALID_PARAM. */
gboolean cm_signing_upload_read (CmSigningUpload *upload, CmNode *node, const char *user_id,
                                 const CmJson *body, GError **error);
/* Adds the change to @write, which fails with CM_ERROR_CONFLICT when there was a master key after
 * all. */
gboolean
cm_signing_upload_store (CmSigningUpload *upload, CmNode *node, CmWrite *write, GError **error);

G_END_DECLS
