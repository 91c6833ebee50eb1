/* Callers who wait, up to a while, until a thing is there: a file whose id was given out before its
 * content. They hold no thread. */
#pragma once

#include "crypto/error.h"

G_BEGIN_DECLS

typedef struct _CmWaits CmWaits;

/* Tells @waiter (taken) that it is there, or TRUE for @late that time is up or the node is
 * stopping. */
typedef void (*CmWaitEnd) (gpointer waiter, gboolean late);

CmWaits *cm_waits_new (guint max, CmWaitEnd end);
void cm_waits_free (CmWaits *waits);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CmWaits, cm_waits_free)

/* FALSE when @max wait already, and @waiter is the caller's still. The caller must look once more
 * afterwards whether the thing has come meanwhile, and call cm_waits_come if it has. */
gboolean cm_waits_add (CmWaits *waits, const char *key, gint64 deadline_us, gpointer waiter);
/* Ends the waits for @key, on this thread. */
void cm_waits_come (CmWaits *waits, const char *key);

G_END_DECLS
