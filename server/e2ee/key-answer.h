/* The answer to "whose keys are these?": gathered from this server's devices, from what other
 * servers told, and from asking them; then written once (client-server, POST keys/query;
 * server-server, POST user/keys/query). */
#pragma once

#include "crypto/json-writer.h"
#include "server/node.h"

G_BEGIN_DECLS

typedef struct _CmKeyAnswer CmKeyAnswer;

/* @viewer: whose own signatures and user-signing key are shown; NULL for another server. */
CmKeyAnswer *cm_key_answer_new (CmNode *node, const char *viewer);
void cm_key_answer_free (CmKeyAnswer *answer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmKeyAnswer, cm_key_answer_free)

/* Adds a user of this server, or one of another whose devices are kept here. @device_ids (strv)
 * NULL: all. */
gboolean cm_key_answer_add_stored (CmKeyAnswer *answer, const char *user_id, char **device_ids,
                                   GError **error);
/* Adds what @server said about its user @user_id, with the viewer's signatures; other users in
 * @body are ignored. */
gboolean cm_key_answer_add_remote (CmKeyAnswer *answer, const char *user_id, const CmJson *body,
                                   GError **error);
void cm_key_answer_add_failure (CmKeyAnswer *answer, const char *server);

/* Writes device_keys, master_keys, self_signing_keys, and for a viewer user_signing_keys and
 * failures, as members of the open object. */
void cm_key_answer_put (const CmKeyAnswer *answer, CmJsonWriter *writer);

G_END_DECLS
