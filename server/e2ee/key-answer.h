/* The answer to "whose keys are these?": gathered from this server's devices, from what other
 * servers told, and from asking them; then written once (client-server, POST keys/query;
 * server-server, POST user/keys/query). Not for two threads at once. */
#pragma once

#include "crypto/json-writer.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef struct _CmKeyAnswer CmKeyAnswer;

/* Whether @wanted is {user id: [device ids], ...}. CM_ERROR_BAD_JSON. */
gboolean cm_key_answer_check (const CmJson *wanted, GError **error);

/* @wanted: whose devices are asked for, of a good shape; an empty list stands for all of a user's.
 * Borrowed. @viewer: whose own signatures and user-signing key are shown; NULL for another server.
 */
CmKeyAnswer *cm_key_answer_new (CmNode *node, const CmJson *wanted, const char *viewer);
void cm_key_answer_free (CmKeyAnswer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmKeyAnswer, cm_key_answer_free)

/* Adds users of this server; or of others, whose devices are kept here. */
gboolean cm_key_answer_add_local (CmKeyAnswer *answer, char **user_ids, GError **error);
gboolean cm_key_answer_add_kept (CmKeyAnswer *answer, char **user_ids, GError **error);
/* Adds what their server said about @user_ids; other users in @body are passed over. */
gboolean
cm_key_answer_add_told (CmKeyAnswer *answer, char **user_ids, const CmJson *body, GError **error);
void cm_key_answer_add_failure (CmKeyAnswer *answer, const char *server);

/* (transfer full) device_keys, master_keys, self_signing_keys, and for a viewer user_signing_keys
 * and failures. */
CmJsonWriter *cm_key_answer_write (const CmKeyAnswer *answer);

G_END_DECLS
