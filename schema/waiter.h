/* One thread waits for what another does: the end of a commit, of a write to a room, of an append.
 */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

typedef struct {
  GMutex mutex;
  GCond ended;
  gboolean has_ended;
  GError *error;
} CmWaiter;

void cm_waiter_init (CmWaiter *waiter);
/* From any thread, once: nothing of @waiter, and of what it stands in, may be touched after this.
 * @error: (nullable) how it failed; copied. */
void cm_waiter_end (CmWaiter *waiter, const GError *error);
/* Waits for that and clears @waiter. FALSE with the error. */
gboolean cm_waiter_wait (CmWaiter *waiter, GError **error);

G_END_DECLS
