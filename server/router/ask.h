/* A call from inside the house: what acts for a user within the node (its participant, and the
 * agents that are built on it) goes the way of every client, through the same routes and rules,
 * without a connection. */
#pragma once

#include "crypto/json.h"
#include "server/http/call.h"

G_BEGIN_DECLS

typedef struct {
  CmNode *node;
  const char *user_id;
  const char *device_id;
  gint64 user;          /* sym */
  const gint *stopping; /* nullable, atomic: once it is not 0 nothing is waited for any more */
} CmAsker;

/**
 * cm_ask: does @method @target as the asker, with @body (nullable, borrowed) as JSON, and waits for
 * the answer. Returns: (transfer full) the answer's object; NULL with the error that a client would
 * see. Blocking: not on the lane that the route needs.
 */
CmJsonDoc *
cm_ask (const CmAsker *asker, const char *method, const char *target, GBytes *body, GError **error);

G_END_DECLS
