/* Cross-signing keys and the signatures they make. */
#include "schema/committer.h"
#include "server/accounts/uia.h"
#include "server/e2ee/cross-signing.h"
#include "server/e2ee/key-signatures.h"
#include "server/routes.h"

/* TRUE with *@again when another upload was first. */
static gboolean
store (CmSigningUpload *upload, CmNode *node, gboolean *again, GError **error)
{
  g_autoptr (CmWrite) write = cm_write_new ();
  GError *failure = NULL;

  *again = FALSE;
  if (!cm_signing_upload_store (upload, node, write, error))
    return FALSE;
  if (cm_committer_commit (node->committer, g_steal_pointer (&write), &failure) >= 0)
    return TRUE;
  *again = g_error_matches (failure, CM_ERROR, CM_ERROR_CONFLICT);
  if (!*again) {
    g_propagate_error (error, failure);
    return FALSE;
  }
  g_error_free (failure);
  return TRUE;
}

/* POST /_matrix/client/v3/keys/device_signing/upload */
static CmReply *
upload_signing_keys (CmCall *call, GError **error)
{
  CmNode *node = cm_call_node (call);
  g_autoptr (CmReply) challenge = NULL;
  gboolean again = TRUE;

  while (again) {
    g_auto (CmSigningUpload) upload = { NULL };
    if (!cm_signing_upload_read (&upload, node, cm_call_user (call), cm_call_json (call), error))
      return NULL;
    if (upload.change == CM_SIGNING_NOTHING_NEW)
      break;
    if (upload.change == CM_SIGNING_REPLACES && cm_call_requester (call)->appservice == NULL &&
        !cm_uia_check (call, CM_UIA_OWNER, &challenge, error))
      return g_steal_pointer (&challenge);
    if (!store (&upload, node, &again, error))
      return NULL;
  }
  return cm_reply_empty ();
}

/* POST /_matrix/client/v3/keys/signatures/upload */
static CmReply *
upload_signatures (CmCall *call, GError **error)
{
  g_autoptr (CmJsonWriter) answer =
      cm_key_signatures_add (cm_call_node (call), cm_call_user (call), cm_call_json (call), error);

  return answer != NULL ? cm_reply_json (answer) : NULL;
}

/* "unstable" is what clients of before 1.1 call. */
#define UPLOAD(path, lane, handler)                                                                \
  {                                                                                                \
    "POST", path, CM_AUTH_TOKEN, CM_LIMIT_SEND, lane, CM_BODY_JSON, handler, 0                     \
  }

const CmRoute cm_routes_cross_signing[] = {
  UPLOAD ("/_matrix/client/v3/keys/device_signing/upload", CM_LANE_BLOCKING, upload_signing_keys),
  UPLOAD ("/_matrix/client/unstable/keys/device_signing/upload", CM_LANE_BLOCKING,
          upload_signing_keys),
  UPLOAD ("/_matrix/client/v3/keys/signatures/upload", CM_LANE_REMOTE, upload_signatures),
  UPLOAD ("/_matrix/client/unstable/keys/signatures/upload", CM_LANE_REMOTE, upload_signatures),
  CM_ROUTES_END,
};
