/* What is nobody's history: typing and presence (typing.h, presence.h). In memory, with a counter
 * of its own that sync tokens carry beside the stream position. */
#pragma once

#include "server/node.h"

G_BEGIN_DECLS

CmEphemeral *cm_ephemeral_new (CmNode *node);
void cm_ephemeral_free (CmEphemeral *ephemeral);

/* Names this life of the process: counters of another mean nothing. */
guint32 cm_ephemeral_epoch (CmEphemeral *ephemeral);
gint64 cm_ephemeral_counter (CmEphemeral *ephemeral);
/* Now and then, from one thread: whose time is over types no more, and who went away is offline. */
void cm_ephemeral_tick (CmEphemeral *ephemeral);

G_END_DECLS
