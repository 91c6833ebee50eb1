/* Work that is due again and again and that nobody waits for: what has grown too old is forgotten,
 * what was left lying is looked at again. A chore is a row of cm_chores (chores.c); its turns are
 * taken on the background lane, one at a time. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

typedef struct {
  const char *name; /* what it does, as in "Cannot NAME: ..." */
  gint64 every_ms; /* from the end of one turn to the next; the first comes with the node's start */
  /* One turn, short enough for a node that wants to stop. *@more is FALSE before; TRUE: the next
   * turn is due at once. A failure is told to the log, and the chore waits for its next turn. */
  gboolean (*run) (CmNode *node, gboolean *more, GError **error);
} CmChore;

extern const CmChore cm_chores[];
extern const gsize cm_n_chores;

/* Begins at once. @chores: static. @node must have its lanes. */
CmHousekeeping *cm_housekeeping_new (CmNode *node, const CmChore *chores, gsize n_chores);
/* Before the lanes: what they run of it still is theirs to finish. */
void cm_housekeeping_free (CmHousekeeping *housekeeping);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmHousekeeping, cm_housekeeping_free)

G_END_DECLS
