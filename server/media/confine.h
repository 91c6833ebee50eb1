/* What keeps the thumbnail worker in its place once it has all that it needs: whoever takes it over
 * with a crafted image can compute and write to the descriptors that are there, and do no more. */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Before any library is loaded: bytes, processor time, the end of the node. */
gboolean cm_confine_resources (void);
/* Afterwards: no file, no socket, no program, no other process. */
gboolean cm_confine_calls (void);

G_END_DECLS
