/* `comity serve`: a node's life in the foreground, from the first check to the last goodbye. */
#pragma once

#include "server/config/config.h"

G_BEGIN_DECLS

/* Returns the exit status: 0 after SIGTERM or SIGINT. */
int cm_serve (const CmConfig *config);

G_END_DECLS
